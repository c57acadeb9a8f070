"""Parts of figures that several experiments draw alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from mcrelu.figures.ticks import log_ticks, width_ticks

LONGEST_NAMED = 4096  # the largest width that is written out

_MOST_DODGE = 0.12  # octaves between series of a width
_DODGED_PART = 0.6  # of the way to the next width, for all series


def width_axis(axes: Axes, widths: Sequence[int], label: str) -> None:
    """A logarithmic abscissa with the given widths as ticks."""
    axes.set_xscale("log", base=2)
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(FixedLocator(width_ticks(widths)))
    axes.xaxis.set_major_formatter(FuncFormatter(_width_names(widths)))
    axes.xaxis.set_minor_locator(NullLocator())


def dodges(series: Sequence[Sequence[int]], widths: Sequence[int]) -> list[float]:
    """How far to the right each series is to be drawn, so that none hides another, in octaves.

    Parameters
    ----------
    series : the widths of each
    widths : all that are shown, ascending

    Returns
    -------
    One value per series, around 0; all 0 if no two have a width in common
    """
    ours = [width for one in series for width in one]
    if len(set(ours)) == len(ours):
        return [0.0] * len(series)
    gap = min((float(np.log2(high / low)) for low, high in pairwise(widths)), default=1.0)
    step = min(_MOST_DODGE, _DODGED_PART * gap / len(series))
    return [step * (k - (len(series) - 1) / 2.0) for k in range(len(series))]


def _width_names(widths: Sequence[int]) -> Callable[[float, int | None], str]:
    """Numbers, or powers of two where numbers would be too long."""
    if max(widths) <= LONGEST_NAMED or any(n & (n - 1) for n in widths):
        return lambda n, _: f"{n:.0f}"
    return lambda n, _: f"$2^{{{np.log2(n):.0f}}}$"


def log_axis(axis: Axis, low: float, high: float, apart: float = 0.1) -> None:
    """A logarithmic axis from low to high with few round numbers as ticks, written out."""
    axes = axis.axes
    set_scale, set_limits = (
        (axes.set_xscale, axes.set_xlim) if axis is axes.xaxis else (axes.set_yscale, axes.set_ylim)
    )
    set_scale("log")
    set_limits(low, high)
    axis.set_major_locator(FixedLocator(log_ticks(low, high, apart)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def log_limits(
    values: Iterable[float], ends: Iterable[float], margin: float = 1.15
) -> tuple[float, float]:
    """Limits of a logarithmic axis with room for positive values and the ends of their intervals.

    An end below a third of the least value, zero or negative ones among them, lies outside.
    """
    shown = [value for value in values if value > 0.0]
    shown += [end for end in ends if end > min(shown) / 3.0]
    return min(shown) / margin, max(shown) * margin


def legend_once(
    figure: Figure, place: Literal["upper", "lower"], columns: int, first: Sequence[str] = ()
) -> None:
    """One legend of all panels, outside of them: each label once, some of them first."""
    found = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    labels = [*first, *(label for label in found if label not in first)]
    handles = [found[label] for label in labels]
    ncols = min(columns, len(labels))
    if place == "upper":
        figure.legend(handles, labels, loc="outside upper center", ncols=ncols)
    else:
        figure.legend(handles, labels, loc="outside lower center", ncols=ncols)
