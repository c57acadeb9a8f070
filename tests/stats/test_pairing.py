"""Outputs that share networks are paired network by network, and those that do not are not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from setup_sweeps import setup_sweep
from small_sweeps import run_serially, sweep
from star_sweeps import star_sweep

import mcrelu
from mcrelu.errors import UserError
from mcrelu.experiments.base import CELLS
from mcrelu.problems.one_d import StopReason
from mcrelu.stats.pairing import Side, paired_points
from mcrelu.store.contents import CELLS_FILE
from mcrelu.store.output import Output
from mcrelu.store.pooled import PooledReader
from mcrelu.sweep.sweep import Sweep


def side(*outputs: Output) -> Side:
    reader = PooledReader(outputs)
    return Side.of(reader, reader.experiment.tables(reader)[CELLS])


def pairs(one: Side, other: Side) -> list[tuple[list[float], list[float]]]:
    return [(a.tolist(), b.tolist()) for a, b in paired_points(one, other).values()]


def test_pairs_are_the_networks_of_both(tmp_path: Path) -> None:
    """Another criterion stops the same networks, and more of them."""
    ours = run_serially(tmp_path / "a", sweep())
    theirs = run_serially(tmp_path / "b", sweep(networks=40, checks={"interval": 7, "maximum": 9}))
    ((one, other),) = pairs(side(ours), side(theirs))
    rows = [run.networks(run.cells[0])["status"].to_numpy() for run in (ours, theirs)]
    assert [len(some) for some in rows] == [25, 40]
    assert one == (rows[0] != StopReason.LOCALLY_CONVERGED).tolist()
    assert other == (rows[1] != StopReason.LOCALLY_CONVERGED)[:25].tolist()
    assert one != other


def test_where_blocks_differ_in_size_only_the_first_starts_alike(tmp_path: Path) -> None:
    ours = run_serially(tmp_path / "a", sweep())
    theirs = run_serially(tmp_path / "b", sweep(block_size=25))
    ((one, other),) = pairs(side(ours), side(theirs))
    assert len(one) == 10
    assert one == other
    kinks = [run.networks(run.cells[0])["max_kink"].to_pylist() for run in (ours, theirs)]
    assert kinks[0][:10] == kinks[1][:10]
    assert kinks[0][10:20] != kinks[1][10:20]


@pytest.mark.parametrize("changes", [{"seed": 5}, {"cells": {"width": [4], "offset": [0.1]}}])
def test_other_draws_are_not_paired(changes: dict[str, object], tmp_path: Path) -> None:
    ours = run_serially(tmp_path / "a", sweep())
    theirs = run_serially(tmp_path / "b", sweep(**changes))
    assert pairs(side(ours), side(theirs)) == []


def test_networks_that_are_shared_in_part_are_refused(tmp_path: Path) -> None:
    outputs = [run_serially(tmp_path / str(seed), sweep(seed=seed)) for seed in (1, 2, 3)]
    again = run_serially(tmp_path / "again", sweep(seed=2))
    with pytest.raises(UserError, match=r"seed 2: is on both sides of gd n=4 .*; give the same"):
        paired_points(side(*outputs[:2]), side(again, outputs[2]))
    ((one, other),) = pairs(side(*outputs[:2]), side(again, copy_of(outputs[0], tmp_path)))
    assert (len(one), one) == (50, other)


def copy_of(output: Output, folder: Path) -> Output:
    return run_serially(folder / "copy", output.sweep)


def test_an_older_output_has_the_networks_of_a_new_one(tmp_path: Path) -> None:
    """Though it does not say what it drew."""
    wanted = star_sweep(epochs=2000)
    older, new = (run_serially(tmp_path / name, wanted) for name in ("a", "b"))
    path = tmp_path / "a" / CELLS_FILE
    contents = json.loads(path.read_text())
    for cell in contents["cells"]:
        del cell["draws"]
    path.write_text(json.dumps(contents))
    assert len(pairs(side(Output.open(older.files)), side(new))) == 4  # two events at two widths


def with_rate(rate: float, common: bool = True) -> Sweep:
    lists = {"learning_rate": [rate]}
    return setup_sweep(lists=lists, common_random_numbers=common)


def test_ways_to_train_the_same_networks_are_paired_by_their_means(tmp_path: Path) -> None:
    """Common random numbers: the best rates of both sides differ, the networks do not."""
    one, other = (
        mcrelu.run(with_rate(rate), tmp_path / str(rate), executor="serial")
        for rate in (0.01, 0.011)
    )
    table = one.compare(other)
    assert set(table["test"].to_pylist()) == {"paired t"}
    difference = np.subtract(
        *(run.networks(run.cells[0])["best_test_rmse"].to_numpy() for run in (one, other))
    )
    t = difference.mean() / (difference.std(ddof=1) / np.sqrt(5))
    assert t in [pytest.approx(z) for z in table["z"].to_pylist()]


def test_ways_to_train_networks_of_their_own_are_not(tmp_path: Path) -> None:
    one, other = (
        mcrelu.run(with_rate(rate, common=False), tmp_path / str(rate), executor="serial")
        for rate in (0.01, 0.011)
    )
    assert set(one.compare(other)["test"].to_pylist()) == {"Welch"}
