"""The submission loop with scripted executors, and the contract of the real ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from sweeps import SPEC, rows, sweep

from mcrelu.runtime.block import BlockDone, BlockFailed, BlockResult, BlockTask
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.submit import MAX_ATTEMPTS, Executor, SystemFaultError, run_blocks
from mcrelu.store.files import Files
from mcrelu.store.output import Output


class Scripted:
    """Does blocks by script: per block index, how many attempts a system fault takes."""

    name = "scripted"

    def __init__(self, faults: dict[int, int], capacities: list[int] | None = None) -> None:
        self.faults = faults
        self.capacities = iter(capacities or [])
        self.attempts: Counter[int] = Counter()
        self.in_flight: set[tuple[int, int]] = set()
        self.cancelled: list[tuple[int, int]] = []
        self.most = 0
        self.limit = 2

    def capacity(self) -> int:
        self.limit = next(self.capacities, self.limit)
        return self.limit

    def submit(self, task: BlockTask, number: int) -> tuple[int, int]:
        handle = (task.block.index, number)
        self.tasks = {**getattr(self, "tasks", {}), handle: task}
        self.attempts[task.block.index] += 1
        self.in_flight.add(handle)
        self.most = max(self.most, len(self.in_flight))
        return handle

    def wait(self, handles: Collection[tuple[int, int]], seconds: float) -> list[tuple[int, int]]:
        return [max(handles)]  # the latest first: order must not matter

    def result(self, handle: tuple[int, int]) -> BlockResult:
        self.in_flight.remove(handle)
        index, number = handle
        if number <= self.faults.get(index, 0):
            raise SystemFaultError("worker died")
        return BlockDone(self.tasks[handle].block, 0.0)

    def cancel(self, handles: Collection[tuple[int, int]]) -> None:
        self.cancelled += handles

    def close(self) -> None:
        pass


def tasks(out: Path, **changes: object) -> list[BlockTask]:
    """The blocks of the first cell of a small sweep."""
    wanted = sweep(SPEC, **changes)
    output = Output(Files.at(out), wanted)
    cell = wanted.cells[0]
    return [BlockTask(block, output.origin(cell), str(out)) for block in wanted.blocks(cell)]


def run(executor: Executor[Any], wanted: list[BlockTask]) -> list[BlockResult]:
    return list(run_blocks(wanted, executor, stopping=lambda: False, tick=lambda: None))


def indices(results: list[BlockResult]) -> list[int]:
    return sorted(result.block.index for result in results)


def test_every_block_has_one_result(tmp_path: Path) -> None:
    executor = Scripted({})
    assert indices(run(executor, tasks(tmp_path, networks=400))) == list(range(10))
    assert set(executor.attempts.values()) == {1}


def test_fail_fail_succeed(tmp_path: Path) -> None:
    executor = Scripted({1: 2, 4: 1})
    results = run(executor, tasks(tmp_path, networks=200))
    assert all(isinstance(result, BlockDone) for result in results)
    assert executor.attempts == {0: 1, 1: 3, 2: 1, 3: 1, 4: 2}


def test_attempts_end(tmp_path: Path) -> None:
    executor = Scripted({1: 99})
    results = run(executor, tasks(tmp_path, networks=120))
    (failed,) = [result for result in results if isinstance(result, BlockFailed)]
    assert failed.block.index == 1
    assert failed.error == f"worker died ({MAX_ATTEMPTS} attempts)"
    assert executor.attempts == {0: 1, 1: MAX_ATTEMPTS, 2: 1}


def test_no_more_in_flight_than_the_capacity(tmp_path: Path) -> None:
    executor = Scripted({3: 2}, capacities=[1, 1, 3, 5, 5, 2, 2])
    run(executor, tasks(tmp_path, networks=1000))
    assert executor.most == 5
    still = Scripted({3: 2}, capacities=[3])
    run(still, tasks(tmp_path, networks=1000))
    assert still.most == 3


def test_a_capacity_of_zero_waits_for_none(tmp_path: Path) -> None:
    """A cluster that lost its workers shrinks to one in flight, never to an endless loop."""
    executor = Scripted({}, capacities=[2, 0, 0, 2])
    assert indices(run(executor, tasks(tmp_path, networks=200))) == list(range(5))


def test_stopping_gives_up_what_is_in_flight(tmp_path: Path) -> None:
    executor = Scripted({}, capacities=[4])
    seen: list[BlockResult] = []
    loop = run_blocks(
        tasks(tmp_path, networks=1000), executor, lambda: len(seen) >= 3, tick=lambda: None
    )
    for result in loop:
        seen.append(result)  # noqa: PERF402 - the loop looks at the list meanwhile
    assert len(seen) == 3
    assert set(executor.cancelled) == executor.in_flight
    assert len(executor.in_flight) == 3


def test_a_consumer_that_stops_listening_gives_up_what_is_in_flight(tmp_path: Path) -> None:
    executor = Scripted({}, capacities=[4])
    loop = run_blocks(tasks(tmp_path, networks=1000), executor, lambda: False, tick=lambda: None)
    next(loop)
    loop.close()
    assert len(executor.cancelled) == 3


@pytest.fixture(
    params=[
        "serial",
        pytest.param(1, marks=pytest.mark.ray),
        pytest.param(2, marks=pytest.mark.ray),
    ]
)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor[Any]]:
    """Every executor there is."""
    if request.param == "serial":
        made: Executor[Any] = SerialExecutor()
    else:
        from mcrelu.runtime.ray_tasks import RayExecutor

        made = RayExecutor.embed(request.param)
    yield made
    made.close()


def test_an_executor_does_every_block_once(executor: Executor[Any], tmp_path: Path) -> None:
    wanted = tasks(tmp_path, networks=400)
    results = run(executor, wanted)
    assert all(isinstance(result, BlockDone) for result in results)
    assert indices(results) == list(range(10))
    assert len(rows(tmp_path)) == 10


def test_an_executor_returns_the_error_of_a_block(executor: Executor[Any], tmp_path: Path) -> None:
    (task, *_) = tasks(tmp_path)
    broken = BlockTask(task.block, task.origin, "nosuch://place")
    (result,) = run(executor, [broken])
    assert not isinstance(result, BlockDone)
    assert "nosuch" in result.error
