"""Tables of the crossing experiment: one row per cell, one fitted power law per series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from operator import index
from typing import Any

import numpy as np
import pyarrow as pa

from mcrelu.data import SampleRule, describe_points
from mcrelu.errors import UserError
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
from mcrelu.experiments.crossing.cell import PLAIN, Scales, StepRule
from mcrelu.experiments.crossing.paper import STANDARD, Setting
from mcrelu.philox import MINIBATCH
from mcrelu.problems.one_d import StopReason
from mcrelu.stats import intervals
from mcrelu.stats.powerlaw import fit_power_law
from mcrelu.stats.sequential import confidence_sequence
from mcrelu.stats.step_histogram import StepHistogram
from mcrelu.types import Floats

# Of unfinished networks nobody knows what they would do; a fit must not take them for crossed.
MOST_UNFINISHED = 0.01

SETTING = Setting._fields

# Percentiles of the steps at which networks crossed, and of those at which others were certified
CROSSING, CERTIFICATION = "crossing", "certification"
PERCENTAGES = (5, 25, 50, 75, 95)

POWER_LAWS = "power_laws"

# P(crossing possible): what is not proved (or believed) to stay where it is.
_STAYED = (StopReason.LOCALLY_CONVERGED, StopReason.EARLY_STOPPED)


def tables(reader: BlockReader) -> Tables:
    """The tables of an output: ``cells`` and ``power_laws``."""
    return derived(cell_table(reader))


def derived(cells: pa.Table) -> Tables:
    """All tables, from the first one."""
    return {CELLS: cells, POWER_LAWS: power_laws(cells)}


def cell_table(reader: BlockReader) -> pa.Table:
    """One row per cell, with counts, estimate and intervals.

    ``k_low`` counts the networks that crossed, ``k_high`` those too that are degenerate or
    unfinished; ``estimate`` is k_high over all (docs/method.md 1). Only complete blocks count.
    ``relative_width`` is that of the confidence sequence, null where the estimate is 0;
    ``relative_width_wanted`` is null unless the sweep asks for one. ``crossing_step_50`` is the
    median step at which those that crossed did, ``certification_step_50`` that of the checks at
    which the others were proved never to cross; likewise for other percentages.
    """
    rows = [_row(reader, cell) for cell in reader.cells]
    table = pa.Table.from_pylist(rows)
    for place, name in enumerate(table.column_names):
        if pa.types.is_null(table[name].type):  # no network crossed, or none was certified
            table = table.set_column(place, name, table[name].cast(pa.int64()))
    n = table["networks"].to_numpy()
    k = table["k_high"].to_numpy()
    some = n > 0
    for name, column in _estimates(k[some], n[some]).items():
        full = np.full(len(n), np.nan)
        full[some] = column
        table = table.append_column(name, pa.array(full, mask=np.isnan(full)))
    wanted = pa.array([reader.relative_width(cell) for cell in reader.cells], pa.float64())
    return table.append_column("relative_width_wanted", wanted)


def summary(rows: pa.Table) -> dict[str, int]:
    """How many networks of a block may cross (``k``): crossed, degenerate or unfinished."""
    by_reason = np.bincount(rows["status"].to_numpy(), minlength=len(StopReason))
    return {"k": int(by_reason.sum() - by_reason[list(_STAYED)].sum())}


def points(cells: pa.Table) -> dict[Point, Estimate]:
    """The counts behind the estimates of a cell table."""
    return {
        (setting_of(row), row["width"]): Count(row["k_high"], row["networks"])
        for row in cells.to_pylist()
    }


def sources(cells: pa.Table) -> dict[Point, Source]:
    """The networks behind them: those that may cross."""

    def may_cross(rows: pa.Table) -> Floats:
        return np.isin(rows["status"].to_numpy(), _STAYED, invert=True).astype(float)

    return {
        (setting_of(row), row["width"]): Source(row["cell"], ("status",), may_cross)
        for row in cells.to_pylist()
    }


def setting_of(row: dict[str, Any]) -> Setting:
    """The series that a row of a table belongs to."""
    return Setting(**{name: row[name] for name in SETTING if name in row})


def power_laws(cells: pa.Table) -> pa.Table:
    """The law P = amplitude n^(-exponent) of each series of widths that allows a fit.

    Cells with more than MOST_UNFINISHED unfinished networks are left out; ``points`` says how many
    are left. ``p_value`` is null where there are two.
    """
    series: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in cells.to_pylist():
        if row["networks"] and row["unfinished"] <= MOST_UNFINISHED * row["networks"]:
            series[tuple(setting_of(row))].append(row)
    fitted = []
    for setting, rows in series.items():
        width, k, n = (
            np.array([row[key] for row in rows]) for key in ("width", "k_high", "networks")
        )
        try:
            law = fit_power_law(width, k, n)
        except UserError:
            continue
        named = dict(zip(SETTING, setting, strict=True))
        fitted.append(named | law._asdict() | {"p_value": law.p_value})
    return pa.Table.from_pylist(fitted, schema=_LAW_SCHEMA)


_LAW_SCHEMA = pa.schema(
    [
        ("offset", pa.float64()),
        ("optimizer", pa.string()),
        ("init", pa.string()),
        ("step_rule", pa.string()),
        ("stop", pa.string()),
        ("leaky_slope", pa.float64()),
        ("data", pa.string()),
        ("samples", pa.string()),
        ("minibatch", pa.int64()),
        ("input_scale", pa.float64()),
        ("output_scale", pa.float64()),
        ("amplitude", pa.float64()),
        ("exponent", pa.float64()),
        ("exponent_low", pa.float64()),
        ("exponent_high", pa.float64()),
        ("level", pa.float64()),
        ("deviance", pa.float64()),
        ("points", pa.int64()),
        ("p_value", pa.float64()),  # of the deviance at points - 2 degrees of freedom
    ]
)


def _row(reader: BlockReader, cell: CellRecord) -> dict[str, Any]:
    by_reason = np.zeros(len(StopReason), dtype=np.int64)
    crossing, certification = StepHistogram(), StepHistogram()
    for block in reader.sample(cell, ["status", "first_crossing", "stop_iteration"]):
        status = block["status"].to_numpy()
        by_reason += np.bincount(status, minlength=len(StopReason))
        crossing.add(block["first_crossing"].to_numpy()[status == StopReason.CROSSED])
        certified = status == StopReason.LOCALLY_CONVERGED
        certification.add(block["stop_iteration"].to_numpy()[certified])
    parameters = cell.parameters
    return {
        "cell": cell.id,
        "width": parameters["width"],
        "offset": parameters["offset"],
        "optimizer": parameters["optimizer"],
        "init": parameters["init"],
        "step_rule": str(StepRule(parameters["step_size"])),
        "stop": "+".join(name for criterion in parameters["stop"] for name in criterion),
        "leaky_slope": float(parameters.get("leaky_slope", 0.0)),
        **_unlike_the_paper(parameters),
        "engine": parameters["engine"],
        "networks": int(by_reason.sum()),
        **{reason.name.lower(): int(by_reason[reason]) for reason in StopReason},
        "k_low": int(by_reason[StopReason.CROSSED]),
        "k_high": int(by_reason.sum() - by_reason[list(_STAYED)].sum()),
        **_percentiles(CROSSING, crossing),
        **_percentiles(CERTIFICATION, certification),
    }


def _unlike_the_paper(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What cells of the paper's setting do not say of themselves."""
    data, scales = parameters.get("data"), Scales(*parameters.get("scales", PLAIN))
    return {
        "data": STANDARD if data is None else describe_points(data["points"], data["digest"]),
        "samples": str(SampleRule(**parameters.get("samples", {}))),
        "minibatch": index(parameters.get("minibatch", MINIBATCH)),
        "input_scale": float(scales.input),
        "output_scale": float(scales.output),
    }


def percentile_column(kind: str, level: int) -> str:
    """The column with a percentile of the steps of a kind, CROSSING or CERTIFICATION."""
    return f"{kind}_step_{level:02}"


def _percentiles(kind: str, steps: StepHistogram) -> dict[str, int | None]:
    return {percentile_column(kind, level): steps.quantile(level / 100.0) for level in PERCENTAGES}


def _estimates(k: np.ndarray, n: np.ndarray) -> dict[str, np.ndarray]:
    ends = {
        "wilson": intervals.wilson(k, n),
        "clopper_pearson": intervals.clopper_pearson(k, n),
        "sequence": confidence_sequence(k, n),
    }
    columns = {"estimate": k / n, "standard_error": intervals.standard_error(k, n)}
    for name, interval in ends.items():
        columns[f"{name}_low"], columns[f"{name}_high"] = interval
    low, high = ends["sequence"]
    columns["relative_width"] = np.divide(
        high - low, k / n, out=np.full(len(n), np.nan), where=k > 0
    )
    return columns
