"""Which blocks a sweep does that asks for a precision, on a scripted executor; exact counts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scripted import ScriptedExecutor, Ticket
from small_sweeps import SEED, sweep

from mcrelu.runtime.submit import MAX_ATTEMPTS, run_blocks
from mcrelu.runtime.task import BlockDone, BlockFailed, BlockResult, BlockTask, StoreFailed
from mcrelu.runtime.work import AdaptiveWork
from mcrelu.stats.precision import Count, Sample
from mcrelu.store.shards import Provenance
from mcrelu.sweep.cell import Block
from mcrelu.sweep.sweep import Sweep

SIZE = 50
TARGET = 0.5
ORIGIN = Provenance(SEED, "philox", SIZE)


def adaptive(**changes: Any) -> Sweep:
    plain = {"networks": 10_000, "block_size": SIZE, "stop": {"relative_width": TARGET}}
    return sweep(**(plain | changes))


def crossings(p: float) -> Callable[[Block], int]:
    """Made-up results: how many networks of a block may cross, always the same for the block."""

    def draw(block: Block) -> int:
        seed = [SEED, block.cell.width, block.index]
        return int(np.random.default_rng(seed).binomial(block.networks, p))

    return draw


def ending(wanted: Sweep, k_high: Callable[[Block], int], target: float = TARGET) -> list[int]:
    """How many blocks each cell has to have, by the rule alone."""
    return [
        Sample().grown((Count(k_high(b), b.networks) for b in wanted.blocks(cell)), target).blocks
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
        return BlockTask(block, ORIGIN, "nowhere")

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
    wanted, k_high = adaptive(cells={"width": [4, 8]}), crossings(p)
    executor = ScriptedExecutor(capacity=lambda: 1, k_high=k_high)
    work = AdaptiveWork(wanted, {})
    begun = drive(work, executor)
    assert [len(indices(begun, width)) for width in (4, 8)] == ending(wanted, k_high)
    assert all(indices(begun, width) == list(range(n)) for width, n in zip(
        (4, 8), ending(wanted, k_high), strict=True
    ))  # fmt: skip
    assert work.precise()
    assert work.tally.precise == 2


@pytest.mark.parametrize("capacity", [2, 5, 16])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_done_in_vain_was_in_flight(capacity: int, seed: int) -> None:
    wanted, k_high = adaptive(), crossings(0.2)
    chance = random.Random(seed)

    def some(flying: list[Ticket]) -> list[Ticket]:
        return chance.sample(flying, chance.randint(0, len(flying)))

    executor = ScriptedExecutor(capacity=lambda: capacity, order=some, k_high=k_high)
    begun = drive(AdaptiveWork(wanted, {}), executor)
    (needed,) = ending(wanted, k_high)
    assert indices(begun) == list(range(len(begun)))
    assert needed <= len(begun) < needed + capacity
    assert executor.attempts == Counter(range(len(begun)))
    assert executor.overbooked == []


def test_workers_are_kept_busy() -> None:
    """After the first block all of the capacity is in flight at once."""
    executor = ScriptedExecutor(capacity=lambda: 8, k_high=crossings(0.05))
    drive(AdaptiveWork(adaptive(), {}), executor)
    assert executor.most_in_flight == 8


def test_first_blocks_come_first_and_the_widest_before() -> None:
    wanted = adaptive(cells={"width": [4, 16, 8]})
    begun = drive(
        AdaptiveWork(wanted, {}), ScriptedExecutor(capacity=lambda: 2, k_high=crossings(0.1))
    )
    assert [(block.cell.width, block.index) for block in begun[:3]] == [(16, 0), (8, 0), (4, 0)]


def test_nothing_is_begun_beyond_first_blocks_before_a_result() -> None:
    executor = ScriptedExecutor(faults={0: 2}, capacity=lambda: 100, k_high=crossings(0.1))
    drive(AdaptiveWork(adaptive(), {}), executor)
    assert executor.numbers[:3] == [(0, 1), (0, 2), (0, 3)]
    assert executor.attempts[0] == 3
    assert set(executor.attempts.values()) == {1, 3}


def test_cells_that_are_precise_at_once_get_one_block() -> None:
    wanted = adaptive(cells={"width": [4, 8, 16]}, stop={"relative_width": 2})
    begun = drive(
        AdaptiveWork(wanted, {}), ScriptedExecutor(capacity=lambda: 9, k_high=crossings(0.5))
    )
    assert [block.index for block in begun] == [0, 0, 0]


def test_the_cell_with_the_largest_work_left_comes_first() -> None:
    """Width 4 needs many networks and width 8 few: 8 waits until 4 has less left."""
    rare, often = crossings(0.05), crossings(0.5)
    wanted = adaptive(cells={"width": [4, 8]})
    executor = ScriptedExecutor(
        capacity=lambda: 1, k_high=lambda block: (rare if block.cell.width == 4 else often)(block)
    )
    begun = [block.cell.width for block in drive(AdaptiveWork(wanted, {}), executor)]
    assert begun[:2] == [8, 4]
    assert set(begun[2:20]) == {4}
    assert begun.index(8, 2) < len(begun) - 1


def test_a_cell_in_which_nothing_crosses_uses_its_networks_up() -> None:
    wanted = adaptive(networks=330)
    work = AdaptiveWork(wanted, {})
    begun = drive_exactly(work, lambda _: 0, capacity=3)
    assert [block.networks for block in begun] == [50] * 6 + [30]
    assert not work.precise()


def drive_exactly(
    work: AdaptiveWork, k_high: Callable[[Block], int], capacity: int = 1
) -> list[Block]:
    return drive(work, ScriptedExecutor(capacity=lambda: capacity, k_high=k_high))


def test_a_budget_ends_a_cell_that_is_not_precise() -> None:
    k_high = crossings(0.05)
    work = AdaptiveWork(adaptive(networks=500), {})
    assert indices(drive_exactly(work, k_high, 4)) == list(range(10))
    assert (work.tally.precise, work.precise()) == (0, False)


def test_a_cell_does_not_grow_beyond_a_failed_block() -> None:
    wanted, k_high = adaptive(cells={"width": [4]}), crossings(0.1)
    executor = ScriptedExecutor(faults={3: 99}, capacity=lambda: 2, k_high=k_high)
    work = AdaptiveWork(wanted, {})
    begun = drive(work, executor)
    assert executor.attempts[3] == MAX_ATTEMPTS
    # The attempts at block 3 leave one place in flight for what lies behind it.
    assert 4 <= len(begun) <= 4 + MAX_ATTEMPTS
    assert (work.tally.failed, work.precise()) == (1, False)


def test_the_other_cells_go_on_after_a_failed_block() -> None:
    wanted, k_high = adaptive(cells={"width": [4, 8]}), crossings(0.3)
    work = AdaptiveWork(wanted, {})
    done: list[Block] = []
    while (block := work.next()) is not None:
        failed = (block.cell.width, block.index) == (8, 1)
        result: BlockResult = (
            BlockFailed(block, "no", "") if failed else BlockDone(block, 0.0, k_high(block))
        )
        assert not isinstance(result, StoreFailed)
        work.take(result)
        done += [] if failed else [block]
    assert indices(done, 8) == [0]
    assert len(indices(done, 4)) == ending(wanted, k_high)[0]
    assert (work.tally.precise, work.tally.cells, work.precise()) == (1, 2, False)


def test_what_is_there_is_not_done_again() -> None:
    """Gaps first; what lies behind them counts once they are filled."""
    wanted, k_high = adaptive(), crossings(0.2)
    (cell,) = wanted.cells
    (needed,) = ending(wanted, k_high)
    there = [0, 1, 3, 4, 7]
    done = {wanted.block(cell, k): k_high(wanted.block(cell, k)) for k in there}
    work = AdaptiveWork(wanted, done)
    assert (work.tally.blocks_done, work.tally.networks_done) == (5, 250)
    begun = drive_exactly(work, k_high)
    assert indices(begun) == [k for k in range(needed) if k not in there]


def test_nothing_is_begun_where_all_is_precise() -> None:
    wanted, k_high = adaptive(), crossings(0.2)
    done = {block: k_high(block) for block in wanted.blocks(wanted.cells[0])}
    work = AdaptiveWork(wanted, done)
    assert not work.something()
    assert work.next() is None
    assert work.precise()


def test_totals_are_projected_and_say_so() -> None:
    wanted, k_high = adaptive(), crossings(0.2)
    work = AdaptiveWork(wanted, {})
    assert "0/1 cells precise, 0 of at least 1 blocks, 0 of at least 50 networks" in str(work.tally)
    block = work.next()
    assert block is not None
    work.take(BlockDone(block, 0.1, k_high(block)))
    (needed,) = ending(wanted, k_high)
    assert needed / 2 < work.tally.blocks < 2 * needed
    assert f"1 of about {work.tally.blocks} blocks" in str(work.tally)
    assert work.tally.seconds_left is not None
    begun = drive_exactly(work, k_high)
    assert len(begun) == needed - 1
    assert f"1/1 cells precise, {needed} blocks, {50 * needed} networks" in str(work.tally)
