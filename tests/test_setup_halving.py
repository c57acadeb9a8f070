"""Halving the rates: which are trained how far, and what is said of it afterwards."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import mcrelu
from mcrelu.errors import ExitCode
from mcrelu.experiments.base import CELLS
from mcrelu.experiments.setups import EXPERIMENT
from mcrelu.experiments.setups.halving import halving_of
from mcrelu.experiments.setups.search import best_of, better_half, rungs
from mcrelu.sweep.sweep import Sweep

SEARCH = {"coarse": [-2, 2], "fine": [0, 0]}


def sweep_of(**search: Any) -> Sweep:
    return Sweep.of(
        {**EXPERIMENT.example, "epochs": 16, "validate_every": 2, "search": SEARCH | search}
    )


def row(rate: float, epochs: int, value: float | None, **changes: Any) -> dict[str, Any]:
    group = {
        "data": "ex", "parametrization": "he", "optimizer": "sgd", "bias_init": "zero",
        "bias_gain": 1.0, "width": 16, "batch": 8,
    }  # fmt: skip
    own = {"learning_rate": rate, "epochs": epochs, "networks": 5, "best_valid_rmse": value}
    return group | own | changes


def test_rungs_double_up_to_all_epochs() -> None:
    assert rungs(8192) == [1024, 2048, 4096, 8192]
    assert rungs(5) == [1, 1, 2, 5]


def test_the_better_half_is_the_first_when_ranked() -> None:
    rows = [row(rate, 8, value) for rate, value in enumerate([3.0, 1.0, None, 2.0, 1.0])]
    assert [one["learning_rate"] for one in better_half(rows)] == [1, 4, 3]
    assert better_half([row(0.1, 8, None)]) == []


def test_a_run_halves_the_rates_of_every_group(tmp_path: Path) -> None:
    run = mcrelu.run(sweep_of(halving=True), tmp_path, executor="serial")
    assert run.exit_code == ExitCode.DONE
    rows = run.table().to_pylist()
    assert Counter(one["epochs"] for one in rows) == {2: 10, 4: 6, 8: 4, 16: 2}
    for data in ("ex", "radial-2"):
        left = [one for one in rows if one["data"] == data]
        for short, long in ((2, 4), (4, 8), (8, 16)):
            kept = better_half([one for one in left if one["epochs"] == short])
            trained = {one["learning_rate"] for one in left if one["epochs"] == long}
            assert trained == {one["learning_rate"] for one in kept}
    found = halving_of(rows)
    assert found is not None
    assert found == (2, 2 * (5 * 2 + 3 * 4 + 2 * 8 + 1 * 16), 2 * 5 * 16, 0, 0)


def test_only_rates_that_were_trained_to_the_end_are_chosen(tmp_path: Path) -> None:
    run = mcrelu.run(sweep_of(halving=True), tmp_path, executor="serial")
    tables = EXPERIMENT.derived(run.table())
    assert tables["best_rates"]["epochs"].to_pylist() == [16, 16]


def test_the_whole_grid_tells_whether_it_chose_well(tmp_path: Path) -> None:
    mcrelu.run(sweep_of(halving=True), tmp_path, executor="serial")
    both = mcrelu.run(sweep_of(), tmp_path, executor="serial")
    rows = both.table().to_pylist()
    assert Counter(one["epochs"] for one in rows)[16] == 10
    found = halving_of(rows)
    assert found is not None
    whole = [one for one in rows if one["data"] == "ex" and one["epochs"] == 16]
    assert best_of(whole) is not None
    assert (found.groups, found.compared) == (2, 2)
    titles = [one.title for one in EXPERIMENT.sections(EXPERIMENT.derived(both.table()))]
    assert "Halving" in titles


def test_agreement_is_counted_group_by_group() -> None:
    """Where the best rate shows late, halving misses it, and that is said."""
    early = {0.1: 1.0, 0.2: 2.0}
    late = {0.1: 5.0, 0.2: 4.0}
    misled = [row(rate, 2, early[rate]) for rate in early] + [row(r, 4, late[r]) for r in late]
    right = [
        row(rate, epochs, value, data="radial-2")
        for epochs in (2, 4)
        for rate, value in early.items()
    ]
    assert halving_of(misled) == (1, 2 * 2 + 4, 2 * 4, 1, 0)
    assert halving_of([*misled, *right]) == (2, 2 * (2 * 2 + 4), 2 * 2 * 4, 2, 1)


def test_without_halving_nothing_is_said(tmp_path: Path) -> None:
    run = mcrelu.run(sweep_of(), tmp_path, executor="serial")
    assert halving_of(run.table().to_pylist()) is None
    tables = EXPERIMENT.derived(run.table())
    assert "Halving" not in [one.title for one in EXPERIMENT.sections(tables)]
    assert tables[CELLS].num_rows == 10
