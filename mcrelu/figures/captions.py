"""The small line below a figure: what it shows, of how many networks, and of which output."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from math import floor

from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from mcrelu.figures.style import GREY
from mcrelu.texts import one_line, printable

SIZE = 5.5  # points
_LINE = 1.3 * SIZE / 72.0  # inches from one line to the next
_CHARACTER = 0.53 * SIZE / 72.0  # inches, of a mean one
_MARGIN = 0.05  # inches, on all sides
MOST_NAMED = 8  # outputs
_TEX = re.compile(r"[\\{}$]")  # what LaTeX would obey in a name


def networks_per_point(counts: Iterable[int]) -> str:
    """``1000 networks per point``, or from the least to the most."""
    every = set(counts)
    low, high = min(every), max(every)
    span = f"{low}" if low == high else f"{low} to {high}"
    return f"{span} network{'' if high == 1 else 's'} per point"


def names_together(names: Iterable[str]) -> str:
    """The names of outputs, some of them if there are many."""
    every = [_TEX.sub("?", one_line(name)) for name in names]
    rest = len(every) - MOST_NAMED
    return ", ".join(every[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def joined(parts: Iterable[str | None]) -> str:
    """The parts of a caption that there are, as one."""
    return "; ".join(part for part in parts if part)


def add_caption(figure: Figure, caption: str) -> Bbox:
    """Write a caption below a figure, over its whole width; returns the area of both, in inches.

    The figure itself stays what it is, laid out as it is now: the caption stands outside of it,
    below its lower edge.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for legend in figure.legends:  # which else stand at the edge of whatever is saved
        legend.set_bbox_to_anchor((0.0, 0.0, 1.0, 1.0), figure.transFigure)
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(printable(caption), floor((width - 2.0 * _MARGIN) / _CHARACTER))
    for k, line in enumerate(lines):
        figure.text(
            _MARGIN / width, -(_MARGIN + k * _LINE) / height, line, va="top", fontsize=SIZE,
            color=GREY, parse_math=False,
        )  # fmt: skip
    room = len(lines) * _LINE + 2.0 * _MARGIN if lines else 0.0
    return Bbox.from_extents(0.0, -room, width, height)
