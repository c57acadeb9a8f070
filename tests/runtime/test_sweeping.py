"""The promise everything rests on: the same rows, however, wherever and in how many goes."""

from __future__ import annotations

import json
import pickle
import random
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from processes import PATIENCE, caught, child, command, exit_code, interrupt
from small_sweeps import (
    assert_same_columns,
    assert_same_rows,
    crossing_cells,
    output,
    rows_of,
    run_serially,
    shard_files,
    spec,
    sweep,
)

import mcrelu
from mcrelu.data import point_weights, sample_size, standard_points
from mcrelu.engines.one_d.registry import get_engine
from mcrelu.errors import ExitCode, ResourceError
from mcrelu.experiments.base import BlockTask
from mcrelu.experiments.crossing import block as crossing
from mcrelu.experiments.crossing.cell import CrossingCell
from mcrelu.experiments.crossing.train import train
from mcrelu.init import INITIALIZERS
from mcrelu.problems.one_d import Problem
from mcrelu.rng import LEGACY_MASTER_SEED, legacy_draws
from mcrelu.runtime import sweeping
from mcrelu.runtime.progress import Silent, Tally
from mcrelu.runtime.replay import chosen_block
from mcrelu.runtime.serial import Attempt, SerialExecutor
from mcrelu.runtime.submit import Executor
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.store.output import Output
from mcrelu.store.reduce import reduce
from mcrelu.sweep.cell import Block
from mcrelu.sweep.sweep import Sweep
from mcrelu.theory.sigma import inv_lambda_max

# Every optimiser, initialisation, step rule and criterion; a short last block in each.
CASES: dict[str, dict[str, Any]] = {
    "gd": {"cells": {"width": [4, 8], "offset": [0, 0.1]}},
    "gd, dense engine": {"cells": {"width": [4, 8]}, "engine": "dense"},
    "gd, early stopping": {"cells": {"width": [4, 8]}, "stop": ["crossing", "early_stopping"]},
    "gd, both criteria": {
        "cells": {"width": [4]},
        "stop": ["crossing", "early_stopping", {"sufficient": {"form": "sharp"}}],
        "step_size": {"over_width": 0.01},
        "checks": {"interval": 500, "maximum": 20},
    },
    "gd, published form": {
        "cells": {"width": [4]},
        "stop": ["crossing", {"sufficient": {"form": "published"}}],
        "rng": "philox",
    },
    "sgd, early stopping": {
        "cells": {"width": [4, 8], "optimizer": ["sgd"]},
        "stop": ["crossing", "early_stopping"],
    },
    "sgd, dense engine": {
        "cells": {"width": [8], "optimizer": ["sgd"]},
        "stop": ["crossing", "early_stopping"],
        "engine": "dense",
    },
    "adam, early stopping": {
        "cells": {"width": [4, 8], "optimizer": ["adam"]},
        "stop": ["crossing", "early_stopping"],
    },
    "unfinished": {
        "cells": {"width": [8], "optimizer": ["gd", "sgd", "adam"]},
        "stop": ["crossing"],
        "step_size": {"over_width": 0.001},
        "checks": {"interval": 7, "maximum": 3},
    },
    "swapped": {
        "cells": {"width": [8], "init": ["swapped"]},
        "checks": {"interval": 100, "maximum": 100},
    },
}

MIXED: dict[str, Any] = {
    "networks": 45,
    "cells": {"width": [4, 8], "optimizer": ["gd", "sgd", "adam"]},
    "stop": ["crossing", {"early_stopping": {"patience": 3}}],
    "checks": {"interval": 100, "maximum": 30},
}


class Shuffled(SerialExecutor):
    """Has many blocks in flight and does them in any order."""

    name = "shuffled"

    def __init__(self, seed: int, capacity: int) -> None:
        super().__init__()
        self._chance = random.Random(seed)
        self._capacity = capacity

    def capacity(self) -> int:
        return self._capacity

    def wait(self, handles: Collection[Attempt], seconds: float) -> list[Attempt]:
        handles = list(handles)
        return self._chance.sample(handles, self._chance.randint(1, len(handles)))


