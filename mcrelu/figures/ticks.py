"""Which values of an abscissa to label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MAX_LABELS = 9  # fit below a column


def all_of(lists: Iterable[Iterable[int]]) -> list[int]:
    """The values of all lists, each once, ascending."""
    return sorted({value for values in lists for value in values})


def width_ticks(widths: Sequence[int]) -> list[int]:
    """The widths to label: all, or so many that the labels do not touch."""
    every = -(-len(widths) // MAX_LABELS)
    return list(widths[::every])
