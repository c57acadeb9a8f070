"""The event figure: how often each condition holds, and all of them, over the width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcrelu.errors import UserError
from mcrelu.experiments.base import CELLS, Drawing, Tables
from mcrelu.experiments.event.conditions import CONDITIONS
from mcrelu.experiments.event.sections import DRAWING
from mcrelu.experiments.event.tables import JOINT
from mcrelu.figures.captions import joined, networks_per_point
from mcrelu.figures.panels import legend_once, width_axis
from mcrelu.figures.style import COLORS, COLUMN_WIDTH, MARKERS, PAGE_WIDTH
from mcrelu.stats.intervals import shown_interval

Row = Mapping[str, Any]

_LINES = ("-", (0, (4, 1.5)))  # eight conditions: six colours, then again in another line
_JOINT_LABEL = "all"


def drawings(tables: Tables) -> list[Drawing]:
    """The event figure; none if no block is complete yet."""
    rows = _complete(tables)
    if not rows:
        return []
    counts = networks_per_point(row["networks"] for row in rows)
    bars = "bars of the joint event are 95 % intervals, those of single conditions are left out"
    return [Drawing(DRAWING, event_figure(rows), caption=joined((counts, bars)))]


def plot(tables: Tables, axes: Axes, rhs_factor: float | None = None) -> None:
    """One panel on other axes: that of a right-hand side, by default the first."""
    rows = _complete(tables)
    factors = _factors(rows)
    chosen = factors[0] if rhs_factor is None else rhs_factor
    if chosen not in factors:
        known = ", ".join(f"{one:g}" for one in factors)
        raise UserError(f"rhs_factor = {rhs_factor!r}: the sweep has {known}")
    _draw(axes, [row for row in rows if row["rhs_factor"] == chosen])
    axes.set_ylabel("fraction of networks")
    axes.legend()


def event_figure(rows: Sequence[Row]) -> Figure:
    """A panel per right-hand side."""
    factors = _factors(rows)
    width = PAGE_WIDTH if len(factors) > 1 else COLUMN_WIDTH
    figure = Figure(figsize=(width, 0.85 * COLUMN_WIDTH), layout="constrained")
    panels = figure.subplots(1, len(factors), sharey=True, squeeze=False)[0]
    for axes, factor in zip(panels, factors, strict=True):
        _draw(axes, [row for row in rows if row["rhs_factor"] == factor])
        axes.set_title(f"right-hand sides times {factor:g}", fontsize=8)
    panels[0].set_ylabel("fraction of networks")
    legend_once(figure, "lower", 9 if len(factors) > 1 else 5, first=[_JOINT_LABEL])
    return figure


def _draw(axes: Axes, rows: Sequence[Row]) -> None:
    rows = sorted(rows, key=lambda row: row["width"])
    widths = [row["width"] for row in rows]
    for k, name in enumerate(CONDITIONS):
        axes.plot(
            widths, [row[f"{name}_estimate"] for row in rows], label=name,
            color=COLORS[k % len(COLORS)], linestyle=_LINES[k // len(COLORS)],
            marker=MARKERS[k % len(MARKERS)], markersize=3.0, linewidth=0.8,
        )  # fmt: skip
    estimate = [row[f"{JOINT}_estimate"] for row in rows]
    ends = [_interval(row) for row in rows]
    below = [value - low for value, (low, _) in zip(estimate, ends, strict=True)]
    above = [high - value for value, (_, high) in zip(estimate, ends, strict=True)]
    axes.errorbar(
        widths, estimate, [below, above], label=_JOINT_LABEL, color="black", marker="x",
        markersize=4.5, capsize=1.5, elinewidth=0.8, linewidth=1.4, zorder=3,
    )  # fmt: skip
    width_axis(axes, widths, "width $n$ (hidden neurons)")
    axes.set_ylim(-0.04, 1.04)


def _interval(row: Row) -> tuple[float, float]:
    kind = shown_interval(row[JOINT], row["networks"])
    return row[f"{JOINT}_{kind}_low"], row[f"{JOINT}_{kind}_high"]


def _complete(tables: Tables) -> list[dict[str, Any]]:
    return [row for row in tables[CELLS].to_pylist() if row["networks"]]


def _factors(rows: Sequence[Row]) -> list[float]:
    return list(dict.fromkeys(row["rhs_factor"] for row in rows))
