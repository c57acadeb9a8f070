"""A cell that gets blocks until its confidence sequence is narrow enough."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mcrelu.runtime.progress import Left
from mcrelu.stats.sequential import Sample
from mcrelu.store.inventory import CellInventory
from mcrelu.types import Bools


@dataclass(frozen=True)
class Size:
    """How many networks a cell has, and how many each of its blocks."""

    networks: int
    block_size: int

    def of_block(self, index: int) -> int:
        """Networks of a block; only the last may have fewer than the others."""
        return min(self.block_size, self.networks - index * self.block_size)

    def done(self, good: Bools) -> tuple[int, int]:
        """Blocks that are there, and networks in them."""
        blocks = int(good.sum())
        short = self.block_size - self.of_block(len(good) - 1) if good[-1] else 0
        return blocks, blocks * self.block_size - short


class Growing:
    """A cell, the blocks of it that are done, and how many it is projected to need."""

    def __init__(self, size: Size, target: float, cost: float, there: CellInventory) -> None:
        self._size, self._target, self._cost = size, target, cost
        self._good = there.good.copy()
        self._done = size.done(there.good)[1]
        self._k = there.summary.get("k", np.zeros(len(self._good), dtype=np.int64)).copy()
        self._flying: set[int] = set()
        self._failed: set[int] = set()
        self._limit = len(self._good)  # blocks that it may have
        self._next = 0  # all blocks before it are done or in flight
        self._sample = Sample()
        self._grow()

    @property
    def networks_done(self) -> int:
        """Networks of blocks that are there."""
        return self._done

    @property
    def reached(self) -> bool:
        """Whether its sample is narrow enough."""
        return self._sample.reaches(self._target)

    @property
    def unknown(self) -> bool:
        """Whether nothing can be projected yet."""
        return self._sample.k == 0 and self._limit > self._sample.blocks

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
        self._good[index], self._k[index] = True, k
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
        """Take what is complete into the sample, and project anew."""
        self._sample = self._sample.grown(self._further(), self._target)
        self._wanted = min(self._limit, self._projected())
        self._advance()

    def _further(self) -> Iterator[tuple[int, int]]:
        index = self._sample.blocks
        while index < len(self._good) and self._good[index]:
            yield int(self._k[index]), self._size.of_block(index)
            index += 1

    def _projected(self) -> int:
        """Blocks that the sample will have when it ends."""
        if self.reached:
            return self._sample.blocks
        networks = self._sample.projected(self._target)
        blocks = math.ceil(min(networks / self._size.block_size, self._limit))
        return max(self._sample.blocks + 1, blocks)

    def _advance(self) -> None:
        while self._next in self._flying or (
            self._next < len(self._good) and self._good[self._next]
        ):
            self._next += 1
