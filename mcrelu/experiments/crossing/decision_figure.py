"""The figure of the steps at which networks cross, or are proved never to cross."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from mcrelu.experiments.crossing.decision_steps import DecisionSteps
from mcrelu.experiments.crossing.tables import CERTIFICATION, CROSSING
from mcrelu.figures.panels import width_axis
from mcrelu.figures.style import COLORS, COLUMN_WIDTH, PAGE_WIDTH

_LOOKS = (
    (CERTIFICATION, "are proved never to cross", COLORS[0], "-"),
    (CROSSING, "cross", COLORS[1], "--"),
)
_OUTER, _INNER, _MIDDLE = (5, 95), (25, 75), 50
_LEGEND_TITLE = "median and central 50 and 90 % of the steps at which networks"
_PANELS_PER_ROW = 3
_MOST_TICKS = 4  # of a panel beside others
_CHARACTERS = (90, 48)  # of a line of the legend: in a page's width, in a column's
_TITLE = (48, 40, 26)  # and above a panel, by the panels in a row
_HIGHEST_DECADE = 10


def decision_figure(series: list[DecisionSteps]) -> Figure:
    """Medians and central 50 and 90 % of the steps, over the width; a panel for each series."""
    columns = min(len(series), _PANELS_PER_ROW)
    rows = -(-len(series) // columns)
    size = (COLUMN_WIDTH if columns == 1 else PAGE_WIDTH, 0.75 * COLUMN_WIDTH * rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, one in zip(panels, series, strict=False):
        for kind, name, color, style in _LOOKS:
            _draw(axes, one, kind, color, style, name)
        every = 2 if columns > 1 and len(one.width) > _MOST_TICKS else 1
        width_axis(axes, one.width[::every], "width $n$")
        axes.set_title(_wrapped(one.label, columns), fontsize="medium")
    for axes in panels[len(series) :]:
        axes.remove()
    _step_axis(panels[0], series)
    handles, names = panels[0].get_legend_handles_labels()
    title = textwrap.fill(_LEGEND_TITLE, _CHARACTERS[columns == 1])
    figure.legend(handles, names, loc="outside upper center", ncols=len(_LOOKS), title=title)
    return figure


def _wrapped(label: str, columns: int) -> str:
    """A title in lines that fit above a panel; a formula stays in one piece."""
    return "\n".join(textwrap.wrap(label, _TITLE[columns - 1], break_long_words=False))


def _draw(axes: Axes, one: DecisionSteps, kind: str, color: str, style: str, name: str) -> None:
    for (low, high), alpha in ((_OUTER, 0.15), (_INNER, 0.25)):
        ends = one.percentile(kind, low), one.percentile(kind, high)
        if len(one.width) > 1:
            axes.fill_between(one.width, *ends, color=color, alpha=alpha, linewidth=0.0)
        else:  # a band over one width has no breadth
            axes.vlines(one.width, *ends, color=color, alpha=2.0 * alpha, linewidth=4.0)
    middle = one.percentile(kind, _MIDDLE)
    axes.plot(one.width, middle, color=color, linestyle=style, label=name, marker="o", markersize=2)


def _step_axis(axes: Axes, series: list[DecisionSteps]) -> None:
    """Logarithmic from step 1 on, with step 0 below it."""
    axes.set_yscale("symlog", linthresh=1.0, linscale=0.4)
    axes.set_ylabel("step")
    ticks = [0.0, *(10.0**k for k in range(_HIGHEST_DECADE))]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FuncFormatter(_step_name))
    axes.yaxis.set_minor_locator(NullLocator())
    top = max(float(np.nanmax(list(one.steps.values()), initial=1.0)) for one in series)
    axes.set_ylim(-0.1, 2.0 * top)


def _step_name(step: float, _: int | None) -> str:
    return f"{step:.0f}" if step <= 1.0 else f"$10^{{{np.log10(step):.0f}}}$"
