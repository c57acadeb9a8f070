"""Shards: Parquet files with the rows of one block, or of consecutive ones, verified when read.

A worker writes one file per block, under a name that the block fixes. ``mcrelu compact`` merges
the files of consecutive blocks; each block then is a row group, and what it must say of itself
stands in a list.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property
from math import isnan, nan
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mcrelu.experiments.base import experiment_of
from mcrelu.store.files import Files, OversizedError
from mcrelu.store.parquet import (
    DAMAGED,
    ParquetFile,
    bytes_at_most,
    digest,
    parquet_file,
    parquet_of,
    parquet_of_groups,
    read_groups,
    schema_of,
    turn,
)
from mcrelu.sweep.cell import Block, Provenance, is_id
from mcrelu.types import Ints

SHARDS = "shards"
MOST_BYTES = 2**28  # of a shard; merged ones have some 2^25

_PREFIX = "mcrelu."
_BLOCKS = "blocks"  # metadata of a file with several blocks: a list of what each has of _OWN
_SECONDS = "wall_seconds"
_OWN = ("block", "networks", "digest", _SECONDS)
_NAME = re.compile(r"([0-9]{6,9})(?:-([0-9]{6,9}))?\.parquet")

_UNREADABLE = (*DAMAGED, KeyError, TypeError, RecursionError)

Identity = dict[str, str]  # what a file must say of a block to be the one that is looked for


class Published(NamedTuple):
    """A shard as it lies in the store."""

    bytes: int
    checksum: str


class ShardFiles(NamedTuple):
    """The shards of a cell, as arrays: there may be millions."""

    first: Ints  # (files,) first block of each
    last: Ints  # (files,) last block, the first but for merged shards
    bytes: Ints  # (files,)


NO_FILES = ShardFiles(*(np.empty(0, dtype=np.int64),) * 3)


def shard_name(block: Block) -> str:
    """Path of a block's own shard below the output."""
    return file_name(block.cell.id, block.index, block.index)


def file_name(cell: str, first: int, last: int) -> str:
    """Path of the shard of some consecutive blocks of a cell, or of one."""
    if first == last:
        return f"{SHARDS}/{cell}/{first:06d}.parquet"
    return f"{SHARDS}/{cell}/{first:06d}-{last:06d}.parquet"


def is_shard(name: object) -> bool:
    """Whether this is the path of a shard below an output, and of nothing else."""
    parts = name.split("/") if isinstance(name, str) else []
    return (
        len(parts) == 3
        and parts[0] == SHARDS
        and is_id(parts[1])
        and bool(_NAME.fullmatch(parts[2]))
    )


def cell_in(name: str) -> str:
    """Id of the cell in the path of a shard."""
    return name.split("/")[1]


def shard_files(sizes: Mapping[str, int]) -> dict[str, ShardFiles]:
    """The shards by cell, in a listing of :data:`SHARDS` (path below it -> bytes)."""
    found: dict[str, tuple[list[int], list[int], list[int]]] = {}
    for path, size in sizes.items():
        cell, _, name = path.rpartition("/")
        match = _NAME.fullmatch(name)
        if match:
            first, last, many = found.setdefault(cell, ([], [], []))
            first.append(int(match[1]))
            last.append(int(match[2] or match[1]))
            many.append(size)
    return {
        cell: ShardFiles(*(np.array(column, dtype=np.int64) for column in columns))
        for cell, columns in found.items()
    }


def identity(block: Block, provenance: Provenance) -> Identity:
    """What every file of a block must say of itself: shards, checkpoints."""
    version = experiment_of(block.cell).schema_version
    return identity_of(block.cell.id, block.index, block.networks, provenance, version)


def identity_of(
    cell: str, index: int, networks: int, provenance: Provenance, schema_version: int
) -> Identity:
    """:func:`identity` from what an output says of a cell."""
    return {
        "schema": str(schema_version),
        "cell": cell,
        "block": str(index),
        "networks": str(networks),
        "seed": str(provenance.seed),
        "rng": provenance.rng,
        "streams": provenance.streams,
        "block_size": str(provenance.block_size),
    }


def with_extent(own: Identity, extent: Mapping[str, int]) -> Identity:
    """The identity of a block that was trained so far; checkpoints are of any extent."""
    return {**own, **{name: str(value) for name, value in extent.items()}}


def shard_of(
    block: Block, provenance: Provenance, rows: pa.Table, metadata: dict[str, str]
) -> pa.Buffer:
    """The content of a block's shard; ``metadata`` stands in it beside its identity.

    Raises
    ------
    ValueError
        If the rows are not what the experiment says.
    """
    expected = experiment_of(block.cell).schema
    if not rows.schema.equals(expected) or rows.num_rows != block.networks:
        raise ValueError(f"rows of {block.cell.label} do not have the schema of its experiment")
    own = with_extent(identity(block, provenance), block.cell.extent())
    known = {**metadata, **own, "digest": digest(rows)}
    return parquet_of(rows.replace_schema_metadata(_encoded(known)))


def publish_shard(files: Files, block: Block, content: pa.Buffer) -> Published:
    """Write the shard of a block."""
    files.publish(shard_name(block), content)
    return Published(content.size, checksum(content))


