"""Faults injected for real: dead workers, nodes and drivers, and full disks.

After each the rows are the right ones, nothing is counted twice or lost, or one clear line says
what to do.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from clusters import QUICK_HEALTH_CHECKS, cluster_of
from full_disk import Disk, files_on
from processes import (
    alive,
    busy_workers,
    caught,
    child,
    descendants,
    exit_code,
    identified,
    wait_until,
)
from small_sweeps import assert_same_rows, output, run_serially, shard_files, spec, sweep

import mcrelu
from mcrelu.errors import ExitCode, ResourceError
from mcrelu.experiments.base import BlockTask
from mcrelu.experiments.crossing import block as crossing
from mcrelu.runtime import submit
from mcrelu.runtime.progress import Silent, Tally
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.submit import MAX_ATTEMPTS, SystemFaultError
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.runtime.task import BlockResult
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.sweep.sweep import Sweep

# Blocks of about half a second: long enough to be caught at work.
SLOW: dict[str, Any] = {
    "networks": 32,
    "block_size": 4,
    "cells": {"width": [256]},
    "stop": ["crossing"],
    "checks": {"interval": 1000, "maximum": 75},
    "engine": "dense",  # the slower one
}
SLOW_BLOCKS = 8


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here needs time to recover."""
    monkeypatch.setattr(submit, "BACKOFF_SECONDS", 0.0)


