"""The manifest: what the driver knows of finished blocks, in segments under manifest/.

A segment is a Parquet file of entries, manifest/<milliseconds>-<digest of its bytes>.parquet,
published whole and never changed. Segments are read in the order of their names; where a block has
several entries, the last one holds. The manifest only saves reading shards, so a segment that
cannot be used is passed over.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mcrelu.store.at_once import at_once
from mcrelu.store.files import Files, OversizedError
from mcrelu.store.parquet import DAMAGED, parquet_file, parquet_of, table_of
from mcrelu.types import Ints

FOLDER = "manifest"
MOST_SEGMENTS = 64  # beyond that, the writer merges
MOST_BYTES = 2**29  # of a segment; an entry takes some twenty
MOST_UNPACKED = 2**30  # of its entries in memory: those of as many blocks as a sweep may have
_NAME = re.compile(r"([0-9]{14})-([0-9a-f]{16})\.parquet")
_LISTINGS = 10  # a reader gives up a segment that was listed so often and never found

_COLUMNS: dict[str, pa.DataType] = {
    "cell": pa.string(),
    "block": pa.uint32(),
    "networks": pa.uint32(),
    "extent": pa.string(),
    "bytes": pa.uint64(),
    "checksum": pa.string(),
}
_SUMMARY = "summary."  # prefix of the columns of summaries, all int64
# In memory no text is repeated, and checksums have a fixed width.
_COMPACT = _COLUMNS | {
    "cell": pa.dictionary(pa.int32(), pa.string()),
    "extent": pa.dictionary(pa.int32(), pa.string()),
    "checksum": pa.binary(16),
}


class Entry(NamedTuple):
    """A finished block."""

    cell: str  # id
    block: int  # index
    networks: int
    extent: str  # of the cell when the block was done, as canonical JSON
    bytes: int  # of the shard
    checksum: str  # 16 hexadecimal digits, blake2b of the shard's bytes
    summary: dict[str, int]  # counts that estimates need; same keys throughout an output


class Entries(NamedTuple):
    """The finished blocks of a cell by index, one entry each."""

    block: NDArray[np.uint32]  # (n,) ascending
    networks: NDArray[np.uint32]  # (n,)
    extent: NDArray[np.bytes_]  # (n,) canonical JSON
    bytes: NDArray[np.uint64]  # (n,)
    checksum: NDArray[np.bytes_]  # (n,) 16 hexadecimal digits
    summary: dict[str, Ints]  # (n,) each


class Manifest:
    """The entries of all segments of an output at one time."""

    def __init__(self, entries: pa.Table, passed_over: int) -> None:
        self.passed_over = passed_over  # segments that are torn, foreign or vanished
        self._columns = {name: _joined(entries, name) for name in entries.column_names}
        self._places = _places(self._columns["cell"])
        self._summaries = {
            name.removeprefix(_SUMMARY): column.to_numpy()
            for name, column in self._columns.items()
            if name.startswith(_SUMMARY)
        }

    @classmethod
    def read(cls, files: Files) -> Manifest:
        """The manifest of an output; without entries if there is none.

        Raises
        ------
        ResourceError
            If the store does not list or give its files.
        """
        seen: dict[str, pa.Table | None] = {}
        for _ in range(_LISTINGS):
            names = files.names(FOLDER)
            seen |= _read_segments(files, [name for name in names if name not in seen])
            if all(name in seen for name in names):
                break
        good = [seen[name] for name in names if seen.get(name) is not None]
        usable = _alike(good)
        return cls(_latest(usable), len(names) - len(usable))

    def of_cell(self, cell_id: str) -> Entries:
        """The entries of a cell; empty arrays if it has none.

        Summaries have the keys of the entries that were read, so none in an empty manifest.
        """
        place = self._places.get(cell_id, slice(0, 0))
        columns = {name: column[place] for name, column in self._columns.items()}
        return Entries(
            block=columns["block"].to_numpy(),
            networks=columns["networks"].to_numpy(),
            extent=_decoded(columns["extent"]),
            bytes=columns["bytes"].to_numpy(),
            checksum=_fixed_width(columns["checksum"]),
            summary={key: column[place] for key, column in self._summaries.items()},
        )


class ManifestWriter:
    """Adds entries to the manifest of an output; several may do so at a time."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._buffer: list[Entry] = []
        self._unusable: set[str] = set()
        self._segments = set(self._listed())
        self._known = set(self._segments)  # was there in the beginning, is ours, or was read

    def add(self, entry: Entry) -> None:
        """Keep an entry for the next segment.

        Raises
        ------
        ValueError
            If its summary has other keys than those of the entries that wait with it.
        """
        if self._buffer and entry.summary.keys() != self._buffer[0].summary.keys():
            ours, theirs = sorted(entry.summary), sorted(self._buffer[0].summary)
            raise ValueError(f"summary with the keys {ours}: others have {theirs}")
        self._buffer.append(entry)

    def flush(self) -> None:
        """Publish what was added since the last time, if anything was, as a new segment.

        Raises
        ------
        ResourceError
            If the store refuses. Entries that were not published wait for the next time.
        """
        if not self._buffer:
            return
        content = _content(_table_of(self._buffer))
        newest = max(map(_milliseconds, self._segments), default=0)
        name = _name(max(time.time_ns() // 10**6, newest + 1), content)
        self._files.publish(f"{FOLDER}/{name}", content)
        self._buffer.clear()
        self._segments.add(name)
        self._known.add(name)
        if len(self._segments) > MOST_SEGMENTS:
            self._thin_out()

    def others(self) -> list[Entry]:
        """What other writers have added since the last call, or since this one began.

        Raises
        ------
        ResourceError
            If the store does not list or give its files.
        """
        names = [name for name in self._files.names(FOLDER) if name not in self._known]
        segments = _read_segments(self._files, names)
        self._known |= segments.keys()
        return [entry for table in segments.values() if table for entry in _entries_of(table)]

    def _listed(self) -> dict[str, int]:
        """Bytes of the segments that may be merged, in the order of their names."""
        found = sorted(self._files.sizes(FOLDER).items())
        usable = [pair for pair in found if pair[0] not in self._unusable]
        return {name: size for name, size in usable if _NAME.fullmatch(name)}

    def _thin_out(self) -> None:
        """Merge small segments until few are left, or somebody else has done so."""
        for _ in range(_LISTINGS):
            sizes = self._listed()
            self._segments = set(sizes)
            if len(sizes) <= MOST_SEGMENTS:
                break
            self._merge(list(sizes)[_first_to_merge(list(sizes.values())) :])

    def _merge(self, names: Sequence[str]) -> None:
        """Replace segments by one, unless some are gone already.

        It stands where the newest of them stood, so that it hides nothing that others add.
        """
        found = _read_segments(self._files, names)
        if len(found) < len(names):
            return
        usable = _alike([table for table in found.values() if table is not None])
        merged = [name for name in names if any(found[name] is table for table in usable)]
        self._unusable |= set(names) - set(merged)
        if not merged:
            return
        content = _content(_latest(usable))
        newest = _milliseconds(merged[-1])
        together = _name(newest, content)
        self._files.publish(f"{FOLDER}/{together}", content)
        self._known.add(together)
        # It hides all earlier ones, so they may go in any order; of those of its own millisecond
        # what is left must never be older than what is gone.
        gone = [f"{FOLDER}/{name}" for name in merged if name != together]
        earlier = sum(_milliseconds(name) < newest for name in merged)
        at_once(self._files.delete, gone[:earlier])
        for name in gone[earlier:]:
            self._files.delete(name)


def _first_to_merge(sizes: Sequence[int]) -> int:
    """From which segment on to merge: each before it is larger than all after it together.

    So an entry is merged O(log n) times, and O(log n) segments are left.
    """
    younger = [*accumulate(reversed(sizes))][-2::-1]
    pairs = zip(sizes[:-1], younger, strict=True)
    return next((k for k, (size, rest) in enumerate(pairs) if size <= rest), len(sizes) - 2)


def _read_segments(files: Files, names: Sequence[str]) -> dict[str, pa.Table | None]:
    """The entries of segments in the given order, None for what is none; gone ones are left out."""
    contents = at_once(lambda name: _content_of(files, name), names)
    return {
        name: _entries_in(name, content)
        for name, content in zip(names, contents, strict=True)
        if content is not None
    }


def _content_of(files: Files, name: str) -> bytes | None:
    """The content of a segment; empty, which is none, if it is larger than any."""
    try:
        return files.read(f"{FOLDER}/{name}", MOST_BYTES)
    except OversizedError:
        return b""


def _entries_in(name: str, content: bytes) -> pa.Table | None:
    """The entries of a segment, None if it is torn or foreign."""
    parts = _NAME.fullmatch(name)
    if parts is None or parts[2] != _digest(content):
        return None
    try:
        with parquet_file(content) as file:
            count = file.footer.num_rows
        # The numbers of blocks alone take two bytes each however they are packed; the checksums of
        # those in one file are the same and take nothing.
        if count > len(content):
            return None
        table = table_of(content, most=MOST_UNPACKED)
        summaries = table.column_names[len(_COLUMNS) :]
        if not all(key.startswith(_SUMMARY) for key in summaries):
            return None
        table = table.cast(_schema(_COMPACT, summaries))
    except DAMAGED:
        return None
    return None if any(column.null_count for column in table.columns) else table


def _alike(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Those whose summaries have the keys of the newest: others are of another program."""
    return [table for table in tables if table.column_names == tables[-1].column_names]


def _latest(tables: Sequence[pa.Table]) -> pa.Table:
    """The last entry of every block, by cell and block, in one piece."""
    if not tables:
        return _schema(_COMPACT, []).empty_table()
    every = pa.concat_tables(tables).unify_dictionaries()
    kept = _last_of_each(_joined(every, "cell").indices.to_numpy(), _joined(every, "block"))
    columns = [_joined(every, name).take(kept) for name in every.column_names]
    return pa.table(columns, schema=every.schema)


def _last_of_each(cells: NDArray[np.int32], blocks: pa.Array) -> pa.Array:
    """Indices of the last entry of each block, by cell and block."""
    keys = cells.astype(np.uint64) << np.uint64(32) | blocks.to_numpy()
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    is_last = np.ones(len(keys), dtype=bool)
    is_last[:-1] = sorted_keys[1:] != sorted_keys[:-1]
    return pa.array(order[is_last])


def _content(entries: pa.Table) -> bytes:
    summaries = entries.column_names[len(_COLUMNS) :]
    return bytes(parquet_of(entries.cast(_schema(_COLUMNS, summaries))))


def _table_of(entries: Sequence[Entry]) -> pa.Table:
    summaries = sorted(entries[0].summary)
    fields = zip(*(entry[:-1] for entry in entries), strict=True)
    counts = [[entry.summary[key] for entry in entries] for key in summaries]
    schema = _schema(_COLUMNS, [_SUMMARY + key for key in summaries])
    return pa.table([*map(list, fields), *counts], schema=schema)


def _entries_of(table: pa.Table) -> list[Entry]:
    """The inverse of :func:`_table_of`, from the columns of tables in memory."""
    summaries = table.column_names[len(_COLUMNS) :]
    keys = [name.removeprefix(_SUMMARY) for name in summaries]
    columns = table.cast(_schema(_COLUMNS, summaries)).to_pydict().values()
    cut = len(_COLUMNS)
    rows = zip(*columns, strict=True)
    return [Entry._make((*row[:cut], dict(zip(keys, row[cut:], strict=True)))) for row in rows]


def _schema(columns: dict[str, pa.DataType], summaries: Sequence[str]) -> pa.Schema:
    return pa.schema([*columns.items(), *((name, pa.int64()) for name in summaries)])


def _joined(table: pa.Table, name: str) -> pa.Array:
    """A column in one piece."""
    column = table[name]
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _places(cells: pa.DictionaryArray) -> dict[str, slice]:
    """Where the entries of each cell are, which are one after the other."""
    codes = cells.indices.to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    ends = np.append(starts, len(codes))[1:]
    return {
        cells.dictionary[int(codes[start])].as_py(): slice(int(start), int(end))
        for start, end in zip(starts, ends, strict=True)
    }


def _decoded(texts: pa.DictionaryArray) -> NDArray[np.bytes_]:
    used, codes = np.unique(texts.indices.to_numpy(), return_inverse=True)
    values = [texts.dictionary[int(code)].as_py().encode() for code in used]
    return np.array(values, dtype=np.bytes_)[codes]


def _fixed_width(values: pa.FixedSizeBinaryArray) -> NDArray[np.bytes_]:
    width = values.type.byte_width
    every = np.frombuffer(values.buffers()[1] or b"", dtype=f"S{width}")
    return every[values.offset : values.offset + len(values)]


def _name(milliseconds: int, content: bytes) -> str:
    return f"{milliseconds:014d}-{_digest(content)}.parquet"


def _milliseconds(name: str) -> int:
    return int(name.partition("-")[0])


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
