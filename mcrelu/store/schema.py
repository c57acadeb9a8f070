"""Parquet schemas by experiment. A change in one of them raises VERSION."""

from __future__ import annotations

import pyarrow as pa

from mcrelu.experiments.crossing.rows import CROSSING
from mcrelu.experiments.star.rows import STAR
from mcrelu.sweep.cell import Cell

VERSION = 2

SCHEMAS: dict[str, pa.Schema] = {"crossing": CROSSING, "star": STAR}


def schema_of(cell: Cell) -> pa.Schema:
    """What the rows of a cell's shards look like."""
    return SCHEMAS[cell.experiment]
