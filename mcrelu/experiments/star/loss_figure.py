"""The figure of losses over epochs, a panel for each width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from mcrelu.experiments.star.looks import curve_look
from mcrelu.experiments.star.losses import Losses
from mcrelu.figures.panels import legend_once
from mcrelu.figures.style import GREY, PAGE_WIDTH
from mcrelu.types import Floats

_MOST_COLUMNS = 4
_HEIGHT, _PANEL_HEIGHT = 0.6, 1.45  # inches: the legend's, and of each row of panels
_BANDS = ((10, 90), (20, 80), (30, 70), (40, 60))
_ALPHA = 0.11  # of each band: they lie on each other
_MIDDLE = 50
_LINEAR = 1e-4  # up to which distance from the threshold the ordinate is linear
_TICKS, _MOST_TICKS = 100.0, 10  # factor from tick to tick; of either sign


def loss_figure(losses: Sequence[Losses]) -> Figure:
    """Medians and bands between deciles of the relative excess, a line for each curve."""
    widths = sorted({one.width for one in losses})
    names = list(dict.fromkeys(one.curve.formula for one in losses))
    rows = -(-len(widths) // _MOST_COLUMNS)
    columns = -(-len(widths) // rows)
    size = (PAGE_WIDTH, _HEIGHT + rows * _PANEL_HEIGHT)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, width in zip(panels, widths, strict=False):
        for one in losses:
            if one.width == width:
                _draw(axes, one, names)
        axes.axhline(0.0, color=GREY, linestyle=(0, (4, 2)), linewidth=0.8, label="threshold")
        axes.set_title(f"$n = {width}$", fontsize=8)
    for axes in panels[len(widths) :]:
        axes.remove()
    _label(panels[0])
    figure.supxlabel("epoch", fontsize=8)
    figure.supylabel("loss / affine threshold $-$ 1", fontsize=8)
    legend_once(figure, "upper", 4, first=names)
    return figure


def _draw(axes: Axes, one: Losses, names: Sequence[str]) -> None:
    look = curve_look(names.index(one.curve.formula), len(names)) | {"marker": "none"}
    for low, high in _BANDS:
        ends = _finite(one.excess[low]), _finite(one.excess[high])
        axes.fill_between(one.epoch, *ends, color=look["color"], alpha=_ALPHA, linewidth=0.0)
    axes.plot(one.epoch, _finite(one.excess[_MIDDLE]), **look, label=one.curve.formula)


def _finite(values: Floats) -> Floats:
    """NaN, which is not drawn, where values are infinite."""
    return np.where(np.isfinite(values), values, np.nan)


def _label(axes: Axes) -> None:
    """Axes that all panels share, logarithmic on both sides of the threshold."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yscale("symlog", linthresh=_LINEAR, linscale=0.5)
    low, high = axes.get_ylim()
    powers = _LINEAR * _TICKS ** np.arange(_MOST_TICKS)
    ticks = [tick for tick in (*-powers, 0.0, *powers) if low <= tick <= high]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
