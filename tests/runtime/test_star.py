"""Blocks of the star experiment: what they draw, the same rows however they come about."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from processes import child, exit_code, wait_until
from small_sweeps import (
    assert_same_columns,
    assert_same_rows,
    output,
    rows_of,
    run_serially,
    shard_files,
)
from star_sweeps import star_spec, star_sweep

from mcrelu.engines.r_d.grouped import GroupedEngine
from mcrelu.errors import ExitCode, ForeignOutputError, ResourceError
from mcrelu.experiments.star.block import points_of, start_of
from mcrelu.experiments.star.cell import StarCell
from mcrelu.problems.r_d import State
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.store.output import Output
from mcrelu.sweep.sweep import Sweep
from mcrelu.theory.backprop import losses_of
from mcrelu.theory.ntk import lambda_max, published_lambda_max
from mcrelu.theory.rays import affine_threshold

TORCH: dict[str, Any] = {"engine": "torch", "device": "cpu", "epochs": 200}
CASES: dict[str, dict[str, Any]] = {
    "grouped": {},
    "grouped, steps": {
        "cells": {
            "width": [8],
            "data": ["cross"],
            "step_size": ["inv_lambda_max", "published"],
            "step_factor": [1, 2],
        },
        "epochs": 1500,
    },
    "grouped, random": {
        "cells": {"width": [8], "data": ["random_with_line", "multi_axis_3"], "random_bias": [True]}
    },
    "torch": TORCH | {"cells": {"width": [6], "data": ["star-3"], "depth": [1, 3]}},
    "torch, tanh, float32": TORCH
    | {
        "cells": {"width": [6], "data": ["standard"], "activation": ["tanh"]},
        "precision": "float32",
    },
}
cases = pytest.mark.parametrize("changes", CASES.values(), ids=CASES.keys())


@pytest.fixture(autouse=True)
def _torch_if_needed(request: pytest.FixtureRequest) -> None:
    node = getattr(request.node, "callspec", None)
    if node is not None and "torch" in node.id:
        pytest.importorskip("torch")


def first_cell(wanted: Sweep) -> StarCell:
    cell = wanted.cells[0]
    assert isinstance(cell, StarCell)
    return cell


def segments_done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The segments (first epoch, epochs) that the grouped engine does from now on."""
    done: list[tuple[int, int]] = []
    advance = GroupedEngine.advance

    def noting(self: GroupedEngine, problem: Any, state: State, epochs: int) -> Any:
        done.append((state.epoch, epochs))
        return advance(self, problem, state, epochs)

    monkeypatch.setattr(GroupedEngine, "advance", noting)
    return done


# --- what is drawn --------------------------------------------------------------------------


def test_networks_start_as_the_theory_wants() -> None:
    wanted = star_sweep(networks=2, cells={"width": [50], "data": ["star-11"], "step_factor": [2]})
    block = next(wanted.all_blocks())
    start = start_of(block, wanted.provenance(block.cell))
    x, y, p = start.problem.x, start.problem.y, start.problem.p
    assert (x.shape, y.shape, p.shape) == ((33, 2), (33,), (2, 33))
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    np.testing.assert_allclose(p * 2500, np.round(p * 2500))  # N = n^2 samples
    assert np.array_equal(start.problem.step_size, 2.0 / lambda_max(start.layers, x, p))
    assert np.array_equal(start.problem.threshold, affine_threshold(x, y, p))
    assert [part.shape for layer in start.layers for part in layer] == [
        (2, 2, 50), (2, 50), (2, 50, 1), (2, 1),
    ]  # fmt: skip
    assert not start.layers[0].bias.any()


def test_the_published_step_is_that_of_the_parameters() -> None:
    wanted = star_sweep(cells={"width": [7], "data": ["star-3"], "step_size": ["published"]})
    block = next(wanted.all_blocks())
    start = start_of(block, wanted.provenance(block.cell))
    assert np.array_equal(start.problem.step_size, 1.0 / published_lambda_max(start.layers))


