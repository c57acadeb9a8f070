"""Several runs that write one output (``--join``), each with its own share of the blocks.

They only know of each other what the manifest says, at which each looks every few seconds. The run
that began takes blocks in their order; one that joins looks far ahead and takes them from behind,
so that they meet once. Around there some blocks are done twice, with the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from mcrelu.runtime.task import BlockFound
from mcrelu.runtime.work import Work
from mcrelu.store.inventory import CellInventory, extent_text
from mcrelu.store.manifest import Entry, ManifestWriter
from mcrelu.sweep.cell import Block

AHEAD = 1000  # blocks that a run which joined looks ahead


class Company:
    """Hands out the blocks of a work that no other run has done."""

    def __init__(
        self,
        work: Work,
        manifest: ManifestWriter,
        there: Mapping[str, CellInventory],
        joined: bool,
    ) -> None:
        self._work, self._manifest = work, manifest
        self._open = {identity: ~cell.good for identity, cell in there.items()}  # not handed out
        self._ahead = AHEAD if joined else 1
        self._window: list[Block] = []
        self._found: dict[tuple[str, int], Entry] = {}

    def look(self) -> None:
        """Learn what other runs have done since the last look.

        Raises
        ------
        ResourceError
            If the store does not answer.
        """
        for entry in self._manifest.others():
            if self._is_open(entry):
                self._found[entry.cell, entry.block] = entry

    def next(self) -> Block | None:
        """A block to do now; None if there is none, at least until further results."""
        while True:
            if not self._window:
                self._window = list(islice(iter(self._work.next, None), self._ahead))
                if not self._window:
                    return None
            block = self._window.pop()
            self._open[block.cell.id][block.index] = False
            entry = self._found.pop((block.cell.id, block.index), None)
            if entry is None or not _is_whole(entry, block):
                return block
            self._work.take(BlockFound(block, entry.summary))

    def _is_open(self, entry: Entry) -> bool:
        """Whether an entry is of a block still to do; merged segments have all the others again."""
        blocks = self._open.get(entry.cell, ())
        return entry.block < len(blocks) and bool(blocks[entry.block])


def _is_whole(entry: Entry, block: Block) -> bool:
    """Whether an entry is of all of a block: other runs may want fewer networks or epochs.

    And whether its count can be, since anybody may have written it.
    """
    return (
        entry.networks == block.networks
        and entry.extent == extent_text(block.cell.extent())
        and 0 <= entry.summary.get("k", -1) <= block.networks
    )
