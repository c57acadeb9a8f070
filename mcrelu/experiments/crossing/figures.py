"""The crossing figure: probability that a kink can cross, over the width, on log-log axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETDOWN
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mcrelu.experiments.base import CELLS, Drawing, Tables
from mcrelu.experiments.crossing.decision_figure import decision_figure
from mcrelu.experiments.crossing.decision_steps import DECISION_STEPS, decision_steps_of
from mcrelu.experiments.crossing.pgf import crossing_tex
from mcrelu.experiments.crossing.sections import DRAWING
from mcrelu.experiments.crossing.series import Series, all_widths, series_of
from mcrelu.experiments.crossing.tables import POWER_LAWS
from mcrelu.figures.panels import width_axis
from mcrelu.figures.style import COLORS, COLUMN_WIDTH, GREY, MARKERS, PAGE_WIDTH
from mcrelu.stats.powerlaw import PowerLaw

FEW = 2  # series whose legend fits into the axes

Legend = list[tuple[Artist | Container, str]]


def drawings(tables: Tables) -> list[Drawing]:
    """The crossing figure and its LaTeX; none if no block is complete yet."""
    series = [one for one in series_of(tables[CELLS], tables[POWER_LAWS]) if one.width]
    if not series:
        return []
    # Not the figure's own name: compiling it must not overwrite crossing.pdf.
    documents = {f"{DRAWING}-pgfplots.tex": crossing_tex(series)}
    found = [Drawing(DRAWING, crossing_figure(series), documents)]
    decided = decision_steps_of(tables[CELLS])
    return [*found, Drawing(DECISION_STEPS, decision_figure(decided))] if decided else found


def crossing_figure(series: Sequence[Series]) -> Figure:
    """Estimates with 95 % intervals, fitted power laws, n^(-1/2), and the paper's points."""
    few = len(series) <= FEW
    size = (COLUMN_WIDTH, 0.8 * COLUMN_WIDTH) if few else (PAGE_WIDTH, 0.95 * COLUMN_WIDTH)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_yscale("log")
    legend: Legend = []
    for k, one in enumerate(series):
        legend += _draw(axes, one, COLORS[k % len(COLORS)], MARKERS[k % len(MARKERS)], few)
    widths = all_widths(series)
    legend += _reference_line(axes, widths)
    if not few and any(one.paper_width for one in series):
        legend.append((_paper_marker(GREY, "o"), "paper"))
    _label(axes, widths)
    once = {label: handle for handle, label in reversed(legend)}
    handles, labels = list(once.values())[::-1], list(once)[::-1]
    if few:
        axes.legend(handles, labels, loc="best")
    else:
        figure.legend(handles=handles, labels=labels, loc="outside right upper")
    return figure


def _draw(axes: Axes, series: Series, color: str, marker: str, few: bool) -> Legend:
    width, estimate = np.array(series.width), np.array(series.estimate)
    low, high = np.array(series.low), np.array(series.high)
    # An estimate of zero has no place on a log axis; the upper end of its interval has.
    shown = estimate > 0
    points = axes.errorbar(
        width[shown], estimate[shown], [(estimate - low)[shown], (high - estimate)[shown]],
        color=color, marker=marker, linestyle="none", capsize=1.5, elinewidth=0.8, zorder=3,
    )  # fmt: skip
    axes.plot(width[~shown], high[~shown], linestyle="none", marker=CARETDOWN, color=color)
    law = series.sound_law
    label = series.label if few or law is None else f"{series.label}: {_law_label(law)}"
    legend: Legend = [(points, label)]
    if law is not None:
        (line,) = axes.plot(width, law(width), color=color, linewidth=0.9)
        legend += [(line, _law_label(law))] if few else []
    if series.doubtful:
        legend.append((_unfinished(axes, series), "if no unfinished network crosses"))
    if series.paper_width:
        paper = _paper_marker(color, marker)
        paper.set_data(series.paper_width, series.paper_estimate)
        axes.add_line(paper)
        legend += [(paper, "paper")] if few else []
    return legend


def _paper_marker(color: str, marker: str) -> Line2D:
    return Line2D(
        [], [], color=color, alpha=0.7, linestyle="none", marker=marker, markersize=6.5,
        markerfacecolor="none", markeredgewidth=0.6,
    )  # fmt: skip


def _unfinished(axes: Axes, series: Series) -> Artist:
    """Lines down to what the estimates would be if no unfinished network crossed."""
    places = series.doubtful
    width = [series.width[k] for k in places]
    least = [max(series.crossed[k], 0.5 / series.networks[k]) for k in places]
    axes.vlines(width, least, [series.estimate[k] for k in places], GREY, linewidth=0.8, zorder=2)
    (ends,) = axes.plot(width, least, linestyle="none", marker="_", markersize=6, color=GREY)
    return ends


def _law_label(law: PowerLaw) -> str:
    spread = (law.exponent_high - law.exponent_low) / 2
    return rf"$\propto n^{{{-law.exponent:.3f} \pm {spread:.3f}}}$"


def _reference_line(axes: Axes, widths: Sequence[int]) -> Legend:
    ends = np.array([widths[0], widths[-1]], dtype=float)
    (line,) = axes.plot(ends, ends**-0.5, color=GREY, linestyle=(0, (4, 2)), zorder=1)
    return [(line, r"$n^{-1/2}$")]


def _label(axes: Axes, widths: Sequence[int]) -> None:
    width_axis(axes, widths, "width $n$ (hidden neurons)")
    axes.set_ylabel("P(a kink may cross a data point)")
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda p, _: f"{p:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
