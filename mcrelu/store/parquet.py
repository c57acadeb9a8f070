"""Parquet files in memory, and the tables in them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

DAMAGED = (OSError, ValueError, IndexError, pa.ArrowException)  # what reading such a file raises


def parquet_of(table: pa.Table) -> pa.Buffer:
    """A table as the content of a file, every page with a checksum."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def table_of(content: bytes) -> pa.Table:
    """The table in the content of a file.

    Raises
    ------
    one of DAMAGED
        If it is damaged.
    """
    # Arrow's own threads, still busy when the process ends, abort it now and then
    # (https://github.com/apache/arrow/issues/34314); files this small need none.
    return pq.read_table(
        pa.BufferReader(content), use_threads=False, page_checksum_verification=True
    )
