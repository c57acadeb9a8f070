"""Do two sets of estimates agree? A test per point, Holm-corrected over all of them.

Tests of proportions are exact, so that the level holds however few networks there are: Fisher's
where both sides have networks of their own, McNemar's where they have the same. Means are compared
by t-tests, Welch's or that of pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from scipy import special, stats

from mcrelu.errors import UserError
from mcrelu.experiments.base import Count, Estimate, Mean, Point
from mcrelu.experiments.columns import Column, Columns
from mcrelu.types import Array, Bools, Floats

LEVEL = 0.01  # of the whole comparison

FISHER, MCNEMAR, WELCH, PAIRED_T = "Fisher", "McNemar", "Welch", "paired t"

# Of a comparison, beside those that tell a point from the others
COLUMNS: Columns = {
    "estimate": Column("ours: a fraction of networks, or a mean over them"),
    "networks": Column("behind it", "networks"),
    "other_estimate": Column("theirs, likewise"),
    "other_networks": Column("behind it; in a paired test the same networks", "networks"),
    "test": Column(f"`{FISHER}`, `{MCNEMAR}`, `{WELCH}` or `{PAIRED_T}`"),
    "z": Column("t, or the standardised difference, ours less theirs", "standard errors"),
    "p": Column("two-sided p-value of the test"),
    "agrees": Column(
        f"false if Holm's procedure over all points, at {100.0 * LEVEL:g} %, finds a difference"
    ),
}


def compare(
    ours: Mapping[Point, Estimate],
    theirs: Mapping[Point, Estimate],
    abscissa: str = "width",
    paired: Mapping[Point, tuple[Array, Array]] | None = None,
) -> pa.Table:
    """Compare the points that both have; one row each, ``agrees`` by Holm's procedure at LEVEL.

    Columns: the setting of the point, ``abscissa``, then both estimates, how many networks they are
    over, and the ``test``. ``z`` is t or the standardised difference, ``p`` two-sided.

    Parameters
    ----------
    paired : (m,) values of either side, for points that have the same networks on both sides
        These alone are compared; the estimates in the table are over them.

    Raises
    ------
    UserError
        If they have no point in common.
    """
    pairs = paired or {}
    common = [
        point
        for point in ours
        if point in theirs
        and ours[point].n
        and theirs[point].n
        and (point not in pairs or len(pairs[point][0]))
    ]
    if not common:
        raise UserError(
            f"nothing to compare: no setting and {abscissa} with a result on both sides"
        )
    tests = [
        _paired_test(ours[point], *pairs[point])
        if point in pairs
        else _test(ours[point], theirs[point])
        for point in common
    ]
    settings = [setting for setting, _ in common]
    columns: dict[str, Any] = {
        **{name: [getattr(one, name) for one in settings] for name in settings[0]._fields},
        abscissa: [place for _, place in common],
        **{name: [getattr(test, name) for test in tests] for name in _Test._fields},
        "agrees": ~holm_rejections(np.array([test.p for test in tests])),
    }
    return pa.table(columns)


class _Test(NamedTuple):
    """Two estimates of the same, and whether they differ."""

    estimate: float
    networks: int
    other_estimate: float
    other_networks: int
    test: str
    z: float
    p: float


def _test(one: Estimate, other: Estimate) -> _Test:
    if isinstance(one, Mean) and isinstance(other, Mean):
        return _Test(one.mean, one.n, other.mean, other.n, WELCH, *welch(one, other))
    assert isinstance(one, Count)
    assert isinstance(other, Count)
    return _Test(one.k / one.n, one.n, other.k / other.n, other.n, FISHER, *fisher(one, other))


def _paired_test(kind: Estimate, ours: Array, theirs: Array) -> _Test:
    test, found = (
        (MCNEMAR, mcnemar(ours > 0, theirs > 0))
        if isinstance(kind, Count)
        else (PAIRED_T, paired_t(ours - theirs))
    )
    n = len(ours)
    return _Test(float(ours.mean()), n, float(theirs.mean()), n, test, *found)


def fisher(one: Count, other: Count) -> tuple[float, float]:
    """Pooled two-proportion z statistic, and the two-sided p-value of Fisher's exact test.

    The statistic is 0 where both proportions are 0 or 1. Some milliseconds at a million networks.
    """
    table = [[one.k, one.n - one.k], [other.k, other.n - other.k]]
    p = (one.k + other.k) / (one.n + other.n)
    error = math.sqrt(p * (1.0 - p) * (1.0 / one.n + 1.0 / other.n))
    z = (one.k / one.n - other.k / other.n) / error if error > 0.0 else 0.0
    return z, min(1.0, float(stats.fisher_exact(table).pvalue))


def mcnemar(ours: Bools, theirs: Bools) -> tuple[float, float]:
    """Statistic and two-sided p-value of McNemar's exact test (Psychometrika 12, 1947).

    Networks that fared alike say nothing of a difference; of the others, as many should have fared
    so as the other way. The statistic is 0 where there are none.
    """
    only_ours, only_theirs = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    discordant = only_ours + only_theirs
    if not discordant:
        return 0.0, 1.0
    z = (only_ours - only_theirs) / math.sqrt(discordant)
    return z, float(stats.binomtest(only_ours, discordant).pvalue)


def paired_t(difference: Floats) -> tuple[float, float]:
    """Statistic and two-sided p-value of the t-test of the pairs' differences (m,).

    As :func:`welch` where they have no error. One pair alone tells no difference.
    """
    m, mean = len(difference), float(difference.mean())
    if m < 2 or not difference.any():
        return 0.0, 1.0
    error = float(difference.std(ddof=1)) / math.sqrt(m)
    if error == 0.0:
        return math.copysign(math.inf, mean), 0.0
    return mean / error, float(2.0 * special.stdtr(m - 1, -abs(mean / error)))


def welch(one: Mean, other: Mean) -> tuple[float, float]:
    """Statistic and two-sided p-value of Welch's t-test (Biometrika 34, 1947).

    The statistic is 0 where both means are equal and have no error.
    """
    variances = one.error**2, other.error**2
    total = sum(variances)
    difference = one.mean - other.mean
    if total == 0.0:
        return (0.0, 1.0) if difference == 0.0 else (math.copysign(math.inf, difference), 0.0)
    freedom = total**2 / sum(
        variance**2 / max(mean.n - 1, 1)
        for variance, mean in zip(variances, (one, other), strict=True)
    )
    t = difference / math.sqrt(total)
    return t, float(2.0 * special.stdtr(freedom, -abs(t)))


def holm_rejections(p: Floats, level: float = LEVEL) -> Bools:
    """Which of the hypotheses Holm's step-down procedure rejects at a family level (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    allowed = level / np.arange(len(p), 0, -1)
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order] = np.minimum.accumulate(p[order] <= allowed)
    return rejected