def test_networks_are_the_same_at_every_step_size_and_random_data_at_every_width() -> None:
    lists = {"width": [5, 6], "data": ["random_with_line"], "step_factor": [1, 2]}
    wanted = star_sweep(cells=lists)
    provenance = wanted.provenance(wanted.cells[0])
    starts = [start_of(next(wanted.blocks(cell)), provenance) for cell in wanted.cells]
    for one, other in [(0, 2), (1, 3)]:  # widths are the innermost list
        assert np.array_equal(starts[one].layers[0].weight, starts[other].layers[0].weight)
        assert not np.array_equal(starts[one].problem.step_size, starts[other].problem.step_size)
    assert all(np.array_equal(start.problem.x, starts[0].problem.x) for start in starts)
    elsewhere = star_sweep(seed=6, cells=lists)
    other_seed = elsewhere.provenance(elsewhere.cells[0])
    assert not np.array_equal(points_of(first_cell(elsewhere), other_seed).x, starts[0].problem.x)


def test_rows_say_what_training_did(tmp_path: Path) -> None:
    """Against the start of the block and a plain loop over its first epochs."""
    wanted = star_sweep(networks=2, cells={"width": [6], "data": ["star-3"]}, epochs=2500)
    done = run_serially(tmp_path, wanted)
    block = next(wanted.all_blocks())
    start = start_of(block, wanted.provenance(block.cell))
    rows = done.networks(block.cell).to_pylist()
    first_loss = losses_of(start.problem, start.layers)
    for k, row in enumerate(rows):
        assert (row["network"], row["width"], row["epochs"], row["depth"]) == (k, 6, 2500, 1)
        assert (row["data"], row["engine"], row["step_rule"]) == (
            "star-3",
            "grouped",
            "inv_lambda_max",
        )
        assert row["threshold"] == start.problem.threshold[k]
        assert row["step_size"] == start.problem.step_size[k]
        assert 1e-6 <= row["linear_step_size"] <= 1.0
        assert len(row["losses"]) == 2
        assert row["loss"] < row["losses"][0] < first_loss[k]  # gradient descent descends
        assert row["first_kink_change"] is None or 1 <= row["first_kink_change"] <= 2500
        below = row["loss"] < row["threshold"]
        assert (row["first_loss_crossing"] is not None) or not below


# --- the same rows --------------------------------------------------------------------------


@cases
def test_more_networks_leave_the_first_as_they_are(changes: dict[str, Any], tmp_path: Path) -> None:
    few, many = star_sweep(**changes, networks=3), star_sweep(**changes)
    before = rows_of(run_serially(tmp_path / "grown", few))
    grown = run_serially(tmp_path / "grown", many)
    assert_same_rows(grown, run_serially(tmp_path / "at once", many))
    for cell in many.cells:
        assert_same_columns(before[cell.id], grown.networks(cell).slice(0, 3))


