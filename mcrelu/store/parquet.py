"""Parquet files in memory, the tables in them, and a hash of what a table holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Of a table in memory, unless whoever reads it knows better. Files pack zeros and repeated texts a
# thousandfold and more, so their size says little.
MOST_BYTES = 2**28

# Row groups, columns, and the lists of them in a footer: more are no file of ours.
MOST_PARTS = 2**16

DAMAGED = (OSError, ValueError, IndexError, pa.ArrowException)  # what reading such a file raises

ParquetFile = pq.ParquetFile


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


def table_of(
    content: bytes, columns: Sequence[str] | None = None, most: int = MOST_BYTES
) -> pa.Table:
    """The table in the content of a file, or some of its columns, of at most so many bytes.

    Raises
    ------
    one of DAMAGED
        If it is damaged, or larger.
    """
    file = parquet_file(content)
    return read_groups(file, range(file.num_row_groups), columns, most)


def parquet_file(content: bytes) -> pq.ParquetFile:
    """A file of which to read metadata, and rows by :func:`read_groups`.

    Raises
    ------
    one of DAMAGED
        If it is damaged.
    """
    # To be read without Arrow's own threads: still busy when the process ends, they abort it now
    # and then (https://github.com/apache/arrow/issues/34314), and files this small need none.
    plain = _opened(content)
    words = [field.name for field in plain.schema_arrow if pa.types.is_string(field.type)]
    return _opened(content, read_dictionary=words, metadata=plain.metadata) if words else plain


def _opened(content: bytes, **options: Any) -> pq.ParquetFile:
    return pq.ParquetFile(
        pa.BufferReader(content),
        pre_buffer=False,
        page_checksum_verification=True,
        thrift_container_size_limit=MOST_PARTS,
        **options,
    )


def schema_of(file: pq.ParquetFile) -> pa.Schema:
    """The schema of the rows in a file, without its metadata."""
    return pa.schema([_as_written(field) for field in file.schema_arrow])


def _as_written(field: pa.Field) -> pa.Field:
    """A column of texts, which is read as a dictionary and then written out."""
    words = pa.types.is_dictionary(field.type) and pa.types.is_string(field.type.value_type)
    return field.with_type(pa.string()) if words else field


def read_groups(
    file: pq.ParquetFile,
    groups: Sequence[int],
    columns: Sequence[str] | None = None,
    most: int = MOST_BYTES,
) -> pa.Table:
    """Row groups of a file, or some of their columns, of at most so many bytes in memory.

    Raises
    ------
    one of DAMAGED
        If they are damaged, or larger.
    """
    expected = sum(_bytes_expected(file.metadata, group, columns) for group in groups)
    _refuse(expected, most)
    rows = file.read_row_groups(list(groups), columns=columns, use_threads=False)
    written = [_written_out(rows[name], most) for name in rows.column_names]
    fields = [_as_written(field) for field in rows.schema]
    return pa.table(written, schema=pa.schema(fields, rows.schema.metadata))


def _bytes_expected(footer: pq.FileMetaData, group: int, columns: Sequence[str] | None) -> int:
    """What a row group takes, by what the footer says; texts as a dictionary."""
    found = footer.row_group(group)
    total = 0
    for k in range(found.num_columns):
        column = found.column(k)
        if columns is None or column.path_in_schema.partition(".")[0] in columns:
            values = max(column.num_values, found.num_rows) * _WIDTHS.get(column.physical_type, 8)
            if min(column.num_values, found.num_rows, column.total_uncompressed_size) < 0:
                raise ValueError("a negative size")
            total += max(values, column.total_uncompressed_size)
    return total


_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "BYTE_ARRAY": 4}  # bytes of a value in memory


def _written_out(column: pa.ChunkedArray, most: int) -> pa.ChunkedArray:
    """A column of texts without its dictionary, unless that makes it huge."""
    if not pa.types.is_dictionary(column.type):
        return column
    for chunk in column.chunks:
        lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
        _refuse(pc.sum(lengths.take(chunk.indices)).as_py() or 0, most)
    return pa.chunked_array([chunk.dictionary_decode() for chunk in column.chunks], pa.string())


def _refuse(size: int, most: int) -> None:
    if size > most:
        raise ValueError(f"takes {size} bytes, more than {most}")


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
