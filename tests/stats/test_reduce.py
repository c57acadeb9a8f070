"""Tables from rows made by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.csv as pacsv
import pyarrow.dataset as ds
import pytest
from small_sweeps import output as claimed
from small_sweeps import publish_made_up, sweep

from mcrelu.experiments.base import BlockTask
from mcrelu.experiments.crossing.tables import power_laws, summary
from mcrelu.problems.one_d import StopReason
from mcrelu.runtime.block import attempt
from mcrelu.runtime.task import BlockDone
from mcrelu.stats.intervals import clopper_pearson, wilson
from mcrelu.stats.sequential import confidence_sequence
from mcrelu.store.output import Output
from mcrelu.store.reduce import cell_table, reduce, written_tables


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """Two cells of 100 networks in blocks of 40; nothing is there yet."""
    checks = {"interval": 100, "maximum": 50}
    wanted = sweep(networks=100, cells={"width": [4, 8]}, block_size=40, checks=checks)
    made = claimed(tmp_path, wanted)
    made.take()
    return made


def publish(output: Output, cell: int, block: int, status: list[int]) -> None:
    """A shard with statuses made up."""
    publish_made_up(output, output.sweep.block(output.sweep.cells[cell], block), status)


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


def test_the_summary_of_a_block_counts_what_was_not_shown_to_stay(output: Output) -> None:
    stays = {StopReason.LOCALLY_CONVERGED, StopReason.EARLY_STOPPED}
    for reason in StopReason:
        publish(output, 0, 0, [reason])
        rows = output.networks(output.sweep.cells[0])
        assert summary(rows) == {"k": 0 if reason in stays else 40}


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
    table = reduce(output).tables["cells"]
    assert table["networks"].to_pylist() == [0, 0]
    assert table["estimate"].to_pylist() == [None, None]
    assert power_laws(table).num_rows == 0


def test_tables_are_written_as_parquet_and_csv(output: Output, tmp_path: Path) -> None:
    for cell in (0, 1):
        for block in range(3):
            publish(output, cell, block, [3, 4, 4, 4 - cell])
    table = reduce(output).tables["cells"]
    assert output.read_table("cells").equals(table)
    assert written_tables(output)["power_laws"].equals(output.read_table("power_laws"))
    read = pacsv.read_csv(tmp_path / "tables" / "cells.csv")
    assert read["k_high"].to_pylist() == table["k_high"].to_pylist()
    law = output.read_table("power_laws").to_pylist()[0]
    assert (law["points"], law["stop"]) == (2, "crossing+sufficient")


def test_shards_are_readable_as_they_lie(output: Output, tmp_path: Path) -> None:
    for block in output.sweep.all_blocks():
        task = BlockTask(block, output.sweep.provenance(block.cell), str(tmp_path))
        assert isinstance(attempt(task), BlockDone)
    table = ds.dataset(tmp_path / "shards").to_table()
    assert table.num_rows == 200
    crossed = np.array(table["status"]) == StopReason.CROSSED
    assert (np.array(table["first_crossing"].is_valid()) >= crossed).all()
    assert (np.array(table["max_kink"])[crossed] >= 1).all()
