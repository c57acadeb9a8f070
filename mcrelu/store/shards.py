"""Shards: one Parquet file per block, under a name that the block fixes, verified when read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from typing import TypeVar

import pyarrow as pa

from mcrelu.store.files import Files
from mcrelu.store.parquet import DAMAGED, parquet_of, table_of
from mcrelu.store.schema import VERSION, schema_of
from mcrelu.sweep.cell import Block, Cell

_PREFIX = "mcrelu."
_READERS = 8

T = TypeVar("T")


@dataclass(frozen=True)
class Provenance:
    """What fixes the random streams of a sweep's blocks, besides the cell and the block."""

    seed: int
    rng: str
    block_size: int


def shard_name(block: Block) -> str:
    """Path of a block's shard below the output."""
    return f"shards/{block.cell.id}/{block.index:06d}.parquet"


def publish_shard(
    files: Files, block: Block, origin: Provenance, rows: pa.Table, notes: dict[str, str]
) -> None:
    """Write the shard of a block; ``notes`` go into its metadata beside its identity."""
    metadata = {**notes, **_identity(block, origin), "digest": digest(rows)}
    files.publish(shard_name(block), parquet_of(rows.replace_schema_metadata(_encoded(metadata))))


def read_shard(files: Files, block: Block, origin: Provenance) -> pa.Table | None:
    """The rows of a block, None if its shard is absent, torn, foreign or of another length."""
    content = files.read(shard_name(block))
    if content is None:
        return None
    try:
        rows = table_of(content)
        wanted = _encoded({**_identity(block, origin), "digest": digest(rows)})
    except DAMAGED:
        return None
    found = rows.schema.metadata or {}
    known = {key: found.get(key) for key in wanted}
    fits = rows.schema.equals(schema_of(block.cell)) and rows.num_rows == block.networks
    if known != wanted or not fits:
        return None
    return rows


def digest(rows: pa.Table) -> str:
    """A hash of the values, which page checksums alone do not guard: headers are outside them."""
    total = hashlib.blake2b(digest_size=16)
    for column in rows.combine_chunks().columns:
        total.update(f"{column.type} {column.null_count} {len(column)}".encode())
        for chunk in column.chunks:
            if pa.types.is_list(chunk.type):
                total.update(chunk.value_lengths().to_numpy(zero_copy_only=False).tobytes())
                chunk = chunk.flatten()  # noqa: PLW2901
            if pa.types.is_dictionary(chunk.type):
                total.update(repr(chunk.dictionary.to_pylist()).encode())
                chunk = chunk.indices  # noqa: PLW2901
            total.update(chunk.to_numpy(zero_copy_only=False).tobytes())
    return total.hexdigest()


def missing_blocks(files: Files, blocks: Iterable[Block], origin: Provenance) -> list[Block]:
    """The blocks without a good shard, in the given order."""
    wanted = list(blocks)
    good = of_good_blocks(files, wanted, origin, lambda _: True)
    return [block for block in wanted if block not in good]


def of_good_blocks(
    files: Files, blocks: Iterable[Block], origin: Provenance, of: Callable[[pa.Table], T]
) -> dict[Block, T]:
    """What a function says of the rows of each block that has a good shard, in the given order."""
    there = list(filter(_listed(files), blocks))

    def read(block: Block) -> T | None:
        rows = read_shard(files, block, origin)
        return None if rows is None else of(rows)

    with ThreadPoolExecutor(_READERS) as pool:
        found = zip(there, pool.map(read, there), strict=True)
        return {block: value for block, value in found if value is not None}


def complete_prefix(
    files: Files, cell: Cell, blocks: Iterable[Block], origin: Provenance
) -> pa.Table:
    """The rows of a cell's blocks in index order, up to the first that is not there.

    Networks that cross finish earlier than those that converge, so blocks behind a gap must not
    be counted: which of them are there depends on their outcome.
    """
    there = takewhile(_listed(files), blocks)
    with ThreadPoolExecutor(_READERS) as pool:
        shards = list(pool.map(lambda block: read_shard(files, block, origin), there))
    gap = next((k for k, rows in enumerate(shards) if rows is None), len(shards))
    tables = [schema_of(cell).empty_table(), *shards[:gap]]
    return pa.concat_tables(tables).unify_dictionaries().replace_schema_metadata(None)


def _listed(files: Files) -> Callable[[Block], bool]:
    """Whether the store lists a shard of a block; it is asked once per cell."""
    names = cache(lambda folder: frozenset(files.names(folder)))

    def listed(block: Block) -> bool:
        folder, _, name = shard_name(block).rpartition("/")
        return name in names(folder)

    return listed


def identity(block: Block, origin: Provenance) -> dict[str, str]:
    """What a file of a block must say of itself to be the one that is looked for."""
    return {
        "schema": str(VERSION),
        "cell": block.cell.id,
        "block": str(block.index),
        "networks": str(block.networks),
        "seed": str(origin.seed),
        "rng": origin.rng,
        "block_size": str(origin.block_size),
    }


def _identity(block: Block, origin: Provenance) -> dict[str, str]:
    extent = {name: str(value) for name, value in block.cell.extent().items()}
    return {**identity(block, origin), **extent}


def _encoded(metadata: dict[str, str]) -> dict[bytes, bytes]:
    return {f"{_PREFIX}{key}".encode(): value.encode() for key, value in metadata.items()}
