"""Columns that rows of every experiment have."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pyarrow as pa


def constant_columns(values: Mapping[str, Any], m: int, schema: pa.Schema) -> dict[str, pa.Array]:
    """Columns of m equal values each, by name; Parquet stores the value once."""
    return {name: _constant(value, schema.field(name).type, m) for name, value in values.items()}


# The next block of a cell has nearly all of the same columns.
@lru_cache(maxsize=64)
def _constant(value: Any, kind: pa.DataType, m: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), m)
