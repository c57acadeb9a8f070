"""Which rows of a cell count."""

from __future__ import annotations

import pyarrow as pa

from mcrelu.stats.precision import sample_of
from mcrelu.store.output import Output
from mcrelu.sweep.cell import Cell


def sample(output: Output, cell: Cell) -> pa.Table:
    """The rows of a cell that count: its complete blocks up to the precision asked for."""
    rows = output.networks(cell)
    target = output.sweep.spec.relative_width
    return rows if target is None else rows.slice(0, sample_of(rows, target).n)
