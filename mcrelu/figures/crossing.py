"""The crossing figure: probability that a kink can cross, over the width, on log-log axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.markers import CARETDOWN
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from mcrelu.figures.series import Series, all_widths, width_ticks
from mcrelu.figures.style import COLORS, COLUMN_WIDTH, GREY, MARKERS
from mcrelu.stats.powerlaw import PowerLaw

Legend = list[tuple[Artist | Container, str]]


def crossing_figure(series: Sequence[Series]) -> Figure:
    """Estimates with 95 % intervals, fitted power laws, n^(-1/2), and the paper's points."""
    figure = Figure(figsize=(COLUMN_WIDTH, 0.8 * COLUMN_WIDTH), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    legend: Legend = []
    for k, one in enumerate(series):
        legend += _draw(axes, one, COLORS[k % len(COLORS)], MARKERS[k % len(MARKERS)])
    widths = all_widths(series)
    legend += _reference_line(axes, widths)
    _label(axes, widths)
    once = {label: handle for handle, label in reversed(legend)}
    axes.legend(list(once.values())[::-1], list(once)[::-1], loc="best")
    return figure


def _draw(axes: Axes, series: Series, color: str, marker: str) -> Legend:
    width, estimate = np.array(series.width), np.array(series.estimate)
    low, high = np.array(series.low), np.array(series.high)
    # An estimate of zero has no place on a log axis; the upper end of its interval has.
    shown = estimate > 0
    points = axes.errorbar(
        width[shown], estimate[shown], [(estimate - low)[shown], (high - estimate)[shown]],
        color=color, marker=marker, linestyle="none", capsize=1.5, elinewidth=0.8, zorder=3,
    )  # fmt: skip
    axes.plot(width[~shown], high[~shown], linestyle="none", marker=CARETDOWN, color=color)
    legend: Legend = [(points, series.label)]
    if series.law is not None:
        (line,) = axes.plot(width, series.law(width), color=color, linewidth=0.9)
        legend.append((line, _law_label(series.law)))
    if series.paper_width:
        (paper,) = axes.plot(
            series.paper_width, series.paper_estimate, color=color, alpha=0.7, linestyle="none",
            marker=marker, markersize=6.5, markerfacecolor="none", markeredgewidth=0.6,
        )  # fmt: skip
        legend.append((paper, "paper"))
    return legend


def _law_label(law: PowerLaw) -> str:
    spread = (law.exponent_high - law.exponent_low) / 2
    return rf"$\propto n^{{-{law.exponent:.3f} \pm {spread:.3f}}}$"


def _reference_line(axes: Axes, widths: Sequence[int]) -> Legend:
    ends = np.array([widths[0], widths[-1]], dtype=float)
    (line,) = axes.plot(ends, ends**-0.5, color=GREY, linestyle=(0, (4, 2)), zorder=1)
    return [(line, r"$n^{-1/2}$")]


def _label(axes: Axes, widths: Sequence[int]) -> None:
    axes.set_xlabel("width $n$ (hidden neurons)")
    axes.set_ylabel("P(a kink may cross a data point)")
    axes.xaxis.set_major_locator(FixedLocator(width_ticks(widths)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda p, _: f"{p:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
