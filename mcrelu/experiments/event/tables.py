"""Tables of the event experiment: one row per cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mcrelu.experiments.base import (
    CELLS,
    BlockReader,
    CellRecord,
    Count,
    Estimate,
    Point,
    Source,
    Tables,
)
from mcrelu.experiments.event.conditions import CONDITIONS
from mcrelu.stats import intervals
from mcrelu.types import Bools, Floats

JOINT = "joint"  # all conditions together: the event
COUNTED = (*CONDITIONS, JOINT)

_ENDS = ("wilson_low", "wilson_high", "clopper_pearson_low", "clopper_pearson_high")


class Setting(NamedTuple):
    """What distinguishes a curve over the width from others."""

    condition: str
    rhs_factor: float


def tables(reader: BlockReader) -> Tables:
    """The cell table: how many networks satisfied each condition, and all of them.

    ``W2`` .. ``D2`` and ``joint`` are counts of ``networks``, ``*_estimate`` their fractions with
    Wilson's and Clopper and Pearson's intervals at 95 %, null without networks. Only complete
    blocks count.
    """
    return derived(pa.Table.from_pylist([_row(reader, cell) for cell in reader.cells]))


def derived(cells: pa.Table) -> Tables:
    """The cell table alone: nothing else follows from it."""
    return {CELLS: cells}


def summary(rows: pa.Table) -> dict[str, int]:
    """How many networks of a block are in the event (``k``)."""
    return {"k": int(_satisfy(rows, JOINT).sum())}


def points(cells: pa.Table) -> dict[Point, Estimate]:
    """The counts behind the estimates of a cell table."""
    return {
        (Setting(name, row["rhs_factor"]), row["width"]): Count(row[name], row["networks"])
        for name in COUNTED
        for row in cells.to_pylist()
    }


def sources(cells: pa.Table) -> dict[Point, Source]:
    """The networks behind them: those that satisfy a condition."""

    def satisfy(name: str) -> Callable[[pa.Table], Floats]:
        return lambda rows: _satisfy(rows, name).astype(float)

    return {
        (Setting(name, row["rhs_factor"]), row["width"]): Source(
            row["cell"], CONDITIONS if name == JOINT else (name,), satisfy(name)
        )
        for name in COUNTED
        for row in cells.to_pylist()
    }


def _satisfy(rows: pa.Table, name: str) -> Bools:
    names = CONDITIONS if name == JOINT else (name,)
    columns = (rows[one].to_numpy(zero_copy_only=False) for one in names)
    return np.logical_and.reduce(list(columns))


def _row(reader: BlockReader, cell: CellRecord) -> dict[str, Any]:
    counts, networks = dict.fromkeys(COUNTED, 0), 0
    for block in reader.sample(cell, CONDITIONS):
        networks += block.num_rows
        for name in COUNTED:
            counts[name] += int(_satisfy(block, name).sum())
    row = {
        "cell": cell.id,
        "width": cell.parameters["width"],
        "rhs_factor": cell.parameters["rhs_factor"],
        "networks": networks,
        **counts,
    }
    for name, k in counts.items():
        row |= _fraction(name, k, networks)
    return row


def _fraction(name: str, k: int, n: int) -> dict[str, float | None]:
    if not n:
        return dict.fromkeys(f"{name}_{part}" for part in ("estimate", *_ENDS))
    ends = (*intervals.wilson(k, n), *intervals.clopper_pearson(k, n))
    named = {f"{name}_{end}": float(value) for end, value in zip(_ENDS, ends, strict=True)}
    return {f"{name}_estimate": k / n, **named}
