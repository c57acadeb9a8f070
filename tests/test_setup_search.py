"""The search for learning rates: two stages in one run, however it is interrupted or extended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_sweeps import assert_same_columns

import mcrelu
from mcrelu import api
from mcrelu.errors import ExitCode, ForeignOutputError
from mcrelu.experiments.base import CELLS
from mcrelu.experiments.setups import EXPERIMENT
from mcrelu.experiments.setups.search import FINE_RATIO, grid
from mcrelu.experiments.setups.tables import BEST
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.sweep.sweep import Sweep

COARSE, FINE = 3, 3  # rates, of which one is in both
GROUPS = 2


def sweep_of(*, lists: dict[str, Any] | None = None, **changes: Any) -> Sweep:
    """The example of the experiment: two groups, three rates, then two more around the best."""
    cells = {**EXPERIMENT.example["cells"], **(lists or {})}
    return Sweep.of({**EXPERIMENT.example, "cells": cells, **changes})


def run(folder: Path, sweep: Sweep | None = None) -> mcrelu.Run:
    return mcrelu.run(sweep or sweep_of(), folder, executor="serial")


def first_stage(folder: Path, sweep: Sweep | None = None) -> None:
    """What a run leaves that ends after the coarse grids."""
    output = Output.claim(Files.at(folder), sweep or sweep_of())
    assert do_sweep(output, SerialExecutor) == ExitCode.DONE
    assert len(output.cells) == COARSE * GROUPS


def stored(folder: Path) -> list[dict[str, Any]]:
    """The cells in cells.json."""
    cells: list[dict[str, Any]] = json.loads((folder / "cells.json").read_text())["cells"]
    return cells


def rows_of(done: mcrelu.Run) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = done.table().to_pylist()
    return rows


def assert_same(one: mcrelu.Run, other: mcrelu.Run) -> None:
    """The same rows and tables, in cells of any order."""
    assert {cell.id for cell in one.cells} == {cell.id for cell in other.cells}
    for cell in one.cells:
        assert_same_columns(one.networks(cell), other.networks(cell))
    by_cell = [{row["cell"]: row for row in rows_of(each)} for each in (one, other)]
    assert by_cell[0] == by_cell[1]


def expected_rates(done: mcrelu.Run) -> dict[str, list[float]]:
    """The rates of each data set, from the validation errors of the coarse grid."""
    coarse = grid(1e-2, 2.0**0.5, -1, 1)
    found = {}
    for data in EXPERIMENT.example["cells"]["data"]:
        errors = {
            row["learning_rate"]: row["best_valid_rmse"]
            for row in rows_of(done)
            if row["data"] == data and row["learning_rate"] in coarse
        }
        assert sorted(errors) == coarse
        found[data] = sorted(
            {*coarse, *grid(min(coarse, key=errors.__getitem__), FINE_RATIO, -1, 1)}
        )
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> mcrelu.Run:
    return run(tmp_path_factory.mktemp("whole"))


# ---------------------------------------------------------------------------- both stages


def test_a_run_ends_with_the_fine_grids(whole: mcrelu.Run) -> None:
    cells = stored(Path(whole.out))
    assert whole.exit_code == ExitCode.DONE
    assert len({cell["id"] for cell in cells}) == len(cells) == GROUPS * (COARSE + FINE - 1)
    rates: dict[str, list[float]] = {}
    for cell in cells:
        parameters = cell["parameters"]
        rates.setdefault(parameters["data"], []).append(parameters["learning_rate"])
    assert {data: sorted(values) for data, values in rates.items()} == expected_rates(whole)
    # Otherwise, the same rates around the middle of the grid would pass.
    assert any(max(values) > 0.015 or min(values) < 0.007 for values in rates.values())


def test_its_tables_have_all_rates(whole: mcrelu.Run) -> None:
    cells = whole.output.read_table(CELLS)
    assert cells["networks"].to_pylist() == [5] * 10
    best = whole.output.read_table(BEST).to_pylist()
    assert {row["data"]: row["rates_tried"] for row in best} == {"ex": 5, "radial-2": 5}
    for row in best:
        same = [one for one in cells.to_pylist() if one["data"] == row["data"]]
        assert row["best_valid_rmse"] == min(one["best_valid_rmse"] for one in same)
    assert whole.status()["blocks_done"] == whole.status()["blocks"] == 10 * 3


def test_the_spec_of_an_output_stays_as_it_was_asked_for(whole: mcrelu.Run) -> None:
    written = Sweep.from_yaml(Path(whole.out) / "spec.yaml")
    assert written == sweep_of()
    assert len(written.cells) == COARSE * GROUPS


def test_an_opened_output_knows_the_cells_of_its_search(whole: mcrelu.Run) -> None:
    opened = mcrelu.Run.open(whole.out)
    assert [cell.id for cell in opened.sweep.cells] == [cell.id for cell in opened.cells]
    assert {cell.id for cell in opened.cells} == {cell.id for cell in whole.cells}


# ----------------------------------------------------------------- interrupted, run again


def test_a_run_that_ended_between_the_stages_goes_on(tmp_path: Path, whole: mcrelu.Run) -> None:
    first_stage(tmp_path)
    assert len(stored(tmp_path)) == COARSE * GROUPS
    resumed = run(tmp_path)
    assert resumed.exit_code == ExitCode.DONE
    assert_same(resumed, whole)


def test_a_run_that_ended_in_the_second_stage_goes_on(tmp_path: Path, whole: mcrelu.Run) -> None:
    """With cells of the fine grids claimed, and a block of them done."""
    first_stage(tmp_path)
    rows = api.Run.open(tmp_path).table().to_pylist()
    fine = sweep_of().with_cells(sweep_of().spec.later_cells(rows))
    claimed = Output.claim(Files.at(tmp_path), fine)
    claimed.take()
    assert len(stored(tmp_path)) == 10
    before = shards(tmp_path)
    resumed = run(tmp_path)
    assert resumed.exit_code == ExitCode.DONE
    assert {name: time for name, time in shards(tmp_path).items() if name in before} == before
    assert_same(resumed, whole)


def test_an_interrupted_run_does_not_begin_the_second_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "do_sweep", lambda *_, **__: ExitCode.INTERRUPTED)
    Output.claim(Files.at(tmp_path), sweep_of()).take()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert len(stored(tmp_path)) == COARSE * GROUPS


def shards(folder: Path) -> dict[str, int]:
    """When each shard was written."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("shards/**/*.parquet")
    }


