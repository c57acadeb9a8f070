"""How long a cell is sampled where a precision is asked for instead of a count.

A cell's sample ends with the first block, in index order, at whose end the confidence sequence of
the estimate is narrow enough: (high - low) / estimate <= target. That is a function of the counts
of the blocks alone, so it does not matter who did them, in which order, or how many more are
there. The sequence holds at all sample sizes at once (docs/method.md 3), hence at this one too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from mcrelu.problems.one_d import StopReason
from mcrelu.stats.intervals import confidence_sequence

# P(crossing possible): what is not proved (or believed) to stay where it is.
_STAYED = (StopReason.LOCALLY_CONVERGED, StopReason.EARLY_STOPPED)


class Count(NamedTuple):
    """``k`` of ``n`` networks may cross."""

    k: int
    n: int


@dataclass(frozen=True)
class Sample:
    """The networks of a cell up to the end of a block: ``k`` of ``n`` may cross."""

    blocks: int = 0
    k: int = 0
    n: int = 0

    @cached_property
    def relative_width(self) -> float:
        """Width of the confidence sequence over the estimate; infinite where that is 0."""
        if self.k == 0:
            return math.inf
        low, high = confidence_sequence(self.k, self.n)
        return float(high - low) / (self.k / self.n)

    def grown(self, counts: Iterable[Count], target: float | None) -> Sample:
        """With further blocks, in index order, up to the first that makes it precise enough.

        With no target all are taken.
        """
        sample = self
        for k, n in counts:
            if sample.reaches(target):
                break
            sample = Sample(sample.blocks + 1, sample.k + k, sample.n + n)
        return sample

    def reaches(self, target: float | None) -> bool:
        """Whether the sample is precise enough to end."""
        return target is not None and self.relative_width <= target

    def projected(self, target: float) -> float:
        """Roughly how many networks the target takes, since widths shrink like 1/sqrt(n).

        Where nothing crossed yet, the estimate's upper end stands for it: fewer than it will take.
        """
        relative = self.relative_width if self.k else 1.0
        return self.n * (relative / target) ** 2


def k_high(status: ArrayLike) -> int:
    """How many networks of these statuses may cross: crossed, degenerate or unfinished."""
    return int((~np.isin(np.asarray(status), _STAYED)).sum())


def lacks_precision(row: dict[str, Any]) -> bool:
    """Whether a row of the cell table misses the precision that its sweep asks for."""
    width, wanted = row["relative_width"], row["relative_width_wanted"]
    return wanted is not None and (width is None or width > wanted)


def sample_of(rows: pa.Table, target: float | None) -> Sample:
    """The sample in the rows of a cell's complete blocks, which are in index order."""
    block, status = rows["block"].to_numpy(), rows["status"].to_numpy()
    ends = np.flatnonzero(np.diff(block, append=-1)) + 1
    parts = np.split(status, ends[:-1]) if len(ends) else []
    return Sample().grown((Count(k_high(part), len(part)) for part in parts), target)
