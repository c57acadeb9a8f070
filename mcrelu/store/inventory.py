"""What of an output is there: its listing held against its manifest.

A block is good if the manifest has it and its shard still has the size that stands there. Other
shards are read: those that are whole and of this output are good, too, and belong into the
manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mcrelu.experiments.base import experiment
from mcrelu.store.contents import Contents, StoredCell
from mcrelu.store.files import Files
from mcrelu.store.manifest import Entries, Entry, Manifest
from mcrelu.store.shards import (
    NO_FILES,
    SHARDS,
    Identity,
    Shard,
    ShardFiles,
    checksum,
    file_name,
    identity_of,
    shard_content,
    shard_files,
    with_extent,
)
from mcrelu.types import Bools, Ints

READERS = 32  # threads that wait for the store

NOWHERE = -1


@dataclass
class CellInventory:
    """The blocks of a cell, by index up to the number wanted."""

    good: Bools  # (blocks,)
    summary: dict[str, Ints]  # (blocks,) counts by name, 0 where a block is not good
    file: Ints  # (blocks,) which of files a block is in, or NOWHERE
    files: ShardFiles
    known: Entries  # what the manifest has
    place: Ints  # (blocks,) where a block stands in ``known`` if its entry is right, or NOWHERE

    def name(self, cell: StoredCell, index: int) -> str:
        """Path below the output of the shard that holds a block."""
        number = self.file[index]
        return file_name(cell.id, int(self.files.first[number]), int(self.files.last[number]))

    def prefix(self) -> int:
        """How many blocks there are before the first that is missing."""
        return len(self.good) if self.good.all() else int(np.argmin(self.good))


@dataclass
class Inventory:
    """The good blocks of an output."""

    cells: dict[str, CellInventory]  # by id
    entered: list[Entry]  # good blocks that the manifest does not have yet
    refused: list[str]  # shards of wanted blocks that are there and not good
    torn_segments: int  # of the manifest, passed over


def take_inventory(files: Files, contents: Contents) -> Inventory:
    """Look what of an output is there."""
    manifest = Manifest.read(files)
    listed = shard_files(files.sizes(SHARDS))
    inventory = Inventory({}, [], [], manifest.passed_over)
    for cell in contents.cells:
        entries = manifest.of_cell(cell.id)
        one = _held_against(contents, cell, listed.get(cell.id, NO_FILES), entries)
        inventory.cells[cell.id] = one
        for entry, name in _read_unknown(files, contents, cell, one):
            if entry is None:
                inventory.refused.append(name)
            else:
                one.good[entry.block] = True
                _enter(one, entry)
                inventory.entered.append(entry)
    return inventory


def recorded(files: Files, contents: Contents) -> Inventory:
    """What the manifest says is there, as if every shard of it still were: nothing is listed.

    While a run goes on this is what it has recorded, some seconds ago, and costs little.
    """
    manifest = Manifest.read(files)
    cells = {}
    for cell in contents.cells:
        known = manifest.of_cell(cell.id)
        block = known.block.astype(np.int64)
        as_known = ShardFiles(block, block, known.bytes.astype(np.int64))
        cells[cell.id] = _held_against(contents, cell, as_known, known)
    return Inventory(cells, [], [], manifest.passed_over)


def identity_in(contents: Contents, cell: StoredCell, index: int) -> Identity:
    """What the shard of a block of an output must say of it."""
    networks = contents.block_networks(cell, index)
    provenance = contents.provenance(cell)
    own = identity_of(cell.id, index, networks, provenance, contents.schema_version)
    return with_extent(own, cell.extent)


def verified_rows(
    contents: Contents, cell: StoredCell, index: int, shard: Shard
) -> pa.Table | None:
    """The rows of a block of an output in its shard; None if they are not its."""
    return shard.block(identity_in(contents, cell, index), _schema(contents))


def columns_of(
    contents: Contents,
    cell: StoredCell,
    index: int,
    shard: Shard,
    columns: Sequence[str] | None,
) -> pa.Table | None:
    """:func:`verified_rows` of a shard whose checksum is right, so some columns are enough."""
    return shard.columns(identity_in(contents, cell, index), columns, _schema(contents))


def _schema(contents: Contents) -> pa.Schema | None:
    """What rows of an output must be, if this program knows."""
    known = experiment(contents.experiment)
    return known.schema if contents.schema_version == known.schema_version else None


def extent_text(extent: Mapping[str, int]) -> str:
    """An extent as the manifest has it."""
    return json.dumps(dict(extent), sort_keys=True, separators=(",", ":"))


def _held_against(
    contents: Contents, cell: StoredCell, files: ShardFiles, known: Entries
) -> CellInventory:
    count = contents.block_count(cell)
    file = _files_of_blocks(files, count)
    sizes = np.append(files.bytes, -1)[file]
    networks = np.full(count, cell.block_size)
    networks[-1] = contents.block_networks(cell, count - 1)
    block = known.block.astype(np.int64)
    wanted = np.flatnonzero(block < count)
    at = block[wanted]
    right = (
        (known.networks[wanted] == networks[at])
        & (known.bytes[wanted] == sizes[at])
        & (known.extent[wanted] == extent_text(cell.extent).encode())
        & _plausible(known, wanted)
    )
    place = np.full(count, NOWHERE, dtype=np.int64)
    place[at[right]] = wanted[right]
    good = place != NOWHERE
    summary = {}
    for name, column in known.summary.items():
        summary[name] = np.where(good, column[place] if len(column) else 0, 0)
    return CellInventory(good, summary, file, files, known, place)


def _plausible(known: Entries, wanted: Ints) -> Bools:
    """Whether entries count no more networks in the event than there are."""
    if "k" not in known.summary:
        return np.zeros(len(wanted), dtype=bool)
    k = known.summary["k"][wanted]
    return (k >= 0) & (k <= known.networks[wanted])


def _files_of_blocks(files: ShardFiles, count: int) -> Ints:
    """Which file each block is in; a file of its own wins over a merged one."""
    file = np.full(count, NOWHERE, dtype=np.int64)
    single = files.first == files.last
    for k in np.flatnonzero(~single).tolist():
        file[files.first[k] : files.last[k] + 1] = k
    wanted = np.flatnonzero(single & (files.first < count))
    file[files.first[wanted]] = wanted
    return file


def _read_unknown(
    files: Files, contents: Contents, cell: StoredCell, one: CellInventory
) -> Iterator[tuple[Entry | None, str]]:
    """An entry for each listed block that the manifest does not have, None if it is not good."""
    summary = experiment(contents.experiment).summary
    unknown = np.flatnonzero(~one.good & (one.file != NOWHERE))
    by_file: dict[int, list[int]] = {}
    for index in unknown.tolist():
        by_file.setdefault(int(one.file[index]), []).append(index)

    def read(number: int) -> list[tuple[Entry | None, str]]:
        name = one.name(cell, by_file[number][0])
        content = shard_content(files, name)
        if content is None:
            return []
        whole = checksum(content)
        with Shard.of(content) as shard, shard.turn():
            return [(entry(shard, len(content), whole, index), name) for index in by_file[number]]

    def entry(shard: Shard, size: int, whole: str, index: int) -> Entry | None:
        rows = verified_rows(contents, cell, index, shard)
        if rows is None:
            return None
        return Entry(
            cell=cell.id,
            block=index,
            networks=rows.num_rows,
            extent=extent_text(cell.extent),
            bytes=size,
            checksum=whole,
            summary=summary(rows),
        )

    with ThreadPoolExecutor(READERS) as pool:
        for results in pool.map(read, by_file):
            yield from results


def _enter(one: CellInventory, entry: Entry) -> None:
    for name, value in entry.summary.items():
        column = one.summary.setdefault(name, np.zeros(len(one.good), dtype=np.int64))
        column[entry.block] = value
