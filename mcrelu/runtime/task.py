"""What became of a block: what executors give back."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcrelu.counting import Counts
from mcrelu.store.inventory import extent_text
from mcrelu.store.manifest import Entry
from mcrelu.store.shards import Published
from mcrelu.sweep.cell import Block


@dataclass(frozen=True)
class BlockDone:
    """A block whose shard is written."""

    block: Block
    seconds: float
    shard: Published
    summary: dict[str, int]  # counts that estimates need, ``k`` among them
    write_seconds: float = 0.0  # that publishing the shard took
    counts: Counts = field(default_factory=Counts)  # for those who watch, see mcrelu.counting

    @property
    def entry(self) -> Entry:
        """What the manifest says of it."""
        block = self.block
        return Entry(
            cell=block.cell.id,
            block=block.index,
            networks=block.networks,
            extent=extent_text(block.cell.extent()),
            bytes=self.shard.bytes,
            checksum=self.shard.checksum,
            summary=self.summary,
        )


@dataclass(frozen=True)
class BlockFound:
    """A block that another run has done meanwhile."""

    block: Block
    summary: dict[str, int]
    seconds: None = None  # of this run's workers


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
