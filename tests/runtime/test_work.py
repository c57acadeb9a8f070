"""Which blocks a sweep with a relative width does, on a scripted executor; exact counts."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from scripted import ScriptedExecutor, Ticket, done
from small_sweeps import SEED, inventory_of, sweep

from mcrelu.experiments.base import BlockTask
from mcrelu.runtime.growing import Growing
from mcrelu.runtime.submit import MAX_ATTEMPTS, run_blocks
from mcrelu.runtime.task import BlockFailed, BlockResult, StoreFailed
from mcrelu.runtime.work import AdaptiveWork, FixedWork
from mcrelu.stats.sequential import Sample
from mcrelu.sweep.cell import Block, Provenance
from mcrelu.sweep.sweep import Sweep

SIZE = 50
TARGET = 0.5


def adaptive(**changes: Any) -> Sweep:
    plain = {"networks": 10_000, "block_size": SIZE, "stop": {"relative_width": TARGET}}
    return sweep(**(plain | changes))


PROVENANCE = Provenance(SEED, "philox", SIZE, streams="any")


def work_of(wanted: Sweep, there: Mapping[Block, int] | None = None) -> AdaptiveWork:
    """The work of a sweep of which some blocks are there, with so many networks in the event."""
    return AdaptiveWork(wanted, inventory_of(wanted, there))


def crossings(p: float) -> Callable[[Block], int]:
    """Made-up results: how many networks of a block may cross, always the same for the block."""

    def draw(block: Block) -> int:
        seed = [SEED, block.cell.width, block.index]
        return int(np.random.default_rng(seed).binomial(block.networks, p))

    return draw


def ending(wanted: Sweep, count: Callable[[Block], int], target: float = TARGET) -> list[int]:
    """How many blocks each cell has to have, by the rule alone."""
    return [
        Sample().grown(((count(b), b.networks) for b in wanted.blocks(cell)), target).blocks
        for cell in wanted.cells
    ]


def drive(work: AdaptiveWork, executor: ScriptedExecutor) -> list[Block]:
    """The blocks that were begun, each once, in order."""
    begun: list[Block] = []

    def next_task() -> BlockTask | None:
        block = work.next()
        if block is None:
            return None
        begun.append(block)
        return BlockTask(block, PROVENANCE, "nowhere")

    for result in run_blocks(next_task, executor, lambda: False, lambda: None):
        assert not isinstance(result, StoreFailed)
        work.take(result)
    assert len(set(begun)) == len(begun)
    assert not work.something()
    assert (work.tally.blocks, work.tally.networks) == (
        work.tally.blocks_done + work.tally.failed,
        work.tally.networks_done + SIZE * work.tally.failed,
    )
    return begun


def indices(blocks: list[Block], width: int = 4) -> list[int]:
    return [block.index for block in blocks if block.cell.width == width]


@pytest.mark.parametrize("p", [0.05, 0.3, 0.9])
def test_one_at_a_time_does_exactly_what_the_rule_takes(p: float) -> None:
    wanted, count = adaptive(cells={"width": [4, 8]}), crossings(p)
    executor = ScriptedExecutor(capacity=lambda: 1, count=count)
    work = work_of(wanted)
    begun = drive(work, executor)
    assert [len(indices(begun, width)) for width in (4, 8)] == ending(wanted, count)
    assert all(indices(begun, width) == list(range(n)) for width, n in zip(
        (4, 8), ending(wanted, count), strict=True
    ))  # fmt: skip
    assert work.reached()
    assert work.tally.reached == 2


@pytest.mark.parametrize("capacity", [2, 5, 16])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_done_in_vain_was_in_flight(capacity: int, seed: int) -> None:
    wanted, count = adaptive(), crossings(0.2)
    chance = random.Random(seed)

    def some(flying: list[Ticket]) -> list[Ticket]:
        return chance.sample(flying, chance.randint(0, len(flying)))

    executor = ScriptedExecutor(capacity=lambda: capacity, order=some, count=count)
    begun = drive(work_of(wanted), executor)
    (needed,) = ending(wanted, count)
    assert indices(begun) == list(range(len(begun)))
    assert needed <= len(begun) < needed + capacity
    assert executor.attempts == Counter(range(len(begun)))
    assert executor.overbooked == []


def test_workers_are_kept_busy() -> None:
    """After the first block all of the capacity is in flight at once."""
    executor = ScriptedExecutor(capacity=lambda: 8, count=crossings(0.05))
    drive(work_of(adaptive()), executor)
    assert executor.most_in_flight == 8


def test_first_blocks_come_first_and_the_widest_before() -> None:
    wanted = adaptive(cells={"width": [4, 16, 8]})
    begun = drive(work_of(wanted), ScriptedExecutor(capacity=lambda: 2, count=crossings(0.1)))
    assert [(block.cell.width, block.index) for block in begun[:3]] == [(16, 0), (8, 0), (4, 0)]


def test_nothing_is_begun_beyond_first_blocks_before_a_result() -> None:
    executor = ScriptedExecutor(faults={0: 2}, capacity=lambda: 100, count=crossings(0.1))
    drive(work_of(adaptive()), executor)
    assert executor.numbers[:3] == [(0, 1), (0, 2), (0, 3)]
    assert executor.attempts[0] == 3
    assert set(executor.attempts.values()) == {1, 3}


def test_cells_that_are_narrow_enough_at_once_get_one_block() -> None:
    wanted = adaptive(cells={"width": [4, 8, 16]}, stop={"relative_width": 2})
    begun = drive(work_of(wanted), ScriptedExecutor(capacity=lambda: 9, count=crossings(0.5)))
    assert [block.index for block in begun] == [0, 0, 0]


def test_the_cell_with_the_largest_work_left_comes_first() -> None:
    """Width 4 needs many networks and width 8 few: 8 waits until 4 has less left."""
    rare, often = crossings(0.05), crossings(0.5)
    wanted = adaptive(cells={"width": [4, 8]})
    executor = ScriptedExecutor(
        capacity=lambda: 1, count=lambda block: (rare if block.cell.width == 4 else often)(block)
    )
    begun = [block.cell.width for block in drive(work_of(wanted), executor)]
    assert begun[:2] == [8, 4]
    assert set(begun[2:20]) == {4}
    assert begun.index(8, 2) < len(begun) - 1


def test_a_cell_in_which_nothing_crosses_uses_its_networks_up() -> None:
    wanted = adaptive(networks=330)
    work = work_of(wanted)
    begun = drive_exactly(work, lambda _: 0, capacity=3)
    assert [block.networks for block in begun] == [50] * 6 + [30]
    assert not work.reached()


def drive_exactly(
    work: AdaptiveWork, count: Callable[[Block], int], capacity: int = 1
) -> list[Block]:
    return drive(work, ScriptedExecutor(capacity=lambda: capacity, count=count))


def test_a_budget_ends_a_cell_that_is_too_wide() -> None:
    count = crossings(0.05)
    work = work_of(adaptive(networks=500))
    assert indices(drive_exactly(work, count, 4)) == list(range(10))
    assert (work.tally.reached, work.reached()) == (0, False)


def test_a_cell_does_not_grow_beyond_a_failed_block() -> None:
    wanted, count = adaptive(cells={"width": [4]}), crossings(0.1)
    executor = ScriptedExecutor(faults={3: 99}, capacity=lambda: 2, count=count)
    work = work_of(wanted)
    begun = drive(work, executor)
    assert executor.attempts[3] == MAX_ATTEMPTS
    # The attempts at block 3 leave one place in flight for what lies behind it.
    assert 4 <= len(begun) <= 4 + MAX_ATTEMPTS
    assert (work.tally.failed, work.reached()) == (1, False)


def test_the_other_cells_go_on_after_a_failed_block() -> None:
    wanted, count = adaptive(cells={"width": [4, 8]}), crossings(0.3)
    work = work_of(wanted)
    finished: list[Block] = []
    while (block := work.next()) is not None:
        failed = (block.cell.width, block.index) == (8, 1)
        result: BlockResult = BlockFailed(block, "no", "") if failed else done(block, count(block))
        assert not isinstance(result, StoreFailed)
        work.take(result)
        finished += [] if failed else [block]
    assert indices(finished, 8) == [0]
    assert len(indices(finished, 4)) == ending(wanted, count)[0]
    assert (work.tally.reached, work.tally.cells, work.reached()) == (1, 2, False)


def test_what_is_there_is_not_done_again() -> None:
    """Gaps first; what lies behind them counts once they are filled."""
    wanted, count = adaptive(), crossings(0.2)
    (cell,) = wanted.cells
    (needed,) = ending(wanted, count)
    kept = [0, 1, 3, 4, 7]
    there = {wanted.block(cell, k): count(wanted.block(cell, k)) for k in kept}
    work = work_of(wanted, there)
    assert (work.tally.blocks_done, work.tally.networks_done) == (5, 250)
    begun = drive_exactly(work, count)
    assert indices(begun) == [k for k in range(needed) if k not in kept]


def test_nothing_is_begun_where_all_is_narrow_enough() -> None:
    wanted, count = adaptive(), crossings(0.2)
    there = {block: count(block) for block in wanted.blocks(wanted.cells[0])}
    work = work_of(wanted, there)
    assert not work.something()
    assert work.next() is None
    assert work.reached()


def test_totals_are_projected_and_say_so() -> None:
    wanted, count = adaptive(), crossings(0.2)
    work = work_of(wanted)
    assert "0/1 cells narrow enough, 0 of at least 1 blocks, 0 of at least 50 networks" in str(
        work.tally
    )
    block = work.next()
    assert block is not None
    work.take(done(block, count(block)))
    (needed,) = ending(wanted, count)
    assert needed / 2 < work.tally.blocks < 2 * needed
    assert f"1 of about {work.tally.blocks} blocks" in str(work.tally)
    assert work.tally.seconds_left is not None
    begun = drive_exactly(work, count)
    assert len(begun) == needed - 1
    assert f"1/1 cells narrow enough, {needed} blocks, {50 * needed} networks" in str(work.tally)


def test_a_result_costs_no_look_at_the_other_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousand cells used to cost milliseconds per result: all of them were projected anew."""
    wanted = adaptive(cells={"width": list(range(2, 302))}, networks=400)
    work = work_of(wanted)
    calls: Counter[str] = Counter()
    for name in ("left", "urgency", "something"):
        method = getattr(Growing, name)

        def counted(growing: Growing, name: str = name, method: Any = method) -> Any:
            calls[name] += 1
            return method(growing)

        monkeypatch.setattr(Growing, name, counted)
    executor = ScriptedExecutor(capacity=lambda: 4, count=crossings(0.05))
    begun = 0
    for result in run_blocks(lambda: task_of(work.next()), executor, lambda: False, lambda: None):
        assert not isinstance(result, StoreFailed)
        work.take(result)
        begun += 1
    assert begun > 600
    assert calls["left"] == begun
    assert calls["urgency"] + calls["something"] <= 12 * begun


def task_of(block: Block | None) -> BlockTask | None:
    return None if block is None else BlockTask(block, PROVENANCE, "nowhere")


def test_a_million_missing_blocks_are_no_million_objects() -> None:
    """The driver's memory does not grow with the blocks, nor the time until the first begins."""
    wanted = sweep(networks=10**6, block_size=1, cells={"width": [4]})
    tracemalloc.start()
    try:
        work = FixedWork(wanted, inventory_of(wanted))
        first = work.next()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert first is not None
    assert (first.index, work.tally.blocks) == (0, 10**6)
    assert peak < 60 * 2**20
