"""Tables of the star experiment: one row per cell, and how training went on, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mcrelu.engines.r_d.protocol import LOSS_EVERY
from mcrelu.errors import ForeignOutputError
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
from mcrelu.experiments.star.paper import Setting
from mcrelu.stats import intervals
from mcrelu.types import Floats, Ints

PROGRESS = "progress"

SETTING = tuple(name for name in Setting._fields if name != "event")
DECILES = tuple(range(0, 101, 10))  # in percent, the ends included

# What is counted: networks in which it ever happened, by the column of its first epoch.
EVENTS = {"kink": "first_kink_change", "loss": "first_loss_crossing"}


def tables(reader: BlockReader) -> Tables:
    """The tables of an output.

    ``cells`` has one row per cell: how many networks ever changed a pattern, and crossed the
    threshold. ``kink_k`` and ``loss_k`` are counts, ``*_estimate`` their fractions of ``networks``
    with Wilson's and Clopper and Pearson's intervals at 95 %. ``diverged`` counts losses that are
    not finite; ``relative_loss`` is the median over networks of the final loss over the threshold,
    null where that is infinite.

    ``progress`` has one row per cell and LOSS_EVERY epochs: mean loss and deciles of the loss over
    the threshold (``decile_0`` .. ``decile_100``), infinite where losses are not finite, and the
    fractions in which a kink had changed or the loss had crossed.

    Only complete blocks count. Deciles need all losses of a cell at once: 4 bytes per network and
    LOSS_EVERY epochs.
    """
    cells, progress = [], [_PROGRESS.empty_table()]
    for cell in reader.cells:
        networks = _Networks.of(reader, cell)
        cells.append(_summary(networks, cell))
        progress.append(_progress_of(networks, cell))
    return {CELLS: pa.Table.from_pylist(cells), PROGRESS: pa.concat_tables(progress)}


def derived(cells: pa.Table) -> Tables:
    """The cell table alone: nothing else follows from it."""
    return {CELLS: cells}


def summary(rows: pa.Table) -> dict[str, int]:
    """How many networks of a block ever changed an activation pattern (``k``)."""
    return {"k": rows.num_rows - rows["first_kink_change"].null_count}


def points(cells: pa.Table) -> dict[Point, Estimate]:
    """The counts behind the estimates of a cell table, both events."""
    return {
        (setting_of(row, event), row["width"]): Count(row[f"{event}_k"], row["networks"])
        for event in EVENTS
        for row in cells.to_pylist()
    }


def sources(cells: pa.Table) -> dict[Point, Source]:
    """The networks behind them: those in which the event ever happened."""

    def happened(column: str) -> Callable[[pa.Table], Floats]:
        return lambda rows: rows[column].is_valid().to_numpy().astype(float)

    return {
        (setting_of(row, event), row["width"]): Source(row["cell"], (column,), happened(column))
        for event, column in EVENTS.items()
        for row in cells.to_pylist()
    }


def setting_of(row: dict[str, Any], event: str) -> Setting:
    """The curve that a row of a table belongs to."""
    return Setting(event, *(row[name] for name in SETTING))


class _Networks(NamedTuple):
    """What tables need of the networks of a cell."""

    loss: Floats  # (m,)
    threshold: Floats  # (m,)
    losses: Floats  # (m, epochs / LOSS_EVERY) float32
    first: dict[str, Ints]  # by event, of those networks in which it happened

    @classmethod
    def of(cls, reader: BlockReader, cell: CellRecord) -> _Networks:
        """Those of the blocks that count."""
        columns = ["loss", "threshold", "losses", *EVENTS.values()]
        blocks = list(reader.sample(cell, columns))
        rows = pa.concat_tables(blocks) if blocks else None
        epochs = cell.extent["epochs"] // LOSS_EVERY
        if rows is None:
            none, never = np.empty(0), np.empty(0, dtype=np.int64)
            return cls(none, none, np.empty((0, epochs)), dict.fromkeys(EVENTS, never))
        return cls(
            loss=rows["loss"].to_numpy(),
            threshold=rows["threshold"].to_numpy(),
            losses=_matrix(rows["losses"], epochs, cell),
            first={event: rows[name].drop_null().to_numpy() for event, name in EVENTS.items()},
        )


def _setting(cell: CellRecord) -> dict[str, Any]:
    """What distinguishes the cell's curve over the width from others."""
    values = {**cell.parameters, "step_rule": cell.parameters["step_size"]}
    return {name: values[name] for name in SETTING}


