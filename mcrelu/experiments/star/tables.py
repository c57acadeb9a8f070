"""Tables of the star experiment: one row per cell, and how training went on, epoch by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from mcrelu.engines.r_d.protocol import LOSS_EVERY
from mcrelu.experiments.star.cell import StarCell
from mcrelu.published import StarSetting
from mcrelu.stats import intervals
from mcrelu.store.output import Output
from mcrelu.types import Floats

SETTING = tuple(name for name in StarSetting._fields if name != "event")
DECILES = tuple(range(0, 101, 10))  # in percent, the ends included

# What is counted: networks in which it ever happened, by the column of its first epoch.
EVENTS = {"kink": "first_kink_change", "loss": "first_loss_crossing"}


def star_cells(output: Output) -> pa.Table:
    """One row per cell: how many networks ever changed a pattern, and crossed the threshold.

    ``kink_k`` and ``loss_k`` are counts, ``*_estimate`` their fractions of ``networks`` with
    Wilson's and Clopper and Pearson's intervals at 95 %. ``diverged`` counts losses that are not
    finite; ``relative_loss`` is the median over networks of the final loss over the threshold, null
    where that is infinite.
    Only complete blocks count.
    """
    return pa.Table.from_pylist([_summary(output, cell) for cell in _cells(output)])


def progress(output: Output) -> pa.Table:
    """One row per cell and LOSS_EVERY epochs, of the networks that :func:`star_cells` counts.

    Mean loss and deciles of the loss over the threshold (``decile_0`` .. ``decile_100``), infinite
    where losses are not finite, and the fractions in which a kink had changed or the loss had
    crossed.
    """
    tables = [_progress_of(output, cell) for cell in _cells(output)]
    return pa.concat_tables(tables)


def describe_setting(cell: StarCell) -> dict[str, Any]:
    """What distinguishes the cell's curve over the width from others."""
    values = cell.trained() | {"step_rule": cell.step_size}
    return {name: values[name] for name in SETTING}


def _cells(output: Output) -> list[StarCell]:
    return [cell for cell in output.sweep.cells if isinstance(cell, StarCell)]


def _summary(output: Output, cell: StarCell) -> dict[str, Any]:
    rows = output.networks(cell)
    n = rows.num_rows
    loss, threshold = rows["loss"].to_numpy(), rows["threshold"].to_numpy()
    row = {
        "cell": cell.id,
        "width": cell.width,
        **describe_setting(cell),
        "precision": cell.precision,
        "engine": cell.engine,
        "epochs": cell.epochs,
        "networks": n,
    }
    for event, column in EVENTS.items():
        row |= _fraction(event, n - rows[column].null_count, n)
    relative = _relative(loss, threshold)
    row["diverged"] = int((~np.isfinite(loss)).sum())
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


def _progress_of(output: Output, cell: StarCell) -> pa.Table:
    rows = output.networks(cell)
    last = cell.epochs if rows.num_rows else 0
    epochs = np.arange(LOSS_EVERY, last + 1, LOSS_EVERY)
    losses = _matrix(rows["losses"], len(epochs))
    relative = _relative(losses, rows["threshold"].to_numpy()[:, None])
    columns: dict[str, Any] = {
        "cell": [cell.id] * len(epochs),
        "width": np.full(len(epochs), cell.width),
    }
    for name, value in describe_setting(cell).items():
        columns[name] = [value] * len(epochs)
    columns |= {
        "epoch": epochs,
        "networks": np.full(len(epochs), rows.num_rows),
        "mean_loss": losses.mean(axis=0) if rows.num_rows else [],
    }
    deciles = _deciles(relative)
    columns |= {f"decile_{q}": deciles[k] for k, q in enumerate(DECILES)}
    for event, column in EVENTS.items():
        first = rows[column].drop_null().to_numpy()
        happened = np.searchsorted(np.sort(first), epochs, side="right")
        columns[f"{event}_fraction"] = happened / max(rows.num_rows, 1)
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


def _matrix(losses: pa.ChunkedArray, epochs: int) -> Floats:
    """Lists of equal length as (m, epochs); NaN, from a training that diverged, is infinite."""
    flat = losses.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    return np.where(np.isnan(flat), np.inf, flat).reshape(len(losses), epochs)


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
