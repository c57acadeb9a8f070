"""Tables from rows made by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.csv as pacsv
import pyarrow.dataset as ds
import pytest
from sweeps import SPEC, sweep

from mcrelu.experiments.crossing.rows import crossing_rows
from mcrelu.experiments.crossing.tables import power_laws
from mcrelu.problems.one_d import Outcome, StopReason
from mcrelu.runtime.block import attempt
from mcrelu.runtime.task import BlockTask
from mcrelu.stats.intervals import clopper_pearson, confidence_sequence, wilson
from mcrelu.stats.reduce import cell_table, reduce
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.shards import publish_shard


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """Two cells of 100 networks in blocks of 40; nothing is there yet."""
    made = Output(Files.at(tmp_path), sweep(SPEC))
    made.take()
    return made


def publish(output: Output, cell: int, block: int, status: list[int]) -> None:
    """A shard with statuses made up."""
    chosen = list(output.sweep.blocks(output.sweep.cells[cell]))[block]
    m = chosen.networks
    zeros = np.zeros(m)
    outcome = Outcome(
        np.resize(status, m).astype(np.int8),
        np.full(m, 100),
        zeros.astype(int),
        zeros,
        zeros,
        zeros,
    )
    rows = crossing_rows(chosen, zeros, outcome)
    publish_shard(output.files, chosen, output.origin(chosen.cell), rows, {})


def test_k_low_counts_crossings_and_k_high_all_that_may_cross(output: Output) -> None:
    for block in range(3):
        publish(output, 0, block, list(StopReason))
    row = cell_table(output).to_pylist()[0]
    expected = Counter(np.concatenate([np.resize(list(StopReason), m) for m in (40, 40, 20)]))
    stayed = expected[StopReason.LOCALLY_CONVERGED] + expected[StopReason.EARLY_STOPPED]
    assert row["networks"] == 100
    assert {r: row[r.name.lower()] for r in StopReason} == expected
    assert row["k_low"] == expected[StopReason.CROSSED]
    assert row["k_high"] == 100 - stayed
    assert row["estimate"] == pytest.approx(1 - stayed / 100)


def test_intervals_are_those_of_the_counts(output: Output) -> None:
    for block in range(3):
        publish(output, 1, block, [3, 4, 4])
    row = cell_table(output).to_pylist()[1]
    for name, interval in (
        ("wilson", wilson),
        ("clopper_pearson", clopper_pearson),
        ("sequence", confidence_sequence),
    ):
        ends = interval(row["k_high"], 100)
        assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx(tuple(map(float, ends)))


def test_blocks_behind_a_gap_are_not_counted(output: Output) -> None:
    publish(output, 0, 0, [4])
    publish(output, 0, 2, [3])
    row = cell_table(output).to_pylist()[0]
    assert (row["networks"], row["k_low"], row["estimate"]) == (40, 0, 0.0)


def test_a_cell_without_blocks_has_no_estimate(output: Output) -> None:
    table = reduce(output)["cells"]
    assert table["networks"].to_pylist() == [0, 0]
    assert table["estimate"].to_pylist() == [None, None]
    assert power_laws(table).num_rows == 0


def test_tables_are_written_as_parquet_and_csv(output: Output, tmp_path: Path) -> None:
    for cell in (0, 1):
        for block in range(3):
            publish(output, cell, block, [3, 4, 4, 4 - cell])
    table = reduce(output)["cells"]
    assert output.read_table("cells").equals(table)
    read = pacsv.read_csv(tmp_path / "tables" / "cells.csv")
    assert read["k_high"].to_pylist() == table["k_high"].to_pylist()
    law = output.read_table("power_laws").to_pylist()[0]
    assert (law["points"], law["stop"]) == (2, "crossing+sufficient")


def test_shards_are_readable_as_they_lie(output: Output, tmp_path: Path) -> None:
    for block in output.sweep.all_blocks():
        attempt(BlockTask(block, output.origin(block.cell), str(tmp_path)))
    table = ds.dataset(tmp_path / "shards").to_table()
    assert table.num_rows == 200
    crossed = np.array(table["status"]) == StopReason.CROSSED
    assert (np.array(table["first_crossing"].is_valid()) >= crossed).all()
    assert (np.array(table["max_kink"])[crossed] >= 1).all()