def _summary(networks: _Networks, cell: CellRecord) -> dict[str, Any]:
    n = len(networks.loss)
    row = {
        "cell": cell.id,
        "width": cell.parameters["width"],
        **_setting(cell),
        "precision": cell.parameters["precision"],
        "engine": cell.parameters["engine"],
        "epochs": cell.extent["epochs"],
        "networks": n,
    }
    for event in EVENTS:
        row |= _fraction(event, len(networks.first[event]), n)
    relative = _relative(networks.loss, networks.threshold)
    row["diverged"] = int((~np.isfinite(networks.loss)).sum())
    median = float(np.median(relative)) if n else np.inf
    row["relative_loss"] = median if np.isfinite(median) else None
    return row


def _fraction(event: str, k: int, n: int) -> dict[str, Any]:
    """Count, estimate and intervals; nulls where there is no network yet."""
    names = ("estimate", "wilson_low", "wilson_high", "clopper_pearson_low", "clopper_pearson_high")
    values: list[float | None] = [None] * len(names)
    if n:
        ends = (*intervals.wilson(k, n), *intervals.clopper_pearson(k, n))
        values = [k / n, *(float(end) for end in ends)]
    return {f"{event}_k": k} | {
        f"{event}_{name}": value for name, value in zip(names, values, strict=True)
    }


def _progress_of(networks: _Networks, cell: CellRecord) -> pa.Table:
    n = len(networks.loss)
    last = cell.extent["epochs"] if n else 0
    epochs = np.arange(LOSS_EVERY, last + 1, LOSS_EVERY)
    losses = _infinite(networks.losses)
    relative = _relative(losses, networks.threshold[:, None])
    columns: dict[str, Any] = {
        "cell": [cell.id] * len(epochs),
        "width": np.full(len(epochs), cell.parameters["width"]),
    }
    for name, value in _setting(cell).items():
        columns[name] = [value] * len(epochs)
    columns |= {
        "epoch": epochs,
        "networks": np.full(len(epochs), n),
        "mean_loss": losses.mean(axis=0) if n else [],
    }
    deciles = _deciles(relative)
    columns |= {f"decile_{q}": deciles[k] for k, q in enumerate(DECILES)}
    for event in EVENTS:
        happened = np.searchsorted(np.sort(networks.first[event]), epochs, side="right")
        columns[f"{event}_fraction"] = happened / max(n, 1)
    return pa.table(columns, schema=_PROGRESS)


_PROGRESS = pa.schema(
    [
        ("cell", pa.string()),
        ("width", pa.int64()),
        ("data", pa.string()),
        ("depth", pa.int64()),
        ("activation", pa.string()),
        ("step_rule", pa.string()),
        ("step_factor", pa.float64()),
        ("random_bias", pa.bool_()),
        ("epoch", pa.int64()),
        ("networks", pa.int64()),
        ("mean_loss", pa.float64()),
        *((f"decile_{q}", pa.float64()) for q in DECILES),
        *((f"{event}_fraction", pa.float64()) for event in EVENTS),
    ]
)


def _matrix(losses: pa.ChunkedArray, epochs: int, cell: CellRecord) -> Floats:
    """Lists of equal length as (m, epochs).

    Raises
    ------
    ForeignOutputError
        If they are of another length.
    """
    lengths = pc.list_value_length(losses)
    if not pc.all(pc.equal(lengths, epochs)).as_py():
        raise ForeignOutputError(
            f"cell {cell.id}: rows do not have the losses of its {cell.extent['epochs']} epochs, "
            "so the output is damaged; run its spec with another --out"
        )
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in losses.chunks]
    return np.concatenate(parts).reshape(len(losses), epochs)


def _infinite(losses: Floats) -> Floats:
    """In double precision; NaN, from a training that diverged, is infinite."""
    wide = losses.astype(np.float64)
    return np.where(np.isnan(wide), np.inf, wide)


def _relative(loss: Floats, threshold: Floats) -> Floats:
    """Loss over threshold, infinite where training diverged or the threshold is zero."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = loss / threshold
    return np.asarray(np.where(np.isfinite(relative), relative, np.inf))


def _deciles(relative: Floats) -> Floats:
    """(m, epochs) -> (11, epochs): order statistics, which know infinities."""
    if not len(relative):
        return np.empty((len(DECILES), 0))
    return np.quantile(relative, np.array(DECILES) / 100.0, axis=0, method="inverted_cdf")
