"""Intervals for a probability from k successes among n networks.

All functions take arrays (any common shape) or numbers and return arrays of that shape.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from mcrelu.types import Floats

LEVEL = 0.95

# With fewer networks than this in the event, or out of it, Wilson's interval covers too little:
# near p = 0.18/n in 84 % of samples at a level of 95 %. With the exact one there, no p and n are
# covered in less than 93 %.
FEW = 10

WILSON, CLOPPER_PEARSON, SEQUENCE = "wilson", "clopper_pearson", "sequence"

CHOICE = (
    f"Intervals are Clopper and Pearson's where fewer than {FEW} networks are in the event or not "
    "in it, else Wilson's."
)


def shown_interval(k: int, n: int) -> str:
    """Which interval to show for k of n: columns of tables begin with its name."""
    return CLOPPER_PEARSON if min(k, n - k) < FEW else WILSON


class Interval(NamedTuple):
    """Lower and upper end."""

    low: Floats
    high: Floats


def standard_error(k: ArrayLike, n: ArrayLike) -> Floats:
    """Monte Carlo standard error sqrt(p (1 - p) / n) of the estimate p = k / n."""
    p = np.asarray(k) / np.asarray(n)
    return np.asarray(np.sqrt(p * (1.0 - p) / n))


def wilson(k: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Interval:
    """Wilson's score interval (Wilson 1927)."""
    k, n = np.asarray(k, dtype=float), np.asarray(n, dtype=float)
    z = -special.ndtri((1.0 - level) / 2.0)
    p = k / n
    centre = (p + z**2 / (2.0 * n)) / (1.0 + z**2 / n)
    half = z / (1.0 + z**2 / n) * np.sqrt(p * (1.0 - p) / n + z**2 / (4.0 * n**2))
    # At k = 0 and k = n an end is 0 or 1 exactly; rounding must not move it inside.
    return Interval(np.where(k == 0, 0.0, centre - half), np.where(k == n, 1.0, centre + half))


def clopper_pearson(k: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Interval:
    """The exact interval, never below its level (Clopper and Pearson 1934)."""
    k, n = np.asarray(k, dtype=float), np.asarray(n, dtype=float)
    tail = (1.0 - level) / 2.0
    low = special.betaincinv(k, n - k + 1.0, tail)
    high = special.betainccinv(k + 1.0, n - k, tail)
    return Interval(np.where(k == 0, 0.0, low), np.where(k == n, 1.0, high))