class Shared:
    """An executor that outlives the runs that it is lent to."""

    def __init__(self, executor: Executor[Any]) -> None:
        self._executor = executor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def close(self) -> None:
        return


def write_spec(folder: Path, **changes: Any) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(spec(**changes)))
    return path


def status(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "status.json").read_text())


# --- the same rows --------------------------------------------------------------------------


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("seed", range(3))
def test_blocks_in_any_order(changes: dict[str, Any], seed: int, tmp_path: Path) -> None:
    wanted = sweep(**changes)
    plain = run_serially(tmp_path / "plain", wanted)
    shuffled = output(tmp_path / "shuffled", wanted)
    assert do_sweep(shuffled, lambda: Shuffled(seed, capacity=100)) == ExitCode.DONE
    assert_same_rows(plain, shuffled)


def test_another_seed_gives_other_rows(tmp_path: Path) -> None:
    """The comparison can fail."""
    one, other = sweep(), sweep(seed=1)
    with pytest.raises(AssertionError):
        assert_same_rows(run_serially(tmp_path / "one", one), run_serially(tmp_path / "two", other))


@pytest.fixture(scope="class", params=[1, 2])
def ray_executor(request: pytest.FixtureRequest) -> Iterator[Executor[Any]]:
    from mcrelu.runtime.ray_tasks import RayExecutor

    executor = RayExecutor.embed(request.param)
    yield executor
    executor.close()


@pytest.mark.ray
class TestRay:
    @pytest.mark.parametrize("changes", CASES.values(), ids=CASES.keys())
    def test_workers(
        self, changes: dict[str, Any], ray_executor: Executor[Any], tmp_path: Path
    ) -> None:
        wanted = sweep(**changes)
        done = output(tmp_path / "ray", wanted)
        assert do_sweep(done, lambda: Shared(ray_executor)) == ExitCode.DONE
        assert_same_rows(run_serially(tmp_path / "serial", wanted), done)

    def test_a_serial_run_goes_on_with_ray(
        self, ray_executor: Executor[Any], tmp_path: Path
    ) -> None:
        few, many = sweep(**MIXED), sweep(**(MIXED | {"networks": 112}))
        run_serially(tmp_path / "grown", few)
        grown = output(tmp_path / "grown", many)
        assert do_sweep(grown, lambda: Shared(ray_executor)) == ExitCode.DONE
        assert_same_rows(run_serially(tmp_path / "serial", many), grown)


@pytest.mark.ray
def test_ray_through_the_python_interface(tmp_path: Path) -> None:
    wanted = sweep(**MIXED)
    run = mcrelu.run(wanted, tmp_path / "ray", workers=2)
    assert run.exit_code == ExitCode.DONE
    assert_same_rows(run_serially(tmp_path / "serial", wanted), run.output)


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES.keys())
def test_more_networks_leave_the_first_as_they_are(changes: dict[str, Any], tmp_path: Path) -> None:
    few, many = sweep(**changes), sweep(**(changes | {"networks": 47}))
    before = rows_of(run_serially(tmp_path / "grown", few))
    grown = run_serially(tmp_path / "grown", many)
    assert_same_rows(grown, run_serially(tmp_path / "at once", many))
    for cell in many.cells:
        assert_same_columns(before[cell.id], grown.networks(cell).slice(0, 25))