@pytest.fixture(scope="module")
def slow_rows(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """What the slow sweep gives where nothing goes wrong."""
    return run_serially(tmp_path_factory.mktemp("serial"), sweep(**SLOW))


class Injector(Silent):
    """Does something to a run, from within the driver, at every look at the tally."""

    def __init__(self, inject: Callable[[Tally], None]) -> None:
        self._inject = inject

    def update(self, tally: Tally) -> None:
        self._inject(tally)


def counting_faults(executor: Any) -> list[str]:
    """The system faults that an executor reports from now on."""
    faults: list[str] = []
    result = type(executor).result

    def noting(handle: Any) -> BlockResult:
        try:
            return result(executor, handle)
        except SystemFaultError as fault:
            faults.append(str(fault))
            raise

    executor.result = noting
    return faults


def counting_blocks(executor: SerialExecutor) -> list[BlockTask]:
    """The blocks that an executor begins from now on."""
    begun: list[BlockTask] = []

    def noting(task: BlockTask, number: int) -> Any:
        begun.append(task)
        return SerialExecutor.submit(executor, task, number)

    executor.submit = noting  # type: ignore[method-assign]
    return begun


def attempts(folder: Path, wanted: Sweep) -> list[int]:
    """Which attempt at each block made its shard."""
    metadata = [pq.read_schema(path).metadata for path in shard_files(folder, wanted)]
    return [int(each[b"mcrelu.attempt"]) for each in metadata]


# --- dead workers ---------------------------------------------------------------------------


@pytest.mark.ray
@pytest.mark.slow
def test_a_worker_killed_during_a_block(tmp_path: Path, slow_rows: Output) -> None:
    from mcrelu.runtime.ray_tasks import RayExecutor

    wanted, faults, killed = sweep(**SLOW), [], []

    def start() -> RayExecutor:
        executor = RayExecutor.embed(2)
        faults.append(counting_faults(executor))
        return executor

    def kill_one(tally: Tally) -> None:
        if tally.blocks_done >= 2 and not faults[0]:
            for pid in busy_workers(os.getpid())[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    done = output(tmp_path / "out", wanted)
    assert do_sweep(done, start, Injector(kill_one)) == ExitCode.DONE
    assert killed
    assert faults[0]
    tries = attempts(tmp_path / "out", wanted)
    assert len(tries) == SLOW_BLOCKS
    assert sum(tries) == SLOW_BLOCKS + len(faults[0])  # each fault cost one attempt, no more
    assert not (tmp_path / "out" / "errors").exists()
    assert_same_rows(done, slow_rows)


@pytest.mark.ray
@pytest.mark.slow
def test_a_block_that_kills_every_worker_fails_once(tmp_path: Path, slow_rows: Output) -> None:
    """Where all attempts are lost the block is described, and the next run does it."""
    from mcrelu.runtime.ray_tasks import RayExecutor

    wanted, faults = sweep(**SLOW), []

    def start() -> RayExecutor:
        executor = RayExecutor.embed(1)
        faults.append(counting_faults(executor))
        return executor

    def kill_all(tally: Tally) -> None:
        if not tally.failed:
            for pid in busy_workers(os.getpid()):
                os.kill(pid, signal.SIGKILL)

    failed = output(tmp_path / "out", wanted)
    assert do_sweep(failed, start, Injector(kill_all)) == ExitCode.FAILED_BLOCKS
    missing = failed.missing()
    assert missing
    names = sorted(path.name for path in (tmp_path / "out" / "errors").iterdir())
    assert names == [f"{block.cell.id}-{block.index:06d}.json" for block in missing]
    error = failed.read_json(f"errors/{names[0]}")
    assert error is not None
    assert "4 attempts" in error["error"]
    assert len(error["error"].splitlines()) == 1
    assert_same_rows(run_serially(tmp_path / "out", wanted), slow_rows)
    assert list((tmp_path / "out" / "errors").iterdir()) == []


# --- a node goes away -----------------------------------------------------------------------


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without CPUs, for nodes to be added."""
    with cluster_of(_system_config=QUICK_HEALTH_CHECKS) as started:
        yield started


@pytest.mark.ray
@pytest.mark.slow
def test_a_node_removed_during_a_run(cluster: Any, tmp_path: Path, slow_rows: Output) -> None:
    from mcrelu.runtime.ray_tasks import RayExecutor

    wanted, faults = sweep(**SLOW), []
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()

    def start() -> RayExecutor:
        executor = RayExecutor.join(cluster.address)
        faults.append(counting_faults(executor))
        return executor

    def remove_one(tally: Tally) -> None:
        both_busy = len(busy_workers(os.getpid())) == 2
        if tally.blocks_done >= 2 and len(nodes) == 2 and both_busy:
            cluster.remove_node(nodes.pop(), allow_graceful=False)

    done = output(tmp_path / "out", wanted)
    assert do_sweep(done, start, Injector(remove_one)) == ExitCode.DONE
    assert len(nodes) == 1
    assert faults[0]  # the node had a block
    tries = attempts(tmp_path / "out", wanted)
    assert sum(tries) == SLOW_BLOCKS + len(faults[0])
    assert not (tmp_path / "out" / "errors").exists()
    assert_same_rows(done, slow_rows)


@pytest.mark.ray
@pytest.mark.slow
def test_a_node_that_joins_during_a_run_is_used(
    cluster: Any, tmp_path: Path, slow_rows: Output
) -> None:
    from mcrelu.runtime.ray_tasks import RayExecutor

    wanted, nodes, capacities = sweep(**SLOW), [cluster.add_node(num_cpus=1)], []
    cluster.wait_for_nodes()
    executors: list[RayExecutor] = []

    def start() -> RayExecutor:
        executors.append(RayExecutor.join(cluster.address))
        return executors[0]

    def add_one(tally: Tally) -> None:
        if len(nodes) == 1:
            nodes.append(cluster.add_node(num_cpus=1))
        capacities.append(executors[0].capacity())

    done = output(tmp_path / "out", wanted)
    assert do_sweep(done, start, Injector(add_one)) == ExitCode.DONE
    assert max(capacities) == 4  # two blocks for each of two CPUs
    assert_same_rows(done, slow_rows)


@pytest.mark.ray
def test_no_cluster_at_the_address_is_one_line() -> None:
    from mcrelu.runtime.ray_tasks import RayExecutor

    with pytest.raises(ResourceError, match=r"no Ray cluster at 127\.0\.0\.1:9") as caught_error:
        RayExecutor.join("127.0.0.1:9")
    assert len(str(caught_error.value).splitlines()) == 1
    assert "--serial" in str(caught_error.value)


# --- a dead driver --------------------------------------------------------------------------


@pytest.mark.ray
@pytest.mark.slow
def test_a_driver_killed_while_ray_runs(tmp_path: Path, slow_rows: Output) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(spec(**SLOW)))
    folder, ready, wanted = tmp_path / "out", tmp_path / "ready", sweep(**SLOW)
    with child(path, folder, 2, "between", 2, ready) as process:
        caught(process, ready)
        assert busy_workers(process.pid) or shard_files(folder, wanted)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert 0 < len(output(folder, wanted).missing()) < SLOW_BLOCKS
    with child(path, folder, 2) as process:
        assert exit_code(process) == ExitCode.DONE
    assert_same_rows(output(folder, wanted), slow_rows)


@pytest.mark.ray
@pytest.mark.slow
def test_no_work_outlives_a_killed_driver(tmp_path: Path) -> None:
    """Workers and raylet end with the driver; Ray's idle agents take a minute to notice."""
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(spec(**SLOW)))
    with child(path, tmp_path / "out", 1, "between", 1, tmp_path / "ready") as process:
        caught(process, tmp_path / "ready")
        processes = identified(descendants(process.pid))
        assert any("raylet/raylet" in command for command in alive(processes))
        process.kill()
        process.wait()
        wait_until(lambda: not [c for c in alive(processes) if "Agent" not in c], "Ray to end")


# --- a full disk ----------------------------------------------------------------------------

MANY: dict[str, Any] = {"networks": 300, "cells": {"width": [4, 8]}}


def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends in one line, what is there is good, and the same command goes on."""
    disk, wanted = Disk(room=150_000), sweep(**MANY)
    folder = tmp_path / "out"
    monkeypatch.setattr(Files, "at", classmethod(lambda _, where: files_on(disk, Path(where))))
    executor = SerialExecutor()
    begun = counting_blocks(executor)
    with pytest.raises(ResourceError, match="No space left on device") as caught_error:
        do_sweep(Output.claim(Files.at(folder), wanted), lambda: executor)
    assert_one_line_and_no_leftovers(caught_error.value, folder)
    missing = Output.claim(Files.at(folder), wanted).missing()
    assert 0 < len(missing) < 60
    # It ended at the first that did not fit, which it tried as often as it tries a lost store.
    assert len(begun) == 60 - len(missing) + MAX_ATTEMPTS
    assert len(shard_files(folder, wanted)) == 60 - len(missing)  # none is torn
    assert not (folder / "errors").exists()  # it was no fault of a block
    disk.room = None
    resumed = Output.claim(Files.at(folder), wanted)
    assert do_sweep(resumed, SerialExecutor) == ExitCode.DONE
    assert_same_rows(resumed, run_serially(tmp_path / "at once", wanted))


def test_a_disk_that_is_full_from_the_start(tmp_path: Path) -> None:
    full = Output.claim(files_on(Disk(room=0), tmp_path / "out"), sweep())
    with pytest.raises(ResourceError, match="No space left on device") as caught_error:
        do_sweep(full, SerialExecutor)
    assert_one_line_and_no_leftovers(caught_error.value, tmp_path / "out")


def test_a_full_disk_is_not_hidden_by_a_failing_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error file of a failed block may be what does not fit any more."""

    def failing(*_: Any) -> Any:
        disk.room = 0
        raise ZeroDivisionError

    disk = Disk()
    monkeypatch.setattr(crossing, "train_block", failing)
    full = Output.claim(files_on(disk, tmp_path / "out"), sweep())
    with pytest.raises(ResourceError, match="No space left on device") as caught_error:
        do_sweep(full, SerialExecutor)
    assert_one_line_and_no_leftovers(caught_error.value, tmp_path / "out")


def assert_one_line_and_no_leftovers(error: ResourceError, folder: Path) -> None:
    assert len(str(error).splitlines()) == 1
    assert "make room" in str(error)
    assert list(folder.rglob(".*.tmp")) == []


@contextmanager
def tiny_disk(folder: Path) -> Iterator[Callable[[], object]]:
    """A disk with room for a few shards; yields what makes room on it.

    Where mounting is not permitted, a file where the shards should lie keeps them from being
    written, which workers in other processes notice as they would a full disk.
    """
    folder.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    command = [mount or "false", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode == 0:
        remount = [str(mount), "-o", "remount,size=64m", str(folder)]
        try:
            yield lambda: subprocess.run(remount, check=True)
        finally:
            subprocess.run([str(unmount), str(folder)], check=True)
    else:
        blocker = folder / "shards"
        blocker.write_text("in the way")
        yield blocker.unlink


@pytest.mark.ray
@pytest.mark.slow
def test_workers_on_a_full_disk(tmp_path: Path) -> None:
    from mcrelu.runtime.ray_tasks import RayExecutor

    wanted, folder = sweep(**MANY), tmp_path / "disk"
    with tiny_disk(folder) as make_room:
        with pytest.raises(ResourceError, match="cannot write") as caught_error:
            do_sweep(output(folder, wanted), lambda: RayExecutor.embed(2))
        assert_one_line_and_no_leftovers(caught_error.value, folder)
        missing = output(folder, wanted).missing()
        assert len(missing) > 0
        make_room()
        assert len(shard_files(folder, wanted)) == 60 - len(missing)  # none is torn
        resumed = output(folder, wanted)
        assert do_sweep(resumed, lambda: RayExecutor.embed(2)) == ExitCode.DONE
        assert_same_rows(resumed, run_serially(tmp_path / "at once", wanted))


# --- damaged and foreign shards ---------------------------------------------------------------


def damaged(content: bytes, how: str, foreign: bytes) -> bytes:
    """What became of a shard."""
    middle = len(content) // 3
    return {
        "truncated": content[:-100],
        "flipped": content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :],
        "empty": b"",
        "text": b"not a shard",
        "of another sweep": foreign,
    }[how]


@pytest.mark.parametrize("how", ["truncated", "flipped", "empty", "text", "of another sweep"])
def test_a_damaged_shard_is_done_again(how: str, tmp_path: Path) -> None:
    wanted, foreign = sweep(cells={"width": [4, 8]}), sweep(cells={"width": [4, 8]}, seed=1)
    done = run_serially(tmp_path / "out", wanted)
    before = {cell: done.networks(cell) for cell in wanted.cells}
    run_serially(tmp_path / "foreign", foreign)
    victim = shard_files(tmp_path / "out", wanted)[1]
    whole = victim.read_bytes()
    other = shard_files(tmp_path / "foreign", foreign)[1].read_bytes()
    victim.write_bytes(damaged(whole, how, other))
    assert done.reader().damaged() == [str(victim.relative_to(tmp_path / "out"))]
    assert done.networks(wanted.cells[0]).num_rows == 10  # what lies behind is not counted
    if len(victim.read_bytes()) != len(whole):  # else it is seen only when it is read
        (missing,) = done.missing()
        assert (missing.cell, missing.index) == (wanted.cells[0], 1)
    run = mcrelu.run(wanted, tmp_path / "out", "serial")
    assert run.exit_code == ExitCode.DONE
    assert victim.read_bytes() != damaged(whole, how, other)
    for cell in wanted.cells:
        assert run.networks(cell).equals(before[cell])
    assert_same_rows(run.output, done)
    assert done.reader().damaged() == []
