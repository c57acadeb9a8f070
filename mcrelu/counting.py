"""Counts of what happens on the way to rows: for those who watch a run, never part of a result.

Whoever does something that is worth counting says :func:`count`; whoever wants to know what one
piece of work came to does it within :func:`counting`. Where nobody does, nothing is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum


class Counted(StrEnum):
    """What may be counted."""

    STEPS = "steps"  # of an optimiser, each network by itself; a full-batch epoch is one
    LOOSE_NEURONS = "loose_neurons"  # neurons that became loose, each time that they did
    REGROUPINGS = "regroupings"  # of the neurons of a network


Counts = Counter[Counted]

_now: ContextVar[Counts | None] = ContextVar("counts", default=None)


def count(what: Counted, number: int) -> None:
    """Say that so many more of something have happened."""
    counts = _now.get()
    if counts is not None:
        counts[what] += int(number)


@contextmanager
def counting() -> Iterator[Counts]:
    """What is counted within, in this thread."""
    counts: Counts = Counter()
    before = _now.set(counts)
    try:
        yield counts
    finally:
        _now.reset(before)
