"""Columns that rows of every experiment have."""

from __future__ import annotations

import pyarrow as pa


def repeated(text: str, m: int) -> pa.StringArray:
    """A column of one word; Parquet stores it once."""
    return pa.repeat(pa.scalar(text), m)
