"""Which values of an abscissa to label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil, floor, log10

from matplotlib.ticker import MaxNLocator

MAX_LABELS = 9  # fit below a column
LEAST_LABELS = 3  # tell a scale

_DIGITS = ((1,), (1, 2, 5), (1, 2, 3, 5, 7), (1, 1.5, 2, 3, 4, 5, 7))


def all_of(lists: Iterable[Iterable[int]]) -> list[int]:
    """The values of all lists, each once, ascending."""
    return sorted({value for values in lists for value in values})


def width_ticks(widths: Sequence[int]) -> list[int]:
    """The widths to label: all, or so many that the labels do not touch."""
    every = -(-len(widths) // MAX_LABELS)
    return list(widths[::every])


def log_ticks(low: float, high: float, apart: float = 0.1) -> list[float]:
    """Round values of a logarithmic axis from low to high, at least a part of its length apart.

    Powers of ten where they are enough to tell the scale; else with more digits; over less than
    a factor of two or so, equidistant values.
    """
    gap = apart * log10(high / low)
    for digits in _DIGITS:
        ticks = _thinned(_round_values(low, high, digits), gap)
        if len(ticks) >= LEAST_LABELS:
            return ticks
    found = MaxNLocator(LEAST_LABELS).tick_values(low, high)
    return _thinned((float(value) for value in found if low <= value <= high), gap)


def _round_values(low: float, high: float, digits: Sequence[float]) -> Iterator[float]:
    for power in range(floor(log10(low)), ceil(log10(high)) + 1):
        for digit in digits:
            value = float(f"{digit}e{power}")
            if low <= value <= high:
                yield value


def _thinned(ascending: Iterable[float], gap: float) -> list[float]:
    kept: list[float] = []
    for value in ascending:
        if not kept or log10(value / kept[-1]) >= gap:
            kept.append(value)
    return kept