@pytest.mark.parametrize(
    "changes",
    [
        {"cells": {"width": [4]}},
        {
            "cells": {"width": [4], "optimizer": ["sgd"]},
            "stop": ["crossing", {"early_stopping": {"patience": 2}}],
            "checks": {"interval": 50, "maximum": 20},
        },
    ],
    ids=["gd", "sgd"],
)
def test_a_thousand_networks_extended(changes: dict[str, Any], tmp_path: Path) -> None:
    """1000 networks are blocks of 300, 300, 300 and 100; the last is redone with 300."""
    few = sweep(**changes, networks=1000, block_size=300)
    many = sweep(**changes, networks=2500, block_size=300)
    before = rows_of(run_serially(tmp_path / "grown", few))
    kept = [path.stat().st_mtime_ns for path in shard_files(tmp_path / "grown", few)]
    grown = run_serially(tmp_path / "grown", many)
    still = [path.stat().st_mtime_ns for path in shard_files(tmp_path / "grown", many)]
    assert len(kept) == 4
    assert still[:3] == kept[:3]
    assert still[3] > kept[3]
    assert_same_rows(grown, run_serially(tmp_path / "at once", many))
    for cell in many.cells:
        assert_same_columns(before[cell.id], grown.networks(cell).slice(0, 1000))


def test_more_widths_run_only_the_difference(tmp_path: Path) -> None:
    run_serially(tmp_path / "grown", sweep(cells={"width": [4]}))
    wider = sweep(cells={"width": [8, 4]})
    executor = Noting()
    assert do_sweep(output(tmp_path / "grown", wider), lambda: executor) == ExitCode.DONE
    assert {block.cell.width for block in executor.blocks} == {8}
    assert_same_rows(output(tmp_path / "grown", wider), run_serially(tmp_path / "at once", wider))


