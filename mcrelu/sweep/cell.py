"""Cells and blocks: what a sweep consists of, and the identities that fix seeds and paths.

A cell is one parameter combination, one point of a figure. A block is a fixed run of networks of a
cell: the unit of randomness, of work, of retry and of one shard.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Cell(ABC):
    """One parameter combination of a sweep."""

    experiment: ClassVar[str]

    width: int
    engine: str
    semantics: int  # of the engine

    @abstractmethod
    def drawn(self) -> dict[str, Any]:
        """What the random streams depend on: cells that agree in it get the same networks."""

    @abstractmethod
    def trained(self) -> dict[str, Any]:
        """What is trained, as opposed to how it is computed and when it stops."""

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Everything that the rows of the cell depend on, except seed, block size and extent."""

    def extent(self) -> dict[str, int]:
        """How far networks are trained, where more of it continues what is there."""
        return {}

    @abstractmethod
    def memory(self, networks: int) -> int:
        """Peak bytes that a block of so many networks needs."""

    @property
    def owns_device(self) -> bool:
        """Whether its engine wants a device, such as a GPU, to itself."""
        return False

    @property
    @abstractmethod
    def cost(self) -> float:
        """Rough cost of a network relative to those of other cells of the sweep."""

    @property
    def alike(self) -> dict[str, Any]:
        """Of cells that agree in it, one is enough to forecast what all of them cost."""
        return self.parameters()

    @property
    @abstractmethod
    def label(self) -> str:
        """A few words that tell the cell from the others of a sweep."""

    @cached_property
    def stream(self) -> int:
        """The cell's part of the seed."""
        return int(digest(self.drawn()), 16)

    @cached_property
    def id(self) -> str:
        """Name of the cell's folder: a hash of its parameters, never of source code."""
        return digest(self.parameters())


@dataclass(frozen=True)
class Block:
    """Networks ``first`` .. ``first + networks - 1`` of a cell."""

    cell: Cell
    index: int
    first: int
    networks: int


@dataclass(frozen=True)
class Provenance:
    """What fixes the random streams of a sweep's blocks, besides the cell and the block."""

    seed: int
    rng: str
    block_size: int
    streams: str  # version of numpy's random streams, as in rng.stream_version


def is_id(text: str) -> bool:
    """Whether a text can be the id of a cell: ids become names of folders."""
    return _ID.fullmatch(text) is not None


def digest(value: dict[str, Any]) -> str:
    """A stable hash of plain values, 16 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
