"""How far each cell of an output is, and what of it an estimate counts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mcrelu.runtime.prefix import Size
from mcrelu.serve.encoding import Json
from mcrelu.stats.sequential import Sample
from mcrelu.store.contents import Contents, StoredCell
from mcrelu.store.inventory import CellInventory, Inventory


@dataclass(frozen=True)
class CellProgress:
    """A cell: blocks and networks that are there, and those wanted as far as one can tell."""

    cell: StoredCell
    sample: Sample  # complete blocks up to the first gap
    blocks: int
    blocks_done: int
    networks: int
    networks_done: int
    known: bool  # whether what is wanted is more than a guess

    def to_json(self) -> Json:
        """For the page."""
        return {
            "id": self.cell.id,
            "label": self.cell.label,
            "blocks": self.blocks,
            "blocks_done": self.blocks_done,
            "networks": self.networks,
            "networks_done": self.networks_done,
            "known": self.known,
            "counted": self.sample.n,
        }


class ProgressKeeper:
    """Takes stock of an output again and again; where a width is asked for, samples only grow."""

    def __init__(self) -> None:
        self._samples: dict[str, Sample] = {}

    def of(self, contents: Contents, inventory: Inventory) -> list[CellProgress]:
        """Every cell, in the output's order."""
        return [self._cell(contents, cell, inventory.cells[cell.id]) for cell in contents.cells]

    def _cell(self, contents: Contents, cell: StoredCell, there: CellInventory) -> CellProgress:
        size, target = Size(contents.networks, cell.block_size), contents.relative_width
        blocks_done, networks_done = size.done(there.good)
        if target is None:
            sample = _whole_sample(size, there)
            wanted, known = len(there.good), True
        else:
            sample = self._grown(cell, size, there, target)
            wanted = max(blocks_done, _projected(sample, target, size, len(there.good)))
            known = sample.k > 0
        networks = min(wanted * size.block_size, size.networks)
        return CellProgress(cell, sample, wanted, blocks_done, networks, networks_done, known)

    def _grown(self, cell: StoredCell, size: Size, there: CellInventory, target: float) -> Sample:
        before = self._samples.get(cell.id, Sample())
        prefix = there.prefix()
        if before.blocks > prefix:  # a shard vanished
            before = Sample()
        counts = _counts(size, there, range(before.blocks, prefix))
        self._samples[cell.id] = before.grown(counts, target)
        return self._samples[cell.id]


def _whole_sample(size: Size, there: CellInventory) -> Sample:
    prefix = there.prefix()
    k = int(there.summary["k"][:prefix].sum()) if "k" in there.summary else 0
    return Sample(prefix, k, min(prefix * size.block_size, size.networks))


def _counts(size: Size, there: CellInventory, blocks: range) -> Iterator[tuple[int, int]]:
    return ((int(there.summary["k"][index]), size.of_block(index)) for index in blocks)


def _projected(sample: Sample, target: float, size: Size, most: int) -> int:
    """Blocks that the sample will have when it ends."""
    if sample.reaches(target):
        return sample.blocks
    networks = sample.projected(target)
    return min(most, max(sample.blocks + 1, math.ceil(networks / size.block_size)))
