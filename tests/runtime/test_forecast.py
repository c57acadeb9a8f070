"""The time that is left, on a clock of its own: right from early on, and never growing by much."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from scripted import ScriptedExecutor, Ticket
from small_sweeps import SEED, inventory_of, sweep
from star_sweeps import star_sweep

from mcrelu.experiments.base import BlockTask
from mcrelu.runtime.submit import run_blocks
from mcrelu.runtime.task import BlockDone, BlockFailed, BlockResult
from mcrelu.runtime.work import FixedWork, Work, work_of
from mcrelu.store.shards import Published
from mcrelu.sweep.cell import Block, Provenance
from mcrelu.sweep.sweep import Sweep

FACTOR = 1.3  # by which a forecast may be wrong from a fifth of the time on, and grow
EARLY = 0.2

PROVENANCE = Provenance(SEED, "philox", 50, streams="any")


class Clock:
    """A clock that stands unless it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


class Timed(ScriptedExecutor):
    """Workers that take so many seconds for a block, in the order in which blocks came.

    Before their first block they need ``start`` seconds. Twice as many blocks as workers are in
    flight, as on Ray.
    """

    def __init__(
        self, clock: Clock, workers: int, seconds: Callable[[Block], float], start: float = 0.0
    ) -> None:
        super().__init__(capacity=lambda: 2 * workers)
        self._clock, self._seconds = clock, seconds
        self._free = [clock.now + start] * workers
        self._ends: dict[Ticket, float] = {}

    def workers(self) -> int:
        return len(self._free)

    def submit(self, task: BlockTask, number: int) -> Ticket:
        ticket = super().submit(task, number)
        begins = max(self._clock.now, min(self._free))
        self._ends[ticket] = begins + self._seconds(task.block)
        self._free[self._free.index(min(self._free))] = self._ends[ticket]
        return ticket

    def wait(self, handles: Collection[Ticket], seconds: float) -> list[Ticket]:
        self._clock.now = min(self._clock.now + seconds, *(self._ends[one] for one in handles))
        ready = [one for one in handles if self._ends[one] <= self._clock.now]
        self.flying = [one for one in self.flying if one not in ready]
        return ready

    def result(self, handle: Ticket) -> BlockResult:
        block = handle.task.block
        return BlockDone(block, self._seconds(block), Published(bytes=0, checksum=""), {"k": 5})


class Seen(NamedTuple):
    """What was said at a time."""

    at: float
    left: float | None
    fraction: float


def watched(work: Work, executor: Timed, clock: Clock) -> list[Seen]:
    """The forecasts of a run, at every look at it, with times from its start."""
    began, seen = clock.now, []

    def next_task() -> BlockTask | None:
        block = work.next()
        return None if block is None else BlockTask(block, PROVENANCE, "nowhere")

    def look() -> None:
        tally = work.tally
        tally.forecast.employ(executor.workers())
        seen.append(Seen(clock.now - began, tally.seconds_left, tally.forecast.fraction))

    for result in run_blocks(next_task, executor, lambda: False, look):
        assert isinstance(result, BlockDone | BlockFailed)
        work.take(result)
    look()
    return seen


def late(seen: list[Seen]) -> Iterator[Seen]:
    """From a fifth of the time on."""
    return (one for one in seen if one.at >= EARLY * seen[-1].at)


def assert_honest(seen: list[Seen], block: float) -> None:
    """Within the factor, give or take a block, and not growing by more."""
    end = seen[-1].at
    for one in late(seen):
        assert one.left is not None
        assert one.left <= FACTOR * (end - one.at) + block
        assert one.left >= (end - one.at) / FACTOR - block
    least = float("inf")
    for one in late(seen):
        assert one.left is not None
        assert one.left <= FACTOR * least + block
        least = min(least, one.left)
    assert seen[-1].left == pytest.approx(0.0, abs=1e-6)


def wide(**changes: Any) -> Sweep:
    """Cells whose stated cost is the same, since groups cost the same at any width."""
    plain = {"networks": 600, "block_size": 50, "cells": {"width": [4, 8, 16, 32]}, "stop": None}
    return sweep(**(plain | {"stop": ["crossing", "sufficient"]} | changes))


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("start", [0.0, 2.0])
def test_blocks_that_cost_the_same(workers: int, start: float, clock: Clock) -> None:
    wanted = wide()
    executor = Timed(clock, workers, lambda _: 10.0, start)
    seen = watched(FixedWork(wanted, inventory_of(wanted)), executor, clock)
    assert_honest(seen, block=10.0 if workers > 1 else 1.0)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_costs_that_cells_did_not_state(workers: int, clock: Clock) -> None:
    """Forecasts were made of stated costs, and doubled while wider cells were done."""
    wanted = wide()
    executor = Timed(clock, workers, lambda block: block.cell.width**1.5 / 8.0)
    seen = watched(FixedWork(wanted, inventory_of(wanted)), executor, clock)
    assert_honest(seen, block=20.0)