@pytest.mark.parametrize(
    "changes",
    [{}, TORCH | {"cells": {"width": [4], "data": ["standard"], "depth": [2]}, "networks": 2}],
    ids=["grouped", "torch"],
)
@pytest.mark.parametrize("first", [10_000, 10_400])
def test_more_epochs_go_on_from_the_last_whole_leg(
    changes: dict[str, Any], first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = (star_sweep(**(changes | {"epochs": epochs})) for epochs in (first, 11_000))
    run_serially(tmp_path / "grown", few)
    segments = segments_done(monkeypatch)
    grown = run_serially(tmp_path / "grown", many)
    if not changes:
        assert min(segments)[0] == 10_000
    assert_same_rows(grown, run_serially(tmp_path / "at once", many))


def test_fewer_epochs_are_refused(tmp_path: Path) -> None:
    run_serially(tmp_path, star_sweep(epochs=40))
    with pytest.raises(ForeignOutputError, match="epochs: 40 there, 30 here"):
        output(tmp_path, star_sweep(epochs=30))


def test_other_checkpoints_are_no_other_sweep(tmp_path: Path) -> None:
    run_serially(tmp_path, star_sweep(epochs=10))
    assert not output(tmp_path, star_sweep(epochs=10, checkpoint_every=50_000)).missing()


# --- killed and resumed ---------------------------------------------------------------------

LONG: dict[str, Any] = {
    "networks": 4,
    "block_size": 2,
    "epochs": 400_000,
    "checkpoint_every": 10_000,
    "cells": {"width": [24], "data": ["star-5"]},
}
LONG_TORCH: dict[str, Any] = (
    LONG
    | TORCH
    | {
        "epochs": 30_000,
        "cells": {"width": [4], "data": ["standard"], "depth": [2]},
    }
)


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoints/*/*/*.npz"))


@pytest.fixture(scope="module", params=[LONG, LONG_TORCH], ids=["grouped", "torch"])
def long(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Output]:
    """A long sweep, and what it gives where nobody kills it."""
    changes = request.param
    if changes is LONG_TORCH:
        pytest.importorskip("torch")
    return changes, run_serially(tmp_path_factory.mktemp("at_once"), star_sweep(**changes))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_a_random_moment(
    long: tuple[dict[str, Any], Output], seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, at_once = long
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(star_spec(**changes)))
    with child(tmp_path / "sweep.yaml", tmp_path / "out", "serial") as process:
        wait_until(lambda: checkpoints(tmp_path / "out"), "a checkpoint")
        time.sleep(random.Random(seed).uniform(0.0, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    wanted = star_sweep(**changes)
    assert output(tmp_path / "out", wanted).missing()
    reached = int(checkpoints(tmp_path / "out")[-1].stem.partition("-")[0])
    segments = segments_done(monkeypatch)
    resumed = run_serially(tmp_path / "out", wanted)
    if changes is LONG:
        assert segments[0][0] == reached > 0  # not from the start
    assert_same_rows(resumed, at_once)


@pytest.mark.ray
@pytest.mark.slow
def test_killed_with_ray_and_resumed(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(star_spec(**LONG)))
    with child(tmp_path / "sweep.yaml", tmp_path / "out", "2") as process:
        wait_until(lambda: checkpoints(tmp_path / "out"), "a checkpoint")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with child(tmp_path / "sweep.yaml", tmp_path / "out", "2") as process:
        assert exit_code(process) == ExitCode.DONE
    wanted = star_sweep(**LONG)
    assert_same_rows(output(tmp_path / "out", wanted), run_serially(tmp_path / "serial", wanted))


def test_a_torn_or_foreign_checkpoint_is_passed_over(tmp_path: Path) -> None:
    wanted = star_sweep(
        epochs=30_000, checkpoint_every=10_000, networks=2, cells={"width": [5], "data": ["star-3"]}
    )
    plain = run_serially(tmp_path / "plain", wanted)
    for name in ("torn", "foreign"):
        out = tmp_path / name
        other = (
            wanted
            if name == "torn"
            else star_sweep(**(wanted.spec.model_dump(mode="json") | {"seed": 6}))
        )
        run_serially(out, other)
        (kept,) = checkpoints(out)
        if name == "torn":
            kept.write_bytes(kept.read_bytes()[:-200])
        for owner in ("spec.yaml", "cells.json"):
            (out / owner).unlink()
        for shard in shard_files(out, other):
            shard.unlink()
        assert_same_rows(run_serially(out, wanted), plain)


# --- faults ---------------------------------------------------------------------------------


def test_without_its_device_a_run_ends_by_one_line(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    wanted = star_sweep(**(TORCH | {"cells": {"width": [4], "data": ["standard"], "depth": [2]}}))
    with pytest.raises(ResourceError, match="device 'cuda' cannot be used") as caught:
        do_sweep(output(tmp_path, wanted), lambda: SerialExecutor("cuda"))
    assert len(str(caught.value).splitlines()) == 1
