"""The crossing figure: probability that a kink can cross, over the width, on log-log axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mcrelu.experiments.base import CELLS, Drawing, Tables
from mcrelu.experiments.crossing.decision_figure import decision_figure
from mcrelu.experiments.crossing.decision_steps import DECISION_STEPS, decision_steps_of
from mcrelu.experiments.crossing.pgf import crossing_tex
from mcrelu.experiments.crossing.sections import DRAWING
from mcrelu.experiments.crossing.series import Series, all_widths, interval_names, series_of
from mcrelu.experiments.crossing.tables import POWER_LAWS
from mcrelu.figures.captions import joined, networks_per_point
from mcrelu.figures.panels import dodges, width_axis
from mcrelu.figures.style import COLORS, COLUMN_WIDTH, GREY, MARKERS, PAGE_WIDTH
from mcrelu.stats.powerlaw import PowerLaw
from mcrelu.types import Floats

FEW = 2  # series whose legend fits into the axes

_LONGEST_OF_TWO = 60  # characters of a label that two columns have room for, LaTeX included
_NO_CROSSING = "no crossing: 95 % upper limit"
# A bar at the place of the marker and an arrow down from there.
_ARROW = Path([(-0.5, 0), (0.5, 0), (0, 0), (0, -2), (-0.4, -1.4), (0, -2), (0.4, -1.4)],
              [Path.MOVETO, Path.LINETO, Path.MOVETO, Path.LINETO, Path.MOVETO, Path.LINETO,
               Path.LINETO])  # fmt: skip
_ARROW_ROOM = 1.6  # factor by which an arrow reaches down, about

Legend = list[tuple[Artist | Container, str]]


def drawings(tables: Tables) -> list[Drawing]:
    """The crossing figure and its LaTeX; none if no block is complete yet."""
    series = [one for one in series_of(tables[CELLS], tables[POWER_LAWS]) if one.width]
    if not series:
        return []
    # Not the figure's own name: compiling it must not overwrite crossing.pdf.
    documents = {f"{DRAWING}-pgfplots.tex": crossing_tex(series)}
    counts = networks_per_point(count for one in series for count in one.networks)
    caption = joined((
        counts,
        f"bars are 95 % {interval_names(tables[CELLS])}",
        "series of a width are drawn side by side" if any(dodges_of(series)) else None,
    ))  # fmt: skip
    found = [Drawing(DRAWING, crossing_figure(series), documents, caption)]
    if decided := decision_steps_of(tables[CELLS]):
        found.append(Drawing(DECISION_STEPS, decision_figure(decided), caption=counts))
    return found


def crossing_figure(series: Sequence[Series]) -> Figure:
    """Estimates with 95 % intervals, fitted power laws, n^(-1/2), and the paper's points.

    Where no network crossed, an arrow points down from the upper end of the interval.
    """
    few = len(series) <= FEW
    size = (COLUMN_WIDTH, 0.8 * COLUMN_WIDTH) if few else (PAGE_WIDTH, 1.2 * COLUMN_WIDTH)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    legend = draw_series(axes, series)
    # Matplotlib's best place inside does not spare the arrows.
    if few and _NO_CROSSING not in legend:
        axes.legend(handles=list(legend.values()), labels=list(legend), loc="best")
    else:
        handles = list(legend.values())
        columns = 2 if max(map(len, legend)) <= _LONGEST_OF_TWO else 1
        figure.legend(
            handles=handles, labels=list(legend), loc="outside lower center", ncols=columns
        )
    return figure


def plot(tables: Tables, axes: Axes) -> None:
    """The curves of the crossing figure on other axes."""
    series = [one for one in series_of(tables[CELLS], tables[POWER_LAWS]) if one.width]
    legend = draw_series(axes, series)
    axes.legend(handles=list(legend.values()), labels=list(legend))


def draw_series(axes: Axes, series: Sequence[Series]) -> dict[str, Artist | Container]:
    """Draw series on axes; the entries of their legend."""
    few = len(series) <= FEW
    axes.set_yscale("log")
    legend: Legend = []
    for k, (one, dodge) in enumerate(zip(series, dodges_of(series), strict=True)):
        look = {"color": COLORS[k % len(COLORS)], "marker": MARKERS[k % len(MARKERS)]}
        legend += _draw(axes, one, 2.0**dodge, look, few)
    widths = all_widths(series)
    legend += _reference_line(axes, widths)
    # Arrows last: they reach below their line of the legend.
    for name, handle in (("paper", _paper_marker()), (_NO_CROSSING, _limit(GREY))):
        if any(line.get_label() == name for line in axes.lines):
            legend.append((handle, name))
    _label(axes, widths)
    once = {label: handle for handle, label in reversed(legend)}
    return dict(reversed(once.items()))


def dodges_of(series: Sequence[Series]) -> list[float]:
    """How far to the right each series is drawn, in octaves, the paper's points with it."""
    return dodges([one.width for one in series], all_widths(series))


