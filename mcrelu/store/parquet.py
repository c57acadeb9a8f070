"""Parquet files in memory, the tables in them, and a hash of what a table holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DAMAGED = (OSError, ValueError, IndexError, pa.ArrowException)  # what reading such a file raises


def parquet_of(table: pa.Table) -> pa.Buffer:
    """A table as the content of a file, every page with a checksum."""
    return parquet_of_groups([table], table.schema)


def parquet_of_groups(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Buffer:
    """Tables as the row groups of one file; the schema's metadata becomes the file's."""
    buffer = pa.BufferOutputStream()
    words = [field.name for field in schema if pa.types.is_string(field.type)]
    with pq.ParquetWriter(
        buffer,
        schema,
        compression="zstd",
        use_dictionary=words,
        write_statistics=False,  # nobody looks for ranges within a block
        write_page_checksum=True,
    ) as writer:
        for table in tables:
            writer.write_table(table.replace_schema_metadata(schema.metadata))
    return buffer.getvalue()


def table_of(content: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table in the content of a file, or some of its columns.

    Raises
    ------
    one of DAMAGED
        If it is damaged.
    """
    return parquet_file(content).read(columns=columns, use_threads=False)


def parquet_file(content: bytes) -> pq.ParquetFile:
    """A file of which to read row groups and metadata.

    Raises
    ------
    one of DAMAGED
        If it is damaged.
    """
    # To be read without Arrow's own threads: still busy when the process ends, they abort it now
    # and then (https://github.com/apache/arrow/issues/34314), and files this small need none.
    return pq.ParquetFile(
        pa.BufferReader(content), pre_buffer=False, page_checksum_verification=True
    )


def digest(rows: pa.Table) -> str:
    """A hash of names, types and values, which page checksums alone do not guard.

    32 hexadecimal digits, the same for equal tables however they are chunked or sliced.
    """
    total = hashlib.blake2b(digest_size=16)
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        total.update(f"{name} {column.type} {len(column)}".encode())
        _add(total, _whole(column))
    return total.hexdigest()


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [
        pa.array([], column.type)
    ])  # fmt: skip


def _add(total: hashlib.blake2b, values: pa.Array) -> None:
    if values.null_count:
        total.update(values.is_valid().to_numpy(zero_copy_only=False).tobytes())
        values = values.fill_null(_zero(values.type))
    if pa.types.is_list(values.type):
        total.update(values.value_lengths().to_numpy().tobytes())
        _add(total, values.flatten())
    elif pa.types.is_string(values.type):
        _add_strings(total, values)
    else:
        total.update(values.to_numpy(zero_copy_only=False).tobytes())


def _zero(kind: pa.DataType) -> object:
    """What stands in for nulls of a type."""
    if pa.types.is_string(kind):
        return ""
    if pa.types.is_boolean(kind):
        return False
    return [] if pa.types.is_list(kind) else 0


def _add_strings(total: hashlib.blake2b, words: pa.StringArray) -> None:
    """Their lengths and characters; the buffers themselves depend on slices."""
    _, offsets, characters = words.buffers()
    if not len(words):
        return
    ends = np.frombuffer(offsets, dtype=np.int32)[words.offset : words.offset + len(words) + 1]
    total.update(np.diff(ends).tobytes())
    if characters is not None:
        total.update(memoryview(characters)[ends[0] : ends[-1]])