def test_a_rerun_does_nothing_and_keeps_all_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(tmp_path)
    before, rows, cells = shards(tmp_path), rows_of(done), stored(tmp_path)
    assert len(before) == 10 * 3

    def nobody(*_: Any) -> Any:
        def start() -> SerialExecutor:
            raise AssertionError("nothing is to be done")

        return start

    monkeypatch.setattr(api, "executor_starter", nobody)
    again = run(tmp_path)
    assert again.exit_code == ExitCode.DONE
    assert shards(tmp_path) == before
    assert rows_of(again) == rows
    assert {cell["id"] for cell in stored(tmp_path)} == {cell["id"] for cell in cells}


# -------------------------------------------------------------------------------- more


def test_more_networks_extend_all_cells(tmp_path: Path) -> None:
    """Also those around a rate that was best of fewer networks and is no longer."""
    few = {cell.id for cell in run(tmp_path, sweep_of(networks=2)).cells}
    before = shards(tmp_path)
    more = run(tmp_path, sweep_of(networks=6))
    assert more.exit_code == ExitCode.DONE
    assert few <= {cell.id for cell in more.cells}
    assert {row["networks"] for row in rows_of(more)} == {6}
    after = shards(tmp_path)
    assert {name: time for name, time in after.items() if name in before} == before
    fresh = run(tmp_path / "fresh", sweep_of(networks=6))
    assert {cell.id for cell in fresh.cells} <= {cell.id for cell in more.cells}
    for cell in fresh.cells:
        assert_same_columns(fresh.networks(cell), more.networks(cell))


def test_fewer_networks_are_refused(tmp_path: Path) -> None:
    run(tmp_path, sweep_of(networks=4))
    with pytest.raises(ForeignOutputError, match="networks: 4 there, 2 here"):
        run(tmp_path, sweep_of(networks=2))


def test_more_groups_and_wider_grids_only_add(tmp_path: Path) -> None:
    few = run(tmp_path, sweep_of(lists={"data": ["ex"]}, networks=2))
    before = {cell.id for cell in few.cells}
    more = run(tmp_path, sweep_of(networks=2, search={"coarse": [-1, 1], "fine": [-2, 2]}))
    assert more.exit_code == ExitCode.DONE
    assert before < {cell.id for cell in more.cells}
    assert len(more.cells) == GROUPS * (COARSE + 5 - 1)
    assert {row["networks"] for row in rows_of(more)} == {2}


def test_other_epochs_are_refused(tmp_path: Path) -> None:
    run(tmp_path, sweep_of(networks=2))
    with pytest.raises(ForeignOutputError, match="is there, not here"):
        run(tmp_path, sweep_of(networks=2, epochs=8))


def test_given_rates_are_one_stage(tmp_path: Path) -> None:
    spec = {key: value for key, value in EXPERIMENT.example.items() if key != "search"}
    spec["cells"] = {**spec["cells"], "learning_rate": [0.01, 0.02]}
    done = run(tmp_path, Sweep.of(spec))
    assert done.exit_code == ExitCode.DONE
    assert [row["learning_rate"] for row in rows_of(done)] == [0.01, 0.02] * GROUPS


# ------------------------------------------------------------------------- divergence


def test_a_group_that_diverges_everywhere_gets_no_fine_grid(tmp_path: Path) -> None:
    """At rates around 1000 descent explodes, Adam merely jumps; the run ends as any other."""
    lists = {"data": ["radial-2"], "optimizer": ["sgd", "adam"]}
    search = {"base": 1000.0, "coarse": [0, 1], "fine": [-1, 1]}
    done = run(tmp_path, sweep_of(lists=lists, networks=2, search=search))
    assert done.exit_code == ExitCode.DONE
    rates: dict[str, int] = {}
    for row in rows_of(done):
        rates[row["optimizer"]] = rates.get(row["optimizer"], 0) + 1
        assert row["networks"] == 2
        assert row["diverged"] == (2 if row["optimizer"] == "sgd" else 0)
    assert rates == {"sgd": 2, "adam": 2 + 2}
    assert [row["optimizer"] for row in done.output.read_table(BEST).to_pylist()] == ["adam"]


def test_a_run_where_everything_diverges_ends_well(tmp_path: Path) -> None:
    lists = {"optimizer": ["sgd"]}
    search = {"base": 1e5, "coarse": [0, 1], "fine": [-1, 1]}
    done = run(tmp_path, sweep_of(lists=lists, networks=2, search=search))
    assert done.exit_code == ExitCode.DONE
    assert len(done.cells) == 2 * GROUPS
    assert {row["diverged"] for row in rows_of(done)} == {2}
    assert done.output.read_table(BEST).num_rows == 0
    again = run(tmp_path, sweep_of(lists=lists, networks=2, search=search))
    assert (again.exit_code, len(again.cells)) == (ExitCode.DONE, 2 * GROUPS)