def _draw(axes: Axes, series: Series, dodge: float, look: Mapping[str, Any], few: bool) -> Legend:
    """Draw a series with its widths multiplied by ``dodge``."""
    width, estimate = dodge * np.array(series.width), np.array(series.estimate)
    low, high = np.array(series.low), np.array(series.high)
    color = look["color"]
    # An estimate of zero has no place on a log axis; the upper end of its interval has.
    shown = estimate > 0
    points = axes.errorbar(
        width[shown], estimate[shown], [(estimate - low)[shown], (high - estimate)[shown]],
        **look, linestyle="none", capsize=1.5, elinewidth=0.8, zorder=3, label=series.label,
    )  # fmt: skip
    if not shown.all():
        _draw_on(axes, _limit(color), width[~shown], high[~shown], _NO_CROSSING)
        axes.update_datalim(np.column_stack((width[~shown], high[~shown] / _ARROW_ROOM)))
    law = series.sound_law
    label = series.label if few or law is None else f"{series.label}: {_law_label(law, series)}"
    legend: Legend = [(points, label)]
    if law is not None:
        (line,) = axes.plot(width, law(width / dodge), color=color, linewidth=0.9)
        legend += [(line, _law_label(law, series))] if few else []
    if series.doubtful:
        legend.append((_unfinished(axes, series, dodge), "if no unfinished network crosses"))
    if series.paper_width:
        places = dodge * np.array(series.paper_width)
        _draw_on(axes, _paper_marker(), places, np.array(series.paper_estimate), "paper")
    return legend


def _draw_on(axes: Axes, line: Line2D, x: Floats, y: Floats, label: str) -> None:
    """Draw what looks like a line of the legend at some places."""
    line.set_data(x, y)
    line.set_label(label)
    axes.add_line(line)


def _paper_marker() -> Line2D:
    """The same for all series: which one a point belongs to is told by its place."""
    return Line2D(
        [], [], color=GREY, linestyle="none", marker="o", markersize=6.5, zorder=4,
        markerfacecolor="none", markeredgewidth=0.6,
    )  # fmt: skip


def _limit(color: str) -> Line2D:
    return Line2D(
        [], [], color=color, linestyle="none", marker=_ARROW, markersize=18, zorder=3,
        markerfacecolor="none", markeredgewidth=0.8,
    )  # fmt: skip


def _unfinished(axes: Axes, series: Series, dodge: float) -> Artist:
    """Lines down to what the estimates would be if no unfinished network crossed."""
    places = series.doubtful
    width = [dodge * series.width[k] for k in places]
    least = [max(series.crossed[k], 0.5 / series.networks[k]) for k in places]
    axes.vlines(width, least, [series.estimate[k] for k in places], GREY, linewidth=0.8, zorder=2)
    (ends,) = axes.plot(width, least, linestyle="none", marker="_", markersize=6, color=GREY)
    return ends


def _law_label(law: PowerLaw, series: Series) -> str:
    spread = (law.exponent_high - law.exponent_low) / 2
    return rf"$\propto n^{{{-law.exponent:.3f} \pm {spread:.3f}}}${series.so_far}"


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
