"""Quantiles of any number of step numbers, in bounded memory."""

from __future__ import annotations

import numpy as np

from mcrelu.types import Ints

BINS_PER_OCTAVE = 64  # about 1 % of a step number
_BINS = 2 + 64 * BINS_PER_OCTAVE


class StepHistogram:
    """Counts of steps in bins of about 1 %, of which each remembers its smallest step.

    So quantiles are exact where different steps are at least 1.1 % apart, such as those of the
    first checks, and otherwise at most 1.1 % too low.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, dtype=np.int64)
        self._least = np.full(_BINS, np.iinfo(np.int64).max)

    def add(self, steps: Ints) -> None:
        """Count steps >= 0, (k,)."""
        steps = np.asarray(steps, dtype=np.int64)
        octaves = np.log2(np.maximum(steps, 1))
        bins = np.where(steps > 0, 1 + (octaves * BINS_PER_OCTAVE).astype(np.int64), 0)
        self._counts += np.bincount(bins, minlength=_BINS)
        np.minimum.at(self._least, bins, steps)

    def quantile(self, level: float) -> int | None:
        """The step, within a bin, that a fraction ``level`` does not exceed; None of no steps."""
        total = int(self._counts.sum())
        if total == 0:
            return None
        place = int(np.searchsorted(self._counts.cumsum(), max(level * total, 1)))
        return int(self._least[place])
