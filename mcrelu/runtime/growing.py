"""A cell that gets blocks until its confidence sequence is narrow enough."""

from __future__ import annotations

import math

from mcrelu.runtime.prefix import Prefix, Size
from mcrelu.runtime.progress import Left
from mcrelu.stats.sequential import Sample
from mcrelu.store.inventory import CellInventory


class Growing:
    """A cell, the blocks of it that are done, and how many it is projected to need."""

    def __init__(self, size: Size, target: float, cost: float, there: CellInventory) -> None:
        self._size, self._target, self._cost = size, target, cost
        self._prefix = Prefix(size, there, target)
        self._good = self._prefix.good
        self._done = size.done(there.good)[1]
        self._flying: set[int] = set()
        self._failed: set[int] = set()
        self._limit = len(self._good)  # blocks that it may have
        self._next = 0  # all blocks before it are done or in flight
        self._grow()

    @property
    def sample(self) -> Sample:
        """What of it is complete, up to where it ends."""
        return self._prefix.sample

    @property
    def networks_done(self) -> int:
        """Networks of blocks that are there."""
        return self._done

    @property
    def reached(self) -> bool:
        """Whether its sample is narrow enough."""
        return self.sample.reaches(self._target)

    @property
    def unknown(self) -> bool:
        """Whether nothing can be projected yet."""
        return self.sample.k == 0 and self._limit > self.sample.blocks

    def something(self) -> bool:
        """Whether it needs a block that nobody does yet."""
        return self._next < self._wanted

    def urgency(self) -> tuple[bool, float]:
        """Smallest first: first blocks, then the most work that nobody does yet."""
        left = max(0, self._wanted - self._next)
        return not (self._next == 0 and left > 0), -left * self._size.block_size * self._cost

    def next(self) -> int:
        """The index of the next block, which is in flight from now on."""
        index = self._next
        self._flying.add(index)
        self._advance()
        return index

    def done(self, index: int, k: int) -> None:
        """Take in a block that is done, with so many networks in the event."""
        self._flying.discard(index)
        self._prefix.add(index, k)
        self._done += self._size.of_block(index)
        self._grow()

    def failed(self, index: int) -> None:
        """End the sample before a block that failed."""
        self._flying.discard(index)
        self._failed.add(index)
        self._limit = min(self._limit, index)
        self._grow()

    def left(self) -> Left:
        """What is in flight or failed, and what will be wanted as far as one can tell."""
        blocks = max(0, self._wanted - self._next)
        first = self._next * self._size.block_size
        last = min(first + blocks * self._size.block_size, self._size.networks)
        networks = max(0, last - first)
        for index in self._flying | self._failed:
            blocks, networks = blocks + 1, networks + self._size.of_block(index)
        return Left(blocks, networks)

    def _grow(self) -> None:
        """Project anew, from what is complete."""
        self._wanted = min(self._limit, self._projected())
        self._advance()

    def _projected(self) -> int:
        """Blocks that the sample will have when it ends."""
        if self.reached:
            return self.sample.blocks
        networks = self.sample.projected(self._target)
        blocks = math.ceil(min(networks / self._size.block_size, self._limit))
        return max(self.sample.blocks + 1, blocks)

    def _advance(self) -> None:
        while self._next in self._flying or (
            self._next < len(self._good) and self._good[self._next]
        ):
            self._next += 1
