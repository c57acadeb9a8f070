"""Tables of the crossing experiment: one row per cell, one fitted power law per series."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa

from mcrelu.errors import UserError
from mcrelu.experiments.crossing.cell import CrossingCell, describe
from mcrelu.problems.one_d import StopReason
from mcrelu.published import Setting
from mcrelu.stats import intervals
from mcrelu.stats.powerlaw import fit_power_law
from mcrelu.stats.precision import k_high
from mcrelu.stats.sample import sample
from mcrelu.store.output import Output

# Of unfinished networks nobody knows what they would do; a fit must not take them for crossed.
MOST_UNFINISHED = 0.01

SETTING = Setting._fields


def crossing_cells(output: Output) -> pa.Table:
    """One row per cell, with counts, estimate and intervals.

    ``k_low`` counts the networks that crossed, ``k_high`` those too that are degenerate or
    unfinished; ``estimate`` is k_high over all (docs/method.md 1). Only complete blocks count.
    ``relative_width`` is that of the confidence sequence, null where the estimate is 0;
    ``relative_width_wanted`` is null unless the sweep asks for one.
    """
    cells = [cell for cell in output.sweep.cells if isinstance(cell, CrossingCell)]
    rows = [_counts(output, cell) for cell in cells]
    table = pa.Table.from_pylist(rows)
    n = table["networks"].to_numpy()
    k = table["k_high"].to_numpy()
    some = n > 0
    for name, column in _estimates(k[some], n[some]).items():
        full = np.full(len(n), np.nan)
        full[some] = column
        table = table.append_column(name, pa.array(full, mask=np.isnan(full)))
    wanted = pa.array([output.sweep.spec.relative_width] * len(n), pa.float64())
    return table.append_column("relative_width_wanted", wanted)


def power_laws(cells: pa.Table) -> pa.Table:
    """The law P = amplitude n^(-exponent) of each series of widths that allows a fit.

    Cells with more than MOST_UNFINISHED unfinished networks are left out; ``points`` says how many
    are left.
    """
    series: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in cells.to_pylist():
        if row["networks"] and row["unfinished"] <= MOST_UNFINISHED * row["networks"]:
            series[tuple(row[name] for name in SETTING)].append(row)
    fitted = []
    for setting, rows in series.items():
        width, k, n = (
            np.array([row[key] for row in rows]) for key in ("width", "k_high", "networks")
        )
        try:
            law = fit_power_law(width, k, n)
        except UserError:
            continue
        fitted.append(dict(zip(SETTING, setting, strict=True)) | law._asdict())
    return pa.Table.from_pylist(fitted, schema=_LAW_SCHEMA)


_LAW_SCHEMA = pa.schema(
    [
        ("offset", pa.float64()),
        ("optimizer", pa.string()),
        ("init", pa.string()),
        ("step_rule", pa.string()),
        ("stop", pa.string()),
        ("leaky_slope", pa.float64()),
        ("amplitude", pa.float64()),
        ("exponent", pa.float64()),
        ("exponent_low", pa.float64()),
        ("exponent_high", pa.float64()),
        ("level", pa.float64()),
        ("deviance", pa.float64()),
        ("points", pa.int64()),
    ]
)


def stop_names(cell: CrossingCell) -> str:
    """The stopping criteria of a cell in one word, ``crossing+sufficient``."""
    return "+".join(name for criterion in cell.criteria for name in describe(criterion))


def _counts(output: Output, cell: CrossingCell) -> dict[str, Any]:
    status = sample(output, cell)["status"].to_numpy()
    counts = np.bincount(status, minlength=len(StopReason))
    return {
        "cell": cell.id,
        "width": cell.width,
        "offset": cell.offset,
        "optimizer": cell.optimizer,
        "init": cell.init,
        "step_rule": str(cell.step_rule),
        "stop": stop_names(cell),
        "leaky_slope": cell.leaky_slope,
        "engine": cell.engine,
        "networks": int(counts.sum()),
        **{reason.name.lower(): int(counts[reason]) for reason in StopReason},
        "k_low": int(counts[StopReason.CROSSED]),
        "k_high": k_high(status),
    }


def _estimates(k: np.ndarray, n: np.ndarray) -> dict[str, np.ndarray]:
    ends = {
        "wilson": intervals.wilson(k, n),
        "clopper_pearson": intervals.clopper_pearson(k, n),
        "sequence": intervals.confidence_sequence(k, n),
    }
    columns = {"estimate": k / n, "standard_error": intervals.standard_error(k, n)}
    for name, interval in ends.items():
        columns[f"{name}_low"], columns[f"{name}_high"] = interval
    low, high = ends["sequence"]
    columns["relative_width"] = np.divide(
        high - low, k / n, out=np.full(len(n), np.nan), where=k > 0
    )
    return columns
