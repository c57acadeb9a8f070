"""When a network's fate is decided: it crosses, or it is proved that it never will."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from mcrelu.experiments.crossing.quantiles import Fates
from mcrelu.figures.panels import width_axis
from mcrelu.figures.style import COLORS, COLUMN_WIDTH, PAGE_WIDTH
from mcrelu.types import Floats

# Column prefix in the table of cells, name, colour, line style
_KINDS = (
    ("certification_step", "are proved never to cross", COLORS[0], "-"),
    ("crossing_step", "cross", COLORS[1], "--"),
)
_OUTER, _INNER, _MIDDLE = (5, 95), (25, 75), 50
_LEGEND_TITLE = "medians, shaded the central 50 and 90 % of networks that"
_HIGHEST_DECADE = 10


def fates_figure(series: list[Fates]) -> Figure:
    """Medians and central 50 and 90 % of the steps, over the width; a panel for each series."""
    size = (max(COLUMN_WIDTH, min(PAGE_WIDTH, 1.9 * len(series))), 0.75 * COLUMN_WIDTH)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(series), sharey=True, squeeze=False)[0]
    for axes, one in zip(panels, series, strict=True):
        for prefix, name, color, style in _KINDS:
            _draw(axes, one, prefix, name, color, style)
        narrow = len(series) > 1
        width_axis(axes, one.width[:: 2 if narrow else 1], "width $n$")
        axes.set_title(one.label, fontsize="medium")
    _step_axis(panels[0], series)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside upper center", ncols=len(_KINDS), title=_LEGEND_TITLE
    )
    return figure


def _draw(axes: Axes, one: Fates, prefix: str, name: str, color: str, style: str) -> None:
    def steps(level: int) -> Floats:
        return one.steps[f"{prefix}_{level:02}"]

    for (low, high), alpha in ((_OUTER, 0.15), (_INNER, 0.25)):
        axes.fill_between(
            one.width, steps(low), steps(high), color=color, alpha=alpha, linewidth=0.0
        )
    axes.plot(one.width, steps(_MIDDLE), color=color, linestyle=style, label=name)


def _step_axis(axes: Axes, series: list[Fates]) -> None:
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