class Noting(SerialExecutor):
    """Notes the blocks that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[Block] = []

    def submit(self, task: BlockTask, number: int) -> Attempt:
        self.blocks.append(task.block)
        return super().submit(task, number)


@pytest.mark.parametrize("optimizer", ["gd", "sgd", "adam"])
def test_other_cells_of_the_sweep_make_no_difference(optimizer: str, tmp_path: Path) -> None:
    common = {key: value for key, value in MIXED.items() if key != "cells"}
    alone = sweep(**common, cells={"width": [8], "optimizer": [optimizer]})
    lists = {"width": [4, 8, 16], "offset": [0, 0.1], "optimizer": ["adam", "sgd", "gd"]}
    crowd = sweep(**common, cells=lists | {"init": ["swapped", "he"]})
    (cell,) = alone.cells
    assert cell in crowd.cells
    ours = run_serially(tmp_path / "alone", alone).networks(cell)
    theirs = run_serially(tmp_path / "crowd", crowd).networks(cell)
    assert ours.num_rows == 45
    assert_same_columns(ours, theirs)


def test_the_networks_of_different_cells_and_blocks_are_different(tmp_path: Path) -> None:
    """Else equal rows would say nothing. The step size tells networks of one width apart."""
    common = {key: value for key, value in MIXED.items() if key != "cells"}
    lists = {"width": [8], "offset": [0, 0.1], "optimizer": ["gd", "sgd"], "init": ["he"]}
    done = run_serially(tmp_path, sweep(**common, cells=lists))
    step_sizes = [h for rows in rows_of(done).values() for h in rows["step_size"].to_pylist()]
    assert len(set(step_sizes)) == len(step_sizes) == 4 * 45


def test_criteria_do_not_change_the_networks(tmp_path: Path) -> None:
    """The step size is a function of the draws, whatever stops the training."""
    step_sizes = []
    for name, stop in (("a", ["crossing"]), ("b", ["crossing", "sufficient"])):
        wanted = sweep(stop=stop, checks={"interval": 10, "maximum": 10})
        done = run_serially(tmp_path / name, wanted)
        step_sizes.append(done.networks(wanted.cells[0])["step_size"])
    assert step_sizes[0].equals(step_sizes[1])


def test_equal_cells_are_interchangeable() -> None:
    """Executors keep tasks in dictionaries and send them to other processes."""
    assert sweep().cells == sweep().cells
    assert hash(sweep().cells) == hash(sweep().cells)
    assert pickle.loads(pickle.dumps(sweep().cells)) == sweep().cells


# --- runs --------------------------------------------------------------------------------


def test_a_run_that_is_done_starts_no_executor(tmp_path: Path) -> None:
    done = run_serially(tmp_path, sweep())

    def refuse() -> Executor[Any]:
        raise AssertionError

    assert do_sweep(output(tmp_path, sweep()), refuse) == ExitCode.DONE
    assert_same_rows(done, output(tmp_path, sweep()))


def test_an_executor_that_cannot_start_leaves_nothing(tmp_path: Path) -> None:
    def refuse() -> Executor[Any]:
        raise ResourceError("no cluster")

    with pytest.raises(ResourceError, match="no cluster"):
        do_sweep(output(tmp_path / "out", sweep()), refuse)
    assert not (tmp_path / "out").exists()


def test_wide_cells_come_first_and_blocks_in_order(tmp_path: Path) -> None:
    executor = Noting()
    do_sweep(output(tmp_path, sweep(cells={"width": [4, 16, 8]})), lambda: executor)
    order = [(block.cell.width, block.index) for block in executor.blocks]
    first = [(width, 0) for width in (16, 8, 4)]
    assert order == first + [(width, index) for width in (16, 8, 4) for index in (1, 2)]


def test_a_run_with_nothing_to_do_keeps_the_times_of_the_one_that_did(tmp_path: Path) -> None:
    run_serially(tmp_path, sweep())
    before = status(tmp_path) | {"seconds": 1234.5, "started": "2026-01-02T03:04:05+00:00"}
    before |= {"state": "interrupted", "exit_code": 130}
    (tmp_path / "status.json").write_text(json.dumps(before))
    run_serially(tmp_path, sweep())
    after = status(tmp_path)
    assert {**after} == before | {"state": "done", "exit_code": 0}
    run_serially(tmp_path, sweep(networks=30))
    assert status(tmp_path)["seconds"] < 1234.5  # it had something to do
    assert status(tmp_path)["started"] > before["started"]


def test_status_says_how_a_run_ended(tmp_path: Path) -> None:
    run_serially(tmp_path, sweep(cells={"width": [4, 8]}))
    said = status(tmp_path)
    assert said["state"] == "done"
    assert said["exit_code"] == 0
    assert said["blocks"] == {"total": 6, "done": 6, "failed": 0}
    assert said["networks"] == {"total": 50, "done": 50}


# --- interrupted runs -----------------------------------------------------------------------

INTERRUPTED: dict[str, Any] = {"networks": 80, "cells": {"width": [4, 8]}}
BLOCKS = 16


@pytest.mark.parametrize("where", ["block", "shards", "between"])
def test_a_killed_run_resumes(where: str, tmp_path: Path) -> None:
    path, folder, ready = write_spec(tmp_path, **INTERRUPTED), tmp_path / "out", tmp_path / "ready"
    with child(path, folder, "serial", where, 3, ready) as process:
        caught(process, ready)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    with resuming(path, folder, tmp_path / "at once"):
        assert do_sweep(output(folder, Sweep.from_yaml(path)), SerialExecutor) == ExitCode.DONE


SIGNALS = {
    signal.SIGINT: (ExitCode.INTERRUPTED, "interrupted"),
    signal.SIGTERM: (ExitCode.TERMINATED, "terminated"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "number"),
    [("block", signal.SIGINT), ("shards", signal.SIGTERM), ("between", signal.SIGINT)],
)
def test_an_interrupted_run_says_so_and_resumes(
    where: str, number: signal.Signals, tmp_path: Path
) -> None:
    path, folder, ready = write_spec(tmp_path, **INTERRUPTED), tmp_path / "out", tmp_path / "ready"
    with child(path, folder, "serial", where, 3, ready) as process:
        caught(process, ready)
        interrupt(process, number)
        assert exit_code(process) == SIGNALS[number][0]
    assert_says(folder, *SIGNALS[number])
    with resuming(path, folder, tmp_path / "at once"), child(path, folder, "serial") as process:
        assert exit_code(process) == ExitCode.DONE


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_the_command_line_says_that_it_was_interrupted(
    number: signal.Signals, tmp_path: Path
) -> None:
    """The whole command: exit code and one line; tables would take time, and can be had later."""
    changes = {"networks": 400, "cells": {"width": [256]}, "stop": ["crossing"], "engine": "dense"}
    checks = {"interval": 1000, "maximum": 20}  # a block takes a second or two
    path, folder = write_spec(tmp_path, **changes, checks=checks), tmp_path / "out"
    with command("run", path, "--out", folder, "--serial") as process:
        caught(process, folder / "shards")
        interrupt(process, number)
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == SIGNALS[number][0]
    assert "the same command goes on" in out
    assert "Traceback" not in out
    assert status(folder)["exit_code"] == SIGNALS[number][0]
    assert f"mcrelu report {folder}" in out
    assert not (folder / "tables").exists()
    reduced = reduce(mcrelu.Run.open(folder).output).tables["cells"]
    assert reduced["width"].to_pylist() == [256]


@pytest.mark.ray
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_an_interrupted_ray_run_says_so_and_resumes(number: signal.Signals, tmp_path: Path) -> None:
    path, folder, ready = write_spec(tmp_path, **INTERRUPTED), tmp_path / "out", tmp_path / "ready"
    with child(path, folder, 2, "between", 3, ready) as process:
        caught(process, ready)
        interrupt(process, number)
        assert exit_code(process) == SIGNALS[number][0]
    assert_says(folder, *SIGNALS[number])
    with resuming(path, folder, tmp_path / "at once"), child(path, folder, "serial") as process:
        assert exit_code(process) == ExitCode.DONE


def assert_says(folder: Path, code: ExitCode, state: str) -> None:
    said = status(folder)
    assert said["state"] == state
    assert said["exit_code"] == code
    assert 0 < said["blocks"]["done"] < BLOCKS
    assert said["blocks"]["failed"] == 0
    assert not (folder / "errors").exists()


@contextmanager
def resuming(path: Path, folder: Path, other: Path) -> Iterator[None]:
    """The run lost only what was in flight; what is done within does exactly the rest."""
    wanted = Sweep.from_yaml(path)
    there = {file: file.stat().st_mtime_ns for file in shard_files(folder, wanted)}
    missing = output(folder, wanted).missing()
    assert 0 < len(missing) < BLOCKS
    assert len(there) == BLOCKS - len(missing)  # all that is there is good
    yield
    assert status(folder)["state"] == "done"
    assert status(folder)["blocks"] == {"total": BLOCKS, "done": BLOCKS, "failed": 0}
    assert {file: file.stat().st_mtime_ns for file in there} == there  # nothing is done twice
    assert_same_rows(output(folder, wanted), run_serially(other, wanted))


# --- failed blocks --------------------------------------------------------------------------


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Block 1 of width 4 raises until the patch is undone."""
    train_block = crossing.train_block

    def failing(block: Block, provenance: Any) -> Any:
        if (block.cell.width, block.index) == (4, 1):
            raise ZeroDivisionError("nothing to divide by")
        return train_block(block, provenance)

    with monkeypatch.context() as patch:
        patch.setattr(crossing, "train_block", failing)
        yield patch


