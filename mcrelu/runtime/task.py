"""What executors pass around: a block to do, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from mcrelu.store.shards import Provenance
from mcrelu.sweep.cell import Block


@dataclass(frozen=True)
class BlockTask:
    """All that a worker needs to do a block; a few hundred bytes."""

    block: Block
    origin: Provenance
    out: str  # path or URI of the output
    device: str = "cpu"  # where an engine that has a choice trains


@dataclass(frozen=True)
class BlockDone:
    """A block whose shard is written."""

    block: Block
    seconds: float
    k_high: int  # networks that count in the estimate: here, those that may cross


@dataclass(frozen=True)
class BlockFailed:
    """A block that raised; the same would happen again."""

    block: Block
    error: str  # one line
    traceback: str


@dataclass(frozen=True)
class StoreFailed:
    """The store, torch or a device is missing: no fault of the block, and it may come back."""

    block: Block
    error: str


BlockResult = BlockDone | BlockFailed | StoreFailed
