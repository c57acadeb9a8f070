"""How long a cell is sampled where a relative width is asked for instead of a number of networks.

A cell's sample ends with the first block, in index order, at whose end the confidence sequence of
the estimate is narrow enough: (high - low) / estimate <= target. That is a function of the counts
of the blocks alone, so it does not matter who did them, in which order, or how many more are
there. The sequence holds at all sample sizes at once (docs/method.md 3), hence at this one too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from mcrelu.stats.intervals import LEVEL, Interval

MOST_NAMED = 4  # cells in a line
SMALL_BIAS = 0.01  # of estimates, relative: nobody need be told of less


def confidence_sequence(k: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Interval:
    """An interval that holds at all n at once, so one may look at it and stop at any time.

    Beta-binomial mixture with a uniform prior: all p whose likelihood is not below 1 - level
    times the mixture's (Robbins 1970; Ville's inequality).
    """
    ends = np.vectorize(_sequence_ends, otypes=[float, float])(k, n, 1.0 - level)
    return Interval(*ends)


def _sequence_ends(k: float, n: float, alpha: float) -> tuple[float, float]:
    mixture = special.betaln(k + 1.0, n - k + 1.0)

    def excess(p: float) -> float:
        likelihood = special.xlogy(k, p) + special.xlog1py(n - k, -p)
        return float(likelihood - mixture - np.log(alpha))

    peak = k / n
    low = 0.0 if k == 0 else optimize.brentq(excess, 0.0, peak, xtol=1e-14)
    high = 1.0 if k == n else optimize.brentq(excess, peak, 1.0, xtol=1e-14)
    return low, high


@dataclass(frozen=True)
class Sample:
    """The networks of a cell up to the end of a block: ``k`` of ``n`` are in the event."""

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

    def grown(self, counts: Iterable[tuple[int, int]], target: float | None) -> Sample:
        """With further blocks (k, n), in index order, up to the first that makes it narrow enough.

        With no target all are taken.
        """
        sample = self
        for k, n in counts:
            if sample.reaches(target):
                break
            sample = Sample(sample.blocks + 1, sample.k + k, sample.n + n)
        return sample

    def reaches(self, target: float | None) -> bool:
        """Whether the sample is narrow enough to end."""
        return target is not None and self.relative_width <= target

    def projected(self, target: float) -> float:
        """Roughly how many networks the target takes, since widths shrink like 1/sqrt(n).

        Where k is still 0, the estimate's upper end stands for it: fewer than it will take.
        """
        relative = self.relative_width if self.k else 1.0
        return self.n * (relative / target) ** 2


def stopping_bias(k: int) -> float:
    """Rough relative bias 1/k of an estimate whose sample ended with k networks in the event.

    Samples in which the event comes early end sooner. By Wald's identity E[N (k/N - p)] = 0, so the
    bias is -Cov(k/N, N) / E[N]; N is proportional to (1 - p)/p at the estimate p, which makes it
    p/k. With none in the event, no sample ends: 0.
    """
    return 1.0 / k if k else 0.0


def too_wide(row: dict[str, Any]) -> bool:
    """Whether a row of the cell table misses the relative width that its sweep asks for."""
    width, wanted = row["relative_width"], row["relative_width_wanted"]
    return wanted is not None and (width is None or width > wanted)


def shortfall(samples: Mapping[str, Sample], target: float, budget: int) -> str:
    """Which cells ran out of ``budget`` networks before the target, and what to raise.

    Samples are given by the label of their cell.
    """
    lacking = {name: sample for name, sample in samples.items() if not sample.reaches(target)}
    names = list(lacking)[:MOST_NAMED]
    more = f" and {len(lacking) - MOST_NAMED} more" if len(lacking) > MOST_NAMED else ""
    need = math.ceil(max((one.projected(target) for one in lacking.values()), default=0))
    step = 10 ** max(0, len(str(need)) - 2)
    word = "about" if all(one.k for one in lacking.values()) else "at least"
    return (
        f"Relative width above {target:g}: {', '.join(names)}{more}. Raise networks from {budget} "
        f"to {word} {-(-need // step) * step}, or relative_width; the same command then goes on."
    )
