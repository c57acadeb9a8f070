"""Tables of the setups experiment: a row per cell, and the best rate of each group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mcrelu.distributions import family, inputs_of
from mcrelu.experiments.base import (
    CELLS,
    BlockReader,
    CellRecord,
    Estimate,
    Mean,
    Point,
    Source,
    Tables,
)
from mcrelu.experiments.setups.paper import (
    MEASURES,
    OPTIMIZERS,
    PARAMETRIZATIONS,
    Setting,
)
from mcrelu.experiments.setups.schema import METRICS
from mcrelu.experiments.setups.search import GROUP, best_rows, group_of, on_edge
from mcrelu.types import Floats

BEST = "best_rates"

_COLUMNS = (*METRICS, "bayes_rmse")


def tables(reader: BlockReader) -> Tables:
    """The tables of an output.

    ``cells`` has one row per cell: means over networks of each RMSE, in units of the targets as
    they were drawn, with their standard errors (``_se``); null if any network ``diverged``, as
    the paper has it, or none is complete. ``bayes_rmse`` is the root mean square of the noise.

    ``best_rates`` has one row per group of cells that differ in the learning rate only: the cell
    with the least mean ``best_valid_rmse``. It was the first or last of the ``rates_tried`` where
    ``on_edge`` is true, so that a better one may lie beyond.

    Only complete blocks count, in index order.
    """
    cells = pa.Table.from_pylist(
        [_cell_row(reader, cell) for cell in reader.cells], schema=_CELLS_SCHEMA
    )
    return derived(cells)


def derived(cells: pa.Table) -> Tables:
    """The best rates follow from the cell table."""
    rows = cells.to_pylist()
    rates: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for row in rows:
        if row["networks"]:
            rates[group_of(row)].append(row["learning_rate"])
    best = [
        {**row} | {"rates_tried": len(rates[group]), "on_edge": on_edge(row, rates[group])}
        for group, row in best_rows(rows).items()
    ]
    return {CELLS: cells, BEST: pa.Table.from_pylist(best, schema=_BEST_SCHEMA)}


def summary(rows: pa.Table) -> dict[str, int]:
    """How many networks of a block diverged (``k``)."""
    return {"k": rows.num_rows - rows["diverged_by"].null_count}


def points(cells: pa.Table) -> dict[Point, Estimate]:
    """The mean RMSEs at the best rates, by both measures."""
    found: dict[Point, Estimate] = {}
    for row in best_rows(cells.to_pylist()).values():
        for measure, column in MEASURES.items():
            mean = Mean(row[column], row[f"{column}_se"] or 0.0, row["networks"])
            found[setting_of(row, measure), row["inputs"]] = mean
    return found


def sources(cells: pa.Table) -> dict[Point, Source]:
    """The networks behind them: those at the best rates."""

    def rmses(column: str) -> Callable[[pa.Table], Floats]:
        return lambda rows: rows[column].cast(pa.float64()).to_numpy()

    return {
        (setting_of(row, measure), row["inputs"]): Source(row["cell"], (column,), rmses(column))
        for row in best_rows(cells.to_pylist()).values()
        for measure, column in MEASURES.items()
    }


def setting_of(row: Mapping[str, Any], measure: str) -> Setting:
    """The curve that a row belongs to."""
    return Setting(
        measure, family(row["data"]), *(row[name] for name in Setting._fields if name in row)
    )


def _cell_row(reader: BlockReader, cell: CellRecord) -> dict[str, Any]:
    parameters = cell.parameters
    if not (
        parameters["parametrization"] in PARAMETRIZATIONS and parameters["optimizer"] in OPTIMIZERS
    ):
        raise ValueError(f"cell {cell.id} is trained in a way without a name here")
    blocks = list(reader.sample(cell, [*_COLUMNS, "diverged_by"]))
    rows = pa.concat_tables(blocks) if blocks else None
    n = rows.num_rows if rows is not None else 0
    diverged = 0 if rows is None else n - rows["diverged_by"].null_count
    row = {
        "cell": cell.id,
        **{name: parameters[name] for name in GROUP},
        "inputs": inputs_of(parameters["data"]),
        "learning_rate": parameters["learning_rate"],
        "engine": parameters["engine"],
        "epochs": parameters["epochs"],
        "train_points": parameters["train_points"],
        "networks": n,
        "diverged": diverged,
    }
    if rows is None or diverged:
        return row
    for name in METRICS:
        row[name], row[f"{name}_se"] = _mean(rows[name].drop_null().to_numpy())
    row["bayes_rmse"] = float(np.sqrt(pc.mean(pc.power(rows["bayes_rmse"], 2)).as_py()))
    return row


def _mean(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and standard error; no error of a single value."""
    n = len(values)
    if n == 0:
        return None, None
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else None


_CELLS_SCHEMA = pa.schema(
    [
        ("cell", pa.string()),
        ("data", pa.string()),
        ("parametrization", pa.string()),
        ("optimizer", pa.string()),
        ("bias_init", pa.string()),
        ("bias_gain", pa.float64()),
        ("width", pa.int64()),
        ("batch", pa.int64()),
        ("inputs", pa.int64()),
        ("learning_rate", pa.float64()),
        ("engine", pa.string()),
        ("epochs", pa.int64()),
        ("train_points", pa.int64()),
        ("networks", pa.int64()),
        ("diverged", pa.int64()),
        *((f"{name}{end}", pa.float64()) for name in METRICS for end in ("", "_se")),
        ("bayes_rmse", pa.float64()),
    ]
)
_BEST_SCHEMA = pa.schema([*_CELLS_SCHEMA, ("rates_tried", pa.int64()), ("on_edge", pa.bool_())])
