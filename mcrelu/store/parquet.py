"""Parquet files in memory, the tables in them, and a hash of what a table holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mcrelu.store.pages import refuse_larger_pages

# Of a table in memory, unless whoever reads it knows better. Files pack zeros and repeated texts a
# thousandfold and more, so their size says little.
MOST_BYTES = 2**28

# Row groups, columns, and the lists of them in a footer: more are no file of ours.
MOST_PARTS = 2**16
# Bytes of a footer, that of a merged shard with all blocks that it may have included: once read,
# it may take hundreds of times as many.
MOST_FOOTER = 2**23

DAMAGED = (OSError, ValueError, IndexError, pa.ArrowException)  # what reading such a file raises


class ParquetFile(NamedTuple):
    """A file of which to read metadata, and rows by :func:`read_groups`."""

    content: bytes
    opened: Any  # pyarrow.parquet.ParquetFile

    @property
    def footer(self) -> Any:
        """Its pyarrow.parquet.FileMetaData."""
        return self.opened.metadata

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """What it says beside its rows."""
        return self.opened.schema_arrow.metadata or {}


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
    return read_groups(file, range(file.footer.num_row_groups), columns, most)


def parquet_file(content: bytes) -> ParquetFile:
    """The content of a file, opened.

    Raises
    ------
    one of DAMAGED
        If it is damaged.
    """
    if int.from_bytes(content[-8:-4], "little") > MOST_FOOTER:  # before the last magic number
        raise ValueError("a footer that is too large")
    # To be read without Arrow's own threads: still busy when the process ends, they abort it now
    # and then (https://github.com/apache/arrow/issues/34314), and files this small need none.
    plain = _opened(content)
    words = [column.path for column in _columns(plain) if _is_text(column)]
    if words:
        plain = _opened(content, read_dictionary=words, metadata=plain.metadata)
    return ParquetFile(content, plain)


def _columns(opened: Any) -> list[Any]:
    """What the footer says of columns of numbers and texts, one by one."""
    return [opened.schema.column(k) for k in range(opened.metadata.num_columns)]


def _is_text(column: Any) -> bool:
    """Whether a column holds texts or bytes, and not lists of them or the like."""
    return column.physical_type == "BYTE_ARRAY" and column.path == column.name


def _opened(content: bytes, **options: Any) -> pq.ParquetFile:
    return pq.ParquetFile(
        pa.BufferReader(content),
        pre_buffer=False,
        page_checksum_verification=True,
        thrift_container_size_limit=MOST_PARTS,
        **options,
    )


def schema_of(file: ParquetFile) -> pa.Schema:
    """The schema of the rows in a file, without its metadata."""
    return pa.schema([_as_written(field) for field in file.opened.schema_arrow])


def _as_written(field: pa.Field) -> pa.Field:
    """A column of texts, which is read as a dictionary and then written out."""
    words = pa.types.is_dictionary(field.type)
    return field.with_type(field.type.value_type) if words else field


def read_groups(
    file: ParquetFile,
    groups: Sequence[int],
    columns: Sequence[str] | None = None,
    most: int = MOST_BYTES,
) -> pa.Table:
    """Row groups of a file, or some of their columns.

    They take at most so many bytes in memory, and their texts as many again.

    Raises
    ------
    one of DAMAGED
        If they are damaged, or larger.
    """
    chosen = [
        k
        for k, column in enumerate(_columns(file.opened))
        if columns is None or column.path.partition(".")[0] in columns
    ]
    found = [file.footer.row_group(group) for group in groups]
    _refuse(sum(_bytes_expected(file, group, k) for group in found for k in chosen), most)
    for group in found:
        for k in chosen:
            refuse_larger_pages(file.content, group.column(k))
    rows = file.opened.read_row_groups(list(groups), columns=columns, use_threads=False)
    _refuse(sum(map(_bytes_written_out, rows.columns)), most)
    fields = [_as_written(field) for field in rows.schema]
    return pa.table(
        [_written_out(column) for column in rows.columns],
        schema=pa.schema(fields, rows.schema.metadata),
    )


def _bytes_expected(file: ParquetFile, group: Any, k: int) -> int:
    """What a column of a row group takes, by what the footer says; texts as a dictionary."""
    column, described = group.column(k), file.opened.schema.column(k)
    values, lists = column.num_values, described.max_repetition_level
    if min(values, group.num_rows, column.total_uncompressed_size) < 0:
        raise ValueError("a negative size")
    if values != group.num_rows and not lists:
        raise ValueError("more or fewer values than rows")
    if lists > 1 or (described.physical_type == "BYTE_ARRAY" and not _is_text(described)):
        raise ValueError("lists of lists, or of texts, which are read without a dictionary")
    fixed = described.physical_type == "FIXED_LEN_BYTE_ARRAY"
    width = described.length if fixed else _WIDTHS.get(described.physical_type, 8)
    total = (width + _LEVELS * lists) * max(values, group.num_rows)
    return max(total, column.total_uncompressed_size)


_LEVELS = 4  # bytes of what says of a value in which list it is

# Bytes of a value in memory, where they are not 8
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT96": 12, "BYTE_ARRAY": 16}


def _bytes_written_out(column: pa.ChunkedArray) -> int:
    """What a column of texts takes without its dictionary."""
    if not pa.types.is_dictionary(column.type):
        return 0
    lengths = (pc.binary_length(chunk.dictionary).cast(pa.int64()) for chunk in column.chunks)
    pairs = zip(lengths, column.chunks, strict=True)
    return sum(pc.sum(each.take(chunk.indices)).as_py() or 0 for each, chunk in pairs)


def _written_out(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of texts without its dictionary."""
    if not pa.types.is_dictionary(column.type):
        return column
    chunks = [chunk.dictionary_decode() for chunk in column.chunks]
    return pa.chunked_array(chunks, column.type.value_type)


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
