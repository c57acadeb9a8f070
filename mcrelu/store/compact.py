"""Merging the shards of consecutive blocks, so that an output has few files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mcrelu.store.at_once import at_once
from mcrelu.store.contents import StoredCell
from mcrelu.store.inventory import CellInventory, extent_text, identity_in, verified_rows
from mcrelu.store.manifest import Entry
from mcrelu.store.output import Output
from mcrelu.store.shards import (
    Identity,
    Shard,
    file_name,
    publish_merged,
    shard_content,
    with_seconds,
)

MERGED_BYTES = 2**25  # of the shards that go into one file: what a reader holds at once
MERGED_BLOCKS = 4096  # in one file: each is a row group and a line of metadata


class Merged(NamedTuple):
    """What was done."""

    blocks: int
    files: int


def compact(output: Output) -> Merged:
    """Merge runs of good blocks that have files of their own; the old files go last.

    Whatever interrupts it, every block stays in at least one file.
    """
    inventory, done = output.inventory(), Merged(0, 0)
    output.record(inventory.entered)
    for cell in output.cells:
        one = inventory.cells[cell.id]
        for run in _runs(one):
            blocks = _merge(output, cell, one, run)
            done = Merged(done.blocks + blocks, done.files + (blocks > 0))
    return done


def _runs(one: CellInventory) -> Iterator[list[int]]:
    """Consecutive good blocks with files of their own, two at least, that fit into a file."""
    run: list[int] = []
    size = 0
    for index in np.flatnonzero(one.good).tolist():
        number = one.file[index]
        single = one.files.first[number] == one.files.last[number]
        own = int(one.files.bytes[number])
        full = size + own > MERGED_BYTES or len(run) == MERGED_BLOCKS
        if run and (not single or index != run[-1] + 1 or full):
            if len(run) > 1:
                yield run
            run, size = [], 0
        if single:
            run.append(index)
            size += own
    if len(run) > 1:
        yield run


def _merge(output: Output, cell: StoredCell, one: CellInventory, run: list[int]) -> int:
    """Write one file for a run of blocks; how many are in it: none if one of them is damaged."""
    names = [one.name(cell, index) for index in run]
    contents = at_once(lambda name: shard_content(output.files, name) or b"", names)
    blocks: list[tuple[Identity, pa.Table]] = []
    for index, content in zip(run, contents, strict=True):
        with Shard.of(content) as old:
            rows, seconds = verified_rows(output.contents, cell, index, old), old.seconds(index)
        if rows is None:
            return 0
        own = identity_in(output.contents, cell, index)
        blocks.append((with_seconds(own, seconds), rows))
    shard = publish_merged(output.files, file_name(cell.id, run[0], run[-1]), blocks)
    output.record(
        Entry(
            cell=cell.id,
            block=index,
            networks=rows.num_rows,
            extent=extent_text(cell.extent),
            bytes=shard.bytes,
            checksum=shard.checksum,
            summary={name: int(column[index]) for name, column in one.summary.items()},
        )
        for index, (_, rows) in zip(run, blocks, strict=True)
    )
    at_once(output.files.delete, names)
    return len(run)