WITH_FAULT = sweep(cells={"width": [4, 8]}, networks=40)


def error_file(folder: Path) -> Path:
    (path,) = (folder / "errors").iterdir()
    return path


def test_a_failed_block_is_described_and_the_rest_is_done(
    broken: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failed = output(tmp_path, WITH_FAULT)
    assert do_sweep(failed, SerialExecutor) == ExitCode(4) == ExitCode.FAILED_BLOCKS
    (missing,) = failed.missing()
    assert (missing.cell.width, missing.index) == (4, 1)
    said = json.loads(error_file(tmp_path).read_text())
    assert error_file(tmp_path).name == f"{missing.cell.id}-000001.json"
    assert said["error"] == "ZeroDivisionError: nothing to divide by"
    assert said["block"] == 1
    assert said["cell"] == json.loads(json.dumps(missing.cell.parameters()))
    assert said["seed"] == WITH_FAULT.spec.seed
    assert "Traceback" in said["traceback"]
    assert "nothing to divide by" in said["traceback"]
    assert said["replay"].startswith("mcrelu ")
    assert str(tmp_path) in said["replay"]
    assert {"mcrelu", "numpy", "python"} <= said["versions"].keys()


def test_status_and_tables_say_that_a_block_failed(
    broken: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = mcrelu.run(WITH_FAULT, tmp_path, executor="serial")
    assert run.exit_code == ExitCode.FAILED_BLOCKS
    assert status(tmp_path)["state"] == "failed_blocks"
    assert status(tmp_path)["exit_code"] == 4
    assert status(tmp_path)["blocks"] == {"total": 8, "done": 7, "failed": 1}
    counted = {row["width"]: row["networks"] for row in run.table().to_pylist()}
    assert counted == {4: 10, 8: 40}  # nothing behind the gap
    assert run.status()["failed_blocks"] == 1


def test_the_next_run_redoes_a_failed_block(broken: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    do_sweep(output(folder, WITH_FAULT), SerialExecutor)
    assert do_sweep(output(folder, WITH_FAULT), SerialExecutor) == ExitCode.FAILED_BLOCKS
    assert error_file(folder).exists()
    broken.undo()
    executor = Noting()
    assert do_sweep(output(folder, WITH_FAULT), lambda: executor) == ExitCode.DONE
    assert [(block.cell.width, block.index) for block in executor.blocks] == [(4, 1)]
    assert list((folder / "errors").iterdir()) == []
    assert status(folder)["blocks"] == {"total": 8, "done": 8, "failed": 0}
    assert_same_rows(output(folder, WITH_FAULT), run_serially(tmp_path / "plain", WITH_FAULT))


def test_the_replay_command_is_one_that_there_is(
    broken: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It does the failed block again, in this process, and shows the same error."""
    do_sweep(output(tmp_path, WITH_FAULT), SerialExecutor)
    command = json.loads(error_file(tmp_path).read_text())["replay"].split()
    assert command[:2] == ["mcrelu", "run"]
    error_file(tmp_path).unlink()
    again = Output.claim(output(tmp_path, WITH_FAULT).files, Sweep.from_yaml(command[2]))
    assert command[3:-1] == ["--out", str(tmp_path), "--serial", "--block"]
    only = chosen_block(again, command[-1])
    assert do_sweep(again, SerialExecutor, only=only) == ExitCode.FAILED_BLOCKS
    assert error_file(tmp_path).exists()


# --- rng: legacy ----------------------------------------------------------------------------


def original_seeds(width: int) -> list[tuple[int, int]]:
    """Networks and seed of the original's batches at a width (reference section 1)."""
    state = np.random.RandomState(LEGACY_MASTER_SEED)
    state.randn(1000)
    for k in range(4, 12):
        size = min(2 ** max(16 - k, 3), 10_000)
        firsts = range(0, 10_000, size)
        batches = [(min(size, 10_000 - first), state.randint(2**30)) for first in firsts]
        if 2**k == width:
            return batches
    raise AssertionError


def direct(cell: CrossingCell, batches: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    """The networks of some of the original's batches, without blocks, shards and executors."""
    points = standard_points(cell.offset)
    columns: dict[str, list[np.ndarray]] = {}
    for networks, seed in batches:
        draws = legacy_draws(seed, networks, cell.width, len(points.x), sample_size(cell.width))
        p = point_weights(draws.counts)
        rows = np.arange(networks)
        normals = draws.a_normals.rows(rows), draws.w_normals.rows(rows)
        weights = INITIALIZERS[cell.init](*normals)
        step_size = inv_lambda_max(weights, points, p)
        problem = Problem(points, p, weights, step_size, cell.optimizer)
        minibatches = None if cell.optimizer == "gd" else draws.minibatches
        outcome = train(
            get_engine(cell.engine),
            problem,
            point_weights(draws.validation_counts),
            cell.criteria,
            cell.checks,
            minibatches,
        )
        for name, values in {**outcome._asdict(), "step_size": step_size}.items():
            columns.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in columns.items()}


@pytest.mark.parametrize("optimizer", ["gd", "sgd", "adam"])
def test_legacy_networks_are_those_of_the_original(optimizer: str, tmp_path: Path) -> None:
    legacy = sweep(
        rng="legacy",
        seed=LEGACY_MASTER_SEED,
        block_size=None,
        networks=64,
        cells={"width": [1024, 2048], "optimizer": [optimizer]},
        stop=["crossing", {"early_stopping": {"patience": 2}}],
        checks={"interval": 10, "maximum": 5},
    )
    done = run_serially(tmp_path, legacy)
    for cell in crossing_cells(legacy):
        whole = 64 // legacy.block_size(cell)
        expected = direct(cell, original_seeds(cell.width)[:whole])
        rows = done.networks(cell)
        assert rows.num_rows == 64
        found = rows["first_crossing"].fill_null(0).to_numpy()
        assert np.array_equal(found, expected.pop("first_crossing"))
        for name, values in expected.items():
            assert np.array_equal(rows[name].to_numpy(), values), name


def test_legacy_networks_are_not_those_of_philox(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"networks": 32, "cells": {"width": [2048]}, "stop": ["crossing"]}
    changes["checks"] = {"interval": 2, "maximum": 2}
    legacy = sweep(**changes, rng="legacy", block_size=None)
    philox = sweep(**changes, block_size=32)
    one, other = run_serially(tmp_path / "l", legacy), run_serially(tmp_path / "p", philox)
    (cell,) = legacy.cells
    assert not one.networks(cell)["step_size"].equals(other.networks(cell)["step_size"])


class Said(Silent):
    """A display that remembers what was said, and does something at each update."""

    def __init__(self, at_update: Callable[[], object] = lambda: None) -> None:
        self.lines: list[str] = []
        self._at_update = at_update

    def say(self, text: str) -> None:
        self.lines.append(text)

    def update(self, tally: Tally) -> None:
        self._at_update()


def test_a_status_that_cannot_be_written_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder is in its way all the time: the run says so once."""
    monkeypatch.setattr(sweeping, "STATUS_SECONDS", 0.0)
    claimed, said = output(tmp_path, sweep()), Said()

    def start() -> SerialExecutor:
        (tmp_path / "status.json" / "in the way").mkdir(parents=True)
        return SerialExecutor()

    assert do_sweep(claimed, start, said) is ExitCode.DONE
    assert claimed.missing() == []
    (line,) = (line for line in said.lines if "goes on" in line)
    assert "cannot write" in line
    assert "status.json" in line


def test_a_status_is_written_as_soon_as_that_is_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "STATUS_SECONDS", 0.0)
    claimed = output(tmp_path, sweep())
    obstacle = tmp_path / "status.json"

    def clear() -> None:
        if obstacle.is_dir():
            (obstacle / "in the way").rmdir()
            obstacle.rmdir()
        elif obstacle.is_file():
            states.append(json.loads(obstacle.read_text())["state"])

    def start() -> SerialExecutor:
        (obstacle / "in the way").mkdir(parents=True)
        return SerialExecutor()

    states: list[str] = []
    said = Said(clear)
    assert do_sweep(claimed, start, said) is ExitCode.DONE
    assert "running" in states
    assert sum("goes on" in line for line in said.lines) == 1
    assert json.loads(obstacle.read_text())["state"] == "done"
