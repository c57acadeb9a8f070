"""Which block of a sweep to do next: so many of each cell, or until the cells are precise."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from mcrelu.runtime.progress import Left, Tally, work
from mcrelu.runtime.task import BlockDone, BlockFailed
from mcrelu.stats.precision import Count, Sample, k_high
from mcrelu.store.output import Output
from mcrelu.sweep.cell import Block, Cell
from mcrelu.sweep.sweep import Sweep


class Work(Protocol):
    """What there is to do, from the results so far."""

    tally: Tally

    def next(self) -> Block | None:
        """A block to do now; None if there is none, at least until further results."""

    def take(self, result: BlockDone | BlockFailed) -> None:
        """Learn how a block ended."""

    def something(self) -> bool:
        """Whether there is a block to do now."""

    def precise(self) -> bool:
        """Whether all cells have the precision asked for, if one is."""


def work_of(output: Output) -> Work:
    """What is left to do of a sweep, from the good shards in its output."""
    sweep = output.sweep
    if sweep.spec.relative_width is None:
        return FixedWork(sweep.all_blocks(), output.missing())
    done: dict[Block, int] = {}
    for cell in sweep.cells:
        done |= output.of_good_blocks(cell, lambda rows: k_high(rows["status"].to_numpy()))
    return AdaptiveWork(sweep, done)


class FixedWork:
    """The missing blocks of a sweep with fixed counts.

    Dear cells come first; within a cell in index order, since an estimate counts complete blocks
    from the first on.
    """

    def __init__(self, everything: Iterable[Block], missing: list[Block]) -> None:
        self.tally = Tally.of(everything, missing)
        self._missing = deque(sorted(missing, key=lambda block: -block.cell.cost))

    def next(self) -> Block | None:
        """The next missing block."""
        return self._missing.popleft() if self._missing else None

    def take(self, result: BlockDone | BlockFailed) -> None:
        """Count it."""
        if isinstance(result, BlockDone):
            self.tally.done(result.block)
        else:
            self.tally.failed += 1

    def something(self) -> bool:
        """Whether blocks are missing."""
        return bool(self._missing)

    def precise(self) -> bool:
        """No precision is asked for."""
        return True


class AdaptiveWork:
    """The blocks that the cells of a sweep need to become as precise as it asks.

    A cell without results gets its first block, then blocks in index order up to a projection of
    its need, which every further result of its sample corrects. So what is done in vain is at
    most what is in flight when a sample ends. First blocks go first, then the cell with the
    largest work left. ``done`` holds the blocks that are there, with their ``k_high``.
    """

    def __init__(self, sweep: Sweep, done: Mapping[Block, int]) -> None:
        counts: dict[Cell, dict[int, Count]] = {cell: {} for cell in sweep.cells}
        for block, k in done.items():
            counts[block.cell][block.index] = Count(k, block.networks)
        self._cells = {cell: _Growing(sweep, cell, counts[cell]) for cell in sweep.cells}
        blocks, networks = len(done), sum(block.networks for block in done)
        self.tally = Tally(blocks, networks, blocks, networks, cells=len(self._cells))
        self._foresee()

    def next(self) -> Block | None:
        """A block of the cell that has most left to do."""
        growing = max(self._cells.values(), key=_Growing.urgency)
        return growing.next() if growing.something() else None

    def take(self, result: BlockDone | BlockFailed) -> None:
        """Grow the sample of the block's cell, or end it before a block that failed."""
        growing = self._cells[result.block.cell]
        if isinstance(result, BlockDone):
            growing.done(result.block, result.k_high)
            self.tally.done(result.block)
        else:
            growing.failed(result.block)
            self.tally.failed += 1
        self._foresee()

    def something(self) -> bool:
        """Whether a cell needs a block that is not in flight."""
        return any(growing.something() for growing in self._cells.values())

    def precise(self) -> bool:
        """Whether all cells are."""
        return self.tally.precise == self.tally.cells

    def _foresee(self) -> None:
        cells = self._cells.values()
        self.tally.precise = sum(growing.precise for growing in cells)
        self.tally.at_least = any(growing.unknown for growing in cells)
        left = [growing.left() for growing in cells]
        self.tally.expect(left)


class _Growing:
    """A cell, the blocks of it that are done, and how many it is projected to need."""

    def __init__(self, sweep: Sweep, cell: Cell, counts: dict[int, Count]) -> None:
        target = sweep.spec.relative_width
        assert target is not None
        self._sweep, self._cell, self._target = sweep, cell, target
        self._counts = counts  # of the blocks that are done, by index
        self._flying: set[int] = set()
        self._failed: set[int] = set()
        self._limit = sweep.block_count(cell)  # blocks that it may have
        self._next = 0  # all blocks before it are done or in flight
        self._sample = Sample()
        self._grow()

    @property
    def precise(self) -> bool:
        return self._sample.reaches(self._target)

    @property
    def unknown(self) -> bool:
        """Whether nothing can be projected yet."""
        return self._sample.k == 0 and self._limit > self._sample.blocks

    def something(self) -> bool:
        return self._next < self._wanted

    def urgency(self) -> tuple[bool, float]:
        """First blocks first, then by the work that nobody does yet."""
        left = max(0, self._wanted - self._next)
        size = self._sweep.block_size(self._cell)
        return self._next == 0 and left > 0, work(left * size, self._cell)

    def next(self) -> Block:
        index = self._next
        self._flying.add(index)
        self._advance()
        return self._sweep.block(self._cell, index)

    def done(self, block: Block, k: int) -> None:
        self._flying.discard(block.index)
        self._counts[block.index] = Count(k, block.networks)
        self._grow()

    def failed(self, block: Block) -> None:
        self._flying.discard(block.index)
        self._failed.add(block.index)
        self._limit = min(self._limit, block.index)
        self._grow()

    def left(self) -> Left:
        """What is in flight or failed, and what will be wanted as far as one can tell."""
        blocks = max(0, self._wanted - self._next)
        first = self._next * self._sweep.block_size(self._cell)
        last = min(first + blocks * self._sweep.block_size(self._cell), self._sweep.spec.networks)
        networks = max(0, last - first)
        for index in self._flying | self._failed:
            blocks, networks = blocks + 1, networks + self._sweep.block(self._cell, index).networks
        return Left(blocks, networks, work(networks, self._cell))

    def _grow(self) -> None:
        """Take what is complete into the sample, and project anew."""
        self._sample = self._sample.grown(self._further(), self._target)
        self._wanted = min(self._limit, self._projected())
        self._advance()

    def _further(self) -> Iterator[Count]:
        index = self._sample.blocks
        while index in self._counts:
            yield self._counts[index]
            index += 1

    def _projected(self) -> int:
        """Blocks that the sample will have when it ends."""
        if self.precise:
            return self._sample.blocks
        networks = self._sample.projected(self._target)
        size = self._sweep.block_size(self._cell)
        return max(self._sample.blocks + 1, math.ceil(min(networks / size, self._limit)))

    def _advance(self) -> None:
        while self._next in self._counts or self._next in self._flying:
            self._next += 1
