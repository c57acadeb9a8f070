"""Parts of figures that several experiments draw alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from mcrelu.figures.ticks import width_ticks

LONGEST_NAMED = 4096  # the largest width that is written out


def width_axis(axes: Axes, widths: Sequence[int], label: str) -> None:
    """A logarithmic abscissa with the given widths as ticks."""
    axes.set_xscale("log", base=2)
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(FixedLocator(width_ticks(widths)))
    axes.xaxis.set_major_formatter(FuncFormatter(_width_names(widths)))
    axes.xaxis.set_minor_locator(NullLocator())


def _width_names(widths: Sequence[int]) -> Callable[[float, int | None], str]:
    """Numbers, or powers of two where numbers would be too long."""
    if max(widths) <= LONGEST_NAMED or any(n & (n - 1) for n in widths):
        return lambda n, _: f"{n:.0f}"
    return lambda n, _: f"$2^{{{np.log2(n):.0f}}}$"
