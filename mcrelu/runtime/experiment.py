"""What an experiment has to say about its blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import pyarrow as pa

from mcrelu.runtime.task import BlockTask
from mcrelu.store.shards import Provenance
from mcrelu.sweep.cell import Cell


class BlockRows(NamedTuple):
    """What comes of a block."""

    table: pa.Table  # a row per network
    k_high: int  # networks that count in the estimate


class Experiment(Protocol):
    """How the blocks of a kind of cell are done."""

    def rows(self, task: BlockTask) -> BlockRows:
        """Do a block."""

    def toys(self, cell: Cell) -> Iterator[Cell]:
        """Cells that take no time and run every kernel that a cell may need."""

    def seconds(self, cell: Cell, origin: Provenance, networks: int) -> float:
        """Time that so many networks of a cell take, measured by training (part of) it."""
