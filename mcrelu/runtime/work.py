"""Which block of a sweep to do next: so many of each cell, or until intervals are narrow enough.

What is known of blocks are arrays with an entry per block, and a step of the driver costs at most
O(log cells), so that sweeps may have millions of blocks.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np

from mcrelu.runtime.growing import Growing
from mcrelu.runtime.prefix import Prefix, Running, Size
from mcrelu.runtime.progress import Tally
from mcrelu.runtime.task import BlockDone, BlockFailed, BlockFound
from mcrelu.store.contents import Contents
from mcrelu.store.inventory import Inventory
from mcrelu.sweep.cell import Block, Cell
from mcrelu.sweep.sweep import Sweep
from mcrelu.types import Bools, Ints

Ended = BlockDone | BlockFound | BlockFailed


class Work(Protocol):
    """What there is to do, from the results so far."""

    tally: Tally

    def next(self) -> Block | None:
        """A block to do now; None if there is none, at least until further results."""

    def take(self, result: Ended) -> None:
        """Learn how a block ended."""

    def something(self) -> bool:
        """Whether there is a block to do now."""

    def reached(self) -> bool:
        """Whether all cells have the relative width asked for, if one is."""


Epochs = Mapping[tuple[str, int], int]  # of the newest checkpoint of a block: cell id, index


def work_of(sweep: Sweep, inventory: Inventory, begun: Epochs = MappingProxyType({})) -> Work:
    """What is left to do of a sweep beside what is there, in checkpoints too."""
    if sweep.spec.relative_width is None:
        return FixedWork(sweep, inventory, begun)
    return AdaptiveWork(sweep, inventory)


def tally_of(contents: Contents, inventory: Inventory) -> Tally:
    """How far an output is, from what it says itself; without a forecast of time."""
    tally = Tally()
    for cell in contents.cells:
        there = inventory.cells[cell.id]
        size = Size(contents.networks, cell.block_size)
        if contents.relative_width is None:
            tally.start(*size.done(there.good), len(there.good), size.networks)
        else:
            growing = Growing(size, contents.relative_width, 1.0, there)
            tally.cells += 1
            tally.found(*size.done(there.good))
            tally.project(cell.id, growing.left(), growing.reached, growing.unknown)
    return tally


def size_of(sweep: Sweep, cell: Cell) -> Size:
    """The size of a cell of a sweep."""
    return Size(sweep.spec.networks, sweep.block_size(cell))


class OneBlock:
    """A single block of a sweep, whatever else is missing."""

    def __init__(self, block: Block, inventory: Inventory) -> None:
        self._block, self._taken = block, bool(inventory.cells[block.cell.id].good[block.index])
        self.tally = Tally()
        done, cell = int(self._taken), block.cell
        there = done * block.networks
        self.tally.start(done, there, 1, block.networks)
        self.tally.forecast.expect(cell.id, cell.cost, there, block.networks - there)

    def next(self) -> Block | None:
        """The block, once."""
        if self._taken:
            return None
        self._taken = True
        self.tally.forecast.begin(self._block, self._block.networks)
        return self._block

    def take(self, result: Ended) -> None:
        """Count it."""
        if isinstance(result, BlockFailed):
            self.tally.failure(result.block)
        else:
            self.tally.done(result.block, result.seconds)

    def something(self) -> bool:
        """Whether it is not there yet."""
        return not self._taken

    def reached(self) -> bool:
        """No relative width is asked for."""
        return True


class FixedWork:
    """The missing blocks of a sweep with fixed counts.

    A first block of every cell, which says what the others will cost, then the rest. Either way
    expensive cells come first; within a cell in index order, since an estimate counts complete
    blocks from the first on.
    """

    def __init__(
        self, sweep: Sweep, inventory: Inventory, begun: Epochs = MappingProxyType({})
    ) -> None:
        self._sweep, self._begun, self._there = sweep, begun, inventory.cells
        self._prefixes: dict[str, Prefix] = {}  # of cells with results, by id
        self.tally = Tally()
        self._missing: list[tuple[Cell, Ints]] = []
        for cell in sorted(sweep.cells, key=lambda cell: -cell.cost):
            good = inventory.cells[cell.id].good
            missing = np.flatnonzero(~good)
            size = size_of(sweep, cell)
            blocks_done, networks_done = size.done(good)
            self.tally.start(blocks_done, networks_done, len(good), size.networks)
            kept = self._in_checkpoints(cell, good)
            left = size.networks - networks_done - kept
            self.tally.forecast.expect(cell.id, cell.cost, networks_done + kept, left)
            if len(missing):
                self._missing.append((cell, missing))
        self._order = self._in_order()
        self._next = next(self._order, None)

    def next(self) -> Block | None:
        """The next missing block."""
        if self._next is None:
            return None
        cell, index = self._next
        self._next = next(self._order, None)
        block = self._sweep.block(cell, index)
        self.tally.forecast.begin(block, block.networks * (1.0 - self._share(cell, index)))
        return block

    def take(self, result: Ended) -> None:
        """Count it."""
        if isinstance(result, BlockFailed):
            self.tally.failure(result.block)
        else:
            self.tally.done(result.block, result.seconds)
            self._watch(result)

    def something(self) -> bool:
        """Whether blocks are missing that nobody does yet."""
        return self._next is not None

    def reached(self) -> bool:
        """No relative width is asked for."""
        return True

    def _watch(self, result: BlockDone | BlockFound) -> None:
        cell, index = result.block.cell, result.block.index
        if cell.id not in self._prefixes:
            size = size_of(self._sweep, cell)
            self._prefixes[cell.id] = Prefix(size, self._there[cell.id])
        prefix = self._prefixes[cell.id]
        prefix.add(index, result.summary["k"])
        self.tally.watch(Running(cell, prefix.sample, sequential=False))

    def _in_order(self) -> Iterator[tuple[Cell, int]]:
        for cell, missing in self._missing:
            yield cell, int(missing[0])
        for cell, missing in self._missing:
            for index in missing[1:]:
                yield cell, int(index)

    def _in_checkpoints(self, cell: Cell, good: Bools) -> float:
        """Networks of missing blocks, each by the share of its epochs that a checkpoint has."""
        return sum(
            self._share(cell, index) * self._sweep.block(cell, index).networks
            for identity, index in self._begun
            if identity == cell.id and index < len(good) and not good[index]
        )

    def _share(self, cell: Cell, index: int) -> float:
        epochs = self._begun.get((cell.id, index), 0)
        return min(1.0, epochs / cell.extent()["epochs"]) if epochs else 0.0


class AdaptiveWork:
    """The blocks that the cells of a sweep need for the relative width that it asks for.

    A cell without results gets its first block, then blocks in index order up to a projection of
    its need, which every further result of its sample corrects. So what is done in vain is at
    most what is in flight when a sample ends. First blocks go first, then the cell with the
    largest work left.
    """

    def __init__(self, sweep: Sweep, inventory: Inventory) -> None:
        target = sweep.spec.relative_width
        assert target is not None
        self._sweep = sweep
        self.tally = Tally(cells=len(sweep.cells), reached=0)
        self._cells = {}
        for cell in sweep.cells:
            there, size = inventory.cells[cell.id], size_of(sweep, cell)
            growing = Growing(size, target, cell.cost, there)
            self._cells[cell.id] = cell, growing
            self.tally.found(*size.done(there.good))
            self._expect(cell, growing)
        self._queue: list[tuple[tuple[bool, float], int, str]] = []
        self._entered = 0  # ties go to the cell that was entered first
        for identity in self._cells:
            self._enqueue(identity)

    def next(self) -> Block | None:
        """A block of the cell that has most left to do."""
        while self._queue:
            urgency, _, identity = heapq.heappop(self._queue)
            cell, growing = self._cells[identity]
            # An entry from before the cell's last result has a newer one beside it.
            if growing.something() and urgency == growing.urgency():
                index = growing.next()
                self._enqueue(identity)
                block = self._sweep.block(cell, index)
                self.tally.forecast.begin(block, block.networks)
                return block
        return None

    def take(self, result: Ended) -> None:
        """Grow the sample of the block's cell, or end it before a block that failed."""
        identity, index = result.block.cell.id, result.block.index
        cell, growing = self._cells[identity]
        if isinstance(result, BlockFailed):
            growing.failed(index)
            self.tally.failure(result.block)
        else:
            growing.done(index, result.summary["k"])
            self.tally.found(1, result.block.networks)
            self.tally.spent(result.block, result.seconds)
            self.tally.watch(Running(cell, growing.sample, sequential=True))
        self._expect(cell, growing)
        self._enqueue(identity)

    def something(self) -> bool:
        """Whether a cell needs a block that is not in flight."""
        return any(growing.something() for _, growing in self._cells.values())

    def reached(self) -> bool:
        """Whether all cells are narrow enough."""
        return self.tally.reached == self.tally.cells

    def _expect(self, cell: Cell, growing: Growing) -> None:
        left = growing.left()
        self.tally.project(cell.id, left, growing.reached, growing.unknown)
        self.tally.forecast.expect(cell.id, cell.cost, growing.networks_done, left.networks)

    def _enqueue(self, identity: str) -> None:
        _, growing = self._cells[identity]
        if growing.something():
            self._entered += 1
            heapq.heappush(self._queue, (growing.urgency(), self._entered, identity))
