"""Columns that rows of every experiment have."""

from __future__ import annotations

import pyarrow as pa

NAME = pa.dictionary(pa.int8(), pa.string())


def repeated(text: str, m: int) -> pa.DictionaryArray:
    """A column of one word."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * m, pa.int8()), pa.array([text]))
