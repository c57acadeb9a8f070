"""Columns that rows of every experiment have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa


def constant_columns(values: Mapping[str, Any], m: int, schema: pa.Schema) -> dict[str, pa.Array]:
    """Columns of m equal values each, by name; Parquet stores the value once."""
    return {
        name: pa.repeat(pa.scalar(value, schema.field(name).type), m)
        for name, value in values.items()
    }
