"""Parquet files in memory, the tables in them, and a hash of what a table holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from threading import RLock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mcrelu.store.pages import refuse_larger_pages

# Of a table in memory, unless whoever reads it knows better. Files pack zeros and repeated texts a
# thousandfold and more, so their size says little.
MOST_BYTES = 2**28

# Row groups, columns, and other lists in a footer: more are no file of ours. Arrow 18 goes down
# columns within columns until its stack is full, at some ten thousands.
MOST_PARTS = 2**13
# Bytes of a footer, of which a merged shard with as many blocks as it may have takes most. Once
# read, one that was made for it takes hundreds of times as much.
MOST_FOOTER = 2**23

# Of footers and tables that are larger than these, one is read at a time (and held, in a
# :func:`turn`), and footers by a thread of their own: memory that a thread has freed may stay
# with it.
_LARGE_FOOTER = 2**19
_LARGE = 2**24
_ONE_BY_ONE = RLock()
_FOOTERS = ThreadPoolExecutor(1, "footers")

DAMAGED = (OSError, ValueError, IndexError, pa.ArrowException)  # what reading such a file raises


@dataclass
class ParquetFile:
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
    with parquet_file(content) as file:
        return read_groups(file, range(file.footer.num_row_groups), columns, most)


@contextmanager
def parquet_file(content: bytes) -> Iterator[ParquetFile]:
    """The content of a file, opened for as long as the context lasts.

    Raises
    ------
    one of DAMAGED
        If it is damaged.
    """
    size = int.from_bytes(content[-8:-4], "little")  # before the last magic number
    if size > MOST_FOOTER:
        raise ValueError("a footer that is too large")
    large = size > _LARGE_FOOTER
    with _ONE_BY_ONE if large else nullcontext():
        opened = _FOOTERS.submit(_opened, content).result() if large else _opened(content)
        file = ParquetFile(content, _with_dictionaries(content, opened))
        del opened
        try:
            yield file
        finally:
            del file.opened  # before the next one


def _with_dictionaries(content: bytes, plain: pq.ParquetFile) -> pq.ParquetFile:
    """A file whose texts are read as dictionaries."""
    # Its `schema` and that of its metadata would keep all of a footer in memory: they form a cycle.
    words = [field.name for field in plain.schema_arrow if _is_text(field.type)]
    return _opened(content, read_dictionary=words, metadata=plain.metadata) if words else plain


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
        or types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
    )  # fmt: skip


def _opened(content: bytes, **options: Any) -> pq.ParquetFile:
    # To be read without Arrow's own threads: still busy when the process ends, they abort it now
    # and then (https://github.com/apache/arrow/issues/34314), and files this small need none.
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
        (k, field.type)
        for k, field in enumerate(_plain_fields(file))
        if columns is None or field.name in columns
    ]
    found = [file.footer.row_group(group) for group in groups]
    every = [(group, group.column(k), kind) for group in found for k, kind in chosen]
    expected = sum(_bytes_expected(*one) for one in every)
    _refuse(expected, most)
    for _, column, _ in every:
        refuse_larger_pages(file.content, column)
    with turn(expected):
        rows = file.opened.read_row_groups(list(groups), columns=columns, use_threads=False)
    _refuse(sum(map(_bytes_written_out, rows.columns)), most)
    fields = [_as_written(field) for field in rows.schema]
    return pa.table(
        [_written_out(column) for column in rows.columns],
        schema=pa.schema(fields, rows.schema.metadata),
    )


def turn(size: int) -> AbstractContextManager[object]:
    """A context that one thread has at a time, for rows of so many bytes, if those are many."""
    return _ONE_BY_ONE if size > _LARGE else nullcontext()


def bytes_at_most(file: ParquetFile) -> int:
    """What all rows of a file may take in memory, by what its footer says.

    Raises
    ------
    one of DAMAGED
        If the footer makes no sense.
    """
    kinds = [field.type for field in _plain_fields(file)]
    groups = map(file.footer.row_group, range(file.footer.num_row_groups))
    return sum(
        _bytes_written_out_at_most(group, group.column(k), kind)
        for group in groups
        for k, kind in enumerate(kinds)
    )


def _bytes_written_out_at_most(group: Any, column: Any, kind: pa.DataType) -> int:
    """What a column of a row group takes if each text is as long as all of them."""
    expected = _bytes_expected(group, column, kind)
    return group.num_rows * expected if pa.types.is_dictionary(kind) else expected


def _plain_fields(file: ParquetFile) -> pa.Schema:
    """The columns of a file if they are plain: each is one column of the footer, too."""
    fields = file.opened.schema_arrow
    if len(fields) != file.footer.num_columns or not all(_is_plain(one.type) for one in fields):
        raise ValueError("columns of structs, or of lists of anything but numbers")
    return fields


def _is_plain(kind: pa.DataType) -> bool:
    """Whether values are numbers, texts (as a dictionary), bytes, lists of numbers, or missing."""
    if pa.types.is_list(kind):
        return bool(pa.types.is_primitive(kind.value_type))
    fixed = pa.types.is_fixed_size_binary(kind) or pa.types.is_decimal(kind)
    texts = pa.types.is_dictionary(kind) and _is_text(kind.value_type)
    return bool(pa.types.is_primitive(kind) or pa.types.is_null(kind) or texts or fixed)


def _bytes_expected(group: Any, column: Any, kind: pa.DataType) -> int:
    """What a column of a row group takes, by what the footer says; texts as a dictionary."""
    values, lists, physical = column.num_values, pa.types.is_list(kind), column.physical_type
    if min(values, group.num_rows, column.total_uncompressed_size) < 0:
        raise ValueError("a negative size")
    if values != group.num_rows and not lists:
        raise ValueError("more or fewer values than rows")
    if physical == "BYTE_ARRAY" and not pa.types.is_dictionary(kind):
        raise ValueError("numbers of any length")
    fixed = physical == "FIXED_LEN_BYTE_ARRAY"
    inner = kind.value_type if lists else kind
    width = inner.byte_width if fixed else _WIDTHS.get(physical, 8)
    total = (width + (_LEVELS if lists else 0)) * max(values, group.num_rows)
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
