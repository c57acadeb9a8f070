"""What of a cell an estimate counts while a run goes on: complete blocks up to the first gap.

Blocks in which networks cross early finish earlier, so what lies behind a gap would bias it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mcrelu.experiments.base import experiment_of
from mcrelu.stats.intervals import FEW, clopper_pearson, wilson
from mcrelu.stats.sequential import Sample, confidence_sequence
from mcrelu.store.inventory import CellInventory
from mcrelu.sweep.cell import Cell
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


class Prefix:
    """The blocks of a cell that are done, and the sample that its complete ones make.

    With a target (a relative width) the sample ends where it is narrow enough.
    """

    def __init__(self, size: Size, there: CellInventory, target: float | None = None) -> None:
        self._size, self._target = size, target
        self.good = there.good.copy()
        self._k = there.summary.get("k", np.zeros(len(self.good), dtype=np.int64)).copy()
        self.sample = Sample()
        self._grow()

    def add(self, index: int, k: int) -> None:
        """Take in a block that is done, with so many networks in the event."""
        self.good[index], self._k[index] = True, k
        self._grow()

    def _grow(self) -> None:
        self.sample = self.sample.grown(self._further(), self._target)

    def _further(self) -> Iterator[tuple[int, int]]:
        index = self.sample.blocks
        while index < len(self.good) and self.good[index]:
            yield int(self._k[index]), self._size.of_block(index)
            index += 1


class Running(NamedTuple):
    """The estimate of a cell while its sample grows."""

    cell: Cell
    sample: Sample
    sequential: bool  # whether the sample ends by what is seen of it

    def __str__(self) -> str:
        """In a line, with its interval: that of the tables."""
        k, n = self.sample.k, self.sample.n
        if self.sequential:
            low, high = confidence_sequence(k, n)
        else:
            low, high = (clopper_pearson if min(k, n - k) < FEW else wilson)(k, n)
        return f"{self.cell.label}: {k / n:.3g} ({low:.3g} .. {high:.3g}) {self.counted}"

    @property
    def counted(self) -> str | None:
        """What the event is, None where nobody watches it."""
        return experiment_of(self.cell).counted