def test_expensive_cells_first(clock: Clock) -> None:
    """Of Adam networks the cost is stated: in proportion to the width."""
    cells = {"width": [4, 64], "optimizer": ["adam"]}
    wanted = wide(cells=cells, stop=["crossing", "early_stopping"], networks=1000)
    executor = Timed(clock, 2, lambda block: block.cell.width / 8.0)
    seen = watched(FixedWork(wanted, inventory_of(wanted)), executor, clock)
    assert_honest(seen, block=8.0)


def test_the_rest_of_blocks_that_have_checkpoints(clock: Clock) -> None:
    """A run that went on showed 0 % though nearly all of its epochs were there."""
    wanted = star_sweep(networks=40, epochs=100_000)
    begun = {(block.cell.id, block.index): 90_000 for block in wanted.all_blocks()}
    work = work_of(wanted, inventory_of(wanted), begun)
    assert work.tally.forecast.fraction == pytest.approx(0.9)
    rest = 0.1 * 30.0
    seen = watched(work, Timed(clock, 2, lambda _: rest), clock)
    assert_honest(seen, block=rest)
    assert [one.fraction for one in seen] == sorted(one.fraction for one in seen)
    assert seen[-1].fraction == 1.0


def test_checkpoints_of_some_blocks(clock: Clock) -> None:
    """Their seconds say what whole networks take."""
    wanted = star_sweep(networks=40, epochs=100_000)
    begun = {(cell.id, index): 50_000 for cell in wanted.cells for index in range(5)}
    work = work_of(wanted, inventory_of(wanted), begun)

    def seconds(block: Block) -> float:
        return 10.0 if (block.cell.id, block.index) in begun else 20.0

    assert work.tally.forecast.fraction == pytest.approx(0.5 * 5 / 20)
    assert_honest(watched(work, Timed(clock, 2, seconds), clock), block=20.0)


def test_the_fraction_is_that_of_the_work(clock: Clock) -> None:
    """Nearly all blocks were done when nearly all of the work was still to do."""
    wanted = wide(cells={"width": [4, 64]})
    executor = Timed(clock, 1, lambda block: 30.0 if block.cell.width == 64 else 1.0)
    seen = watched(FixedWork(wanted, inventory_of(wanted)), executor, clock)
    for one in late(seen):
        assert one.fraction == pytest.approx(one.at / seen[-1].at, abs=0.15)
    assert all(before.fraction <= after.fraction for before, after in pairwise(late(seen)))


def test_nothing_is_said_before_a_block_is_done(clock: Clock) -> None:
    wanted = wide()
    work = FixedWork(wanted, inventory_of(wanted))
    assert work.next() is not None
    clock.now += 100.0
    assert work.tally.seconds_left is None
    assert "left" not in str(work.tally)


def test_what_failed_is_not_waited_for(clock: Clock) -> None:
    wanted = wide(networks=150, cells={"width": [4]})
    work = FixedWork(wanted, inventory_of(wanted))
    first, second, third = (work.next() for _ in range(3))
    assert first
    assert second
    assert third
    clock.now += 10.0
    work.take(BlockDone(first, 10.0, Published(bytes=0, checksum=""), {"k": 0}))
    assert work.tally.seconds_left == pytest.approx(20.0)
    work.take(BlockFailed(second, "no", ""))
    assert work.tally.seconds_left == pytest.approx(10.0)
    clock.now += 4.0
    assert work.tally.seconds_left == pytest.approx(6.0)


def test_a_cluster_that_grows_is_faster(clock: Clock) -> None:
    wanted = wide(networks=5000, cells={"width": [4]})
    work = FixedWork(wanted, inventory_of(wanted))
    blocks = [work.next() for _ in range(100)]
    assert blocks[0]
    clock.now += 10.0
    work.take(BlockDone(blocks[0], 10.0, Published(bytes=0, checksum=""), {"k": 0}))
    assert work.tally.seconds_left == pytest.approx(990.0)
    work.tally.forecast.employ(10)
    assert work.tally.seconds_left == pytest.approx(99.0)


def test_a_first_block_of_every_cell_comes_before_the_rest() -> None:
    wanted = sweep(cells={"width": [4, 8], "optimizer": ["adam"]}, stop=["crossing"])
    work = FixedWork(wanted, inventory_of(wanted))
    begun = []
    while (block := work.next()) is not None:
        begun.append((block.cell.width, block.index))
    assert begun == [(8, 0), (4, 0), (8, 1), (8, 2), (4, 1), (4, 2)]