def publish_merged(
    files: Files, name: str, blocks: Sequence[tuple[Identity, pa.Table]]
) -> Published:
    """Write the shard of several consecutive blocks of a cell, of which all have rows.

    What is said of a block are its identity and, where it is known, how long it took.
    """
    shared = {key: value for key, value in blocks[0][0].items() if key not in _OWN}
    own = [
        {name: one[name] for name in _OWN if name in one} | {"digest": digest(rows)}
        for one, rows in blocks
    ]
    schema = blocks[0][1].schema.with_metadata(_encoded({**shared, _BLOCKS: json.dumps(own)}))
    content = parquet_of_groups((rows for _, rows in blocks), schema)
    files.publish(name, content)
    return Published(content.size, checksum(content))


def checksum(content: bytes | pa.Buffer) -> str:
    """A hash of the bytes of a file, 16 hexadecimal digits."""
    return hashlib.blake2b(memoryview(content), digest_size=8).hexdigest()


def shard_content(files: Files, name: str) -> bytes | None:
    """The content of a shard, None if there is none; empty, which is none, if it is too large."""
    try:
        return files.read(name, MOST_BYTES)
    except OversizedError:
        return b""


class Shard:
    """A shard, of which the footer is read once: that of a merged one is long."""

    def __init__(self, file: ParquetFile | None) -> None:
        self._opened = file

    @classmethod
    @contextmanager
    def of(cls, content: bytes) -> Iterator[Shard]:
        """The shard with this content, as long as the context lasts; without blocks if damaged."""
        with ExitStack() as stack:
            try:
                file = stack.enter_context(parquet_file(content))
            except _UNREADABLE:
                file = None
            yield cls(file)

    def block(self, wanted: Identity, schema: pa.Schema | None = None) -> pa.Table | None:
        """The rows of a block, without metadata.

        None if the file is torn, foreign, of another length, without the block, or if its rows do
        not have the schema, where one is given. Nothing is read of a file whose footer says so.
        """
        try:
            group, own = self._place_of(int(wanted["block"]))
            rows = self._rows(group, wanted, schema, None)
            known = {**wanted, "digest": digest(rows)}
        except _UNREADABLE:
            return None
        return rows if {key: own.get(key) for key in known} == known else None

    def columns(
        self,
        wanted: Identity,
        columns: Sequence[str] | None,
        schema: pa.Schema | None = None,
    ) -> pa.Table | None:
        """Some columns (None: all) of a block, if the checksum of the file is right.

        None where :meth:`block` gives none for another reason than a wrong digest.
        """
        try:
            group, _ = self._place_of(int(wanted["block"]))
            return self._rows(group, wanted, schema, columns)
        except _UNREADABLE:
            return None

    def turn(self) -> AbstractContextManager[object]:
        """A context that one thread has at a time, if its rows may be large."""
        return turn(self.bytes_at_most())

    def bytes_at_most(self) -> int:
        """What all blocks may take in memory, by what the footer says; 0 without blocks."""
        try:
            return bytes_at_most(self._file)
        except _UNREADABLE:
            return 0

    def seconds(self, index: int) -> float:
        """Seconds that a block took; NaN if the file does not say."""
        try:
            _, own = self._place_of(index)
            return float(own.get(_SECONDS, "nan"))
        except _UNREADABLE:
            return nan

    def metadata(self) -> dict[str, str]:
        """What it says beside its rows: identity, versions, host, device, seconds, attempt.

        Raises
        ------
        one of DAMAGED
            If it is damaged.
        """
        return dict(self._said)

    def _rows(
        self,
        group: int | None,
        wanted: Identity,
        schema: pa.Schema | None,
        columns: Sequence[str] | None,
    ) -> pa.Table:
        """Rows of a block, if the footer says that there are as many and what they should be.

        Raises
        ------
        one of DAMAGED
            If they are not.
        """
        footer = self._file.footer
        groups = range(footer.num_row_groups) if group is None else [group]
        count = sum(footer.row_group(k).num_rows for k in groups)
        if count != int(wanted["networks"]):
            raise ValueError(f"has {count} rows")
        own = self._schema
        if schema is not None and own != schema:
            raise ValueError("has other columns")
        missing = set(columns or ()).difference(own.names)
        if missing:
            raise ValueError(f"lacks the columns {missing}")
        return read_groups(self._file, groups, columns).replace_schema_metadata(None)

    @property
    def _file(self) -> ParquetFile:
        if self._opened is None:
            raise ValueError("is no Parquet file")
        return self._opened

    @cached_property
    def _schema(self) -> pa.Schema:
        return schema_of(self._file)

    @cached_property
    def _said(self) -> dict[str, Any]:
        return _decoded(self._file.metadata)

    @cached_property
    def _listed(self) -> dict[int, tuple[int, dict[str, Any]]]:
        """Row group and own metadata of each block of a merged file, by index."""
        listed = json.loads(self._said[_BLOCKS])
        return {int(one["block"]): (group, one) for group, one in enumerate(listed)}

    def _place_of(self, index: int) -> tuple[int | None, dict[str, Any]]:
        """The row group of a block, None if the file is its own; and what is said of the block."""
        if _BLOCKS not in self._said:
            return None, self._said
        group, own = self._listed[index]
        return group, {**self._said, **own}


def with_seconds(own: Identity, seconds: float) -> Identity:
    """The identity of a block, and how long it took unless that is NaN."""
    return own if isnan(seconds) else {**own, _SECONDS: f"{seconds:.6f}"}


def _encoded(metadata: Mapping[str, str]) -> dict[bytes, bytes]:
    return {f"{_PREFIX}{key}".encode(): value.encode() for key, value in metadata.items()}


def _decoded(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    prefix = _PREFIX.encode()
    items: Iterable[tuple[bytes, bytes]] = metadata.items()
    return {
        key[len(prefix) :].decode(): value.decode()
        for key, value in items
        if key.startswith(prefix)
    }
