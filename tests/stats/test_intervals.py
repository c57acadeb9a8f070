"""Intervals against scipy, by exact enumeration, and by simulation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special
from scipy.stats import binom, binomtest

from mcrelu.stats.intervals import (
    CLOPPER_PEARSON,
    FEW,
    WILSON,
    Interval,
    clopper_pearson,
    shown_interval,
    standard_error,
    wilson,
)
from mcrelu.stats.sequential import confidence_sequence

CASES = [(0, 1), (1, 1), (0, 50), (3, 50), (25, 50), (50, 50), (361, 1000), (1, 10_000)]


@pytest.mark.parametrize(("k", "n"), CASES)
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(("name", "interval"), [("wilson", wilson), ("exact", clopper_pearson)])
def test_equals_scipy(
    name: str, interval: Callable[..., Interval], level: float, k: int, n: int
) -> None:
    theirs = binomtest(k, n).proportion_ci(level, method=name)
    ours = interval(k, n, level)
    # scipy finds its exact ends by bisection, to 1e-12 or so; ours are quantiles of a beta law.
    assert ours.low == pytest.approx(theirs.low, abs=1e-11)
    assert ours.high == pytest.approx(theirs.high, abs=1e-11)


def coverage(interval: Callable[..., Interval], n: int, p: float) -> float:
    """Exact probability that the interval holds p."""
    k = np.arange(n + 1)
    low, high = interval(k, n)
    return float(binom.pmf(k, n, p)[(low <= p) & (p <= high)].sum())


@pytest.mark.parametrize("p", [0.01, 0.0335, 0.13, 0.36, 0.5, 0.86])
def test_clopper_pearson_covers_at_least_its_level(p: float) -> None:
    assert all(coverage(clopper_pearson, n, p) >= 0.95 for n in (10, 60, 250))


def test_wilson_covers_its_level_on_average() -> None:
    grid = np.linspace(0.01, 0.99, 197)
    assert np.mean([coverage(wilson, 60, p) for p in grid]) == pytest.approx(0.95, abs=0.01)


def test_clopper_pearson_is_needed_since_wilson_may_cover_less() -> None:
    assert min(coverage(wilson, 60, p) for p in np.linspace(0.001, 0.05, 50)) < 0.95


def shown(k: np.ndarray, n: int) -> Interval:
    """The interval of reports and figures."""
    ends = {"wilson": wilson, "clopper_pearson": clopper_pearson}
    low, high = zip(*(ends[shown_interval(int(j), n)](j, n) for j in k), strict=True)
    return Interval(np.array(low), np.array(high))


def least_coverage(interval: Callable[..., Interval], n: int) -> float:
    """Over p up to 1/2, right beside the ends of intervals, where it jumps."""
    k = np.arange(n + 1)
    low, high = interval(k, n)
    ends = np.concatenate([low, high])
    near = np.concatenate([ends - 1e-9, ends + 1e-9])
    p = near[(near > 0) & (near <= 0.5)]
    holds = (low <= p[:, None]) & (p[:, None] <= high)
    return float((binom.pmf(k, n, p[:, None]) * holds).sum(axis=1).min())


@pytest.mark.parametrize("n", [20, 60, 250])
def test_intervals_that_are_shown_cover_nearly_their_level(n: int) -> None:
    assert least_coverage(shown, n) >= 0.93
    assert least_coverage(wilson, n) < 0.84  # near p = 0.18/n


def test_few_networks_in_the_event_or_out_of_it_have_the_exact_interval() -> None:
    names = [shown_interval(k, 100) for k in (0, FEW - 1, FEW, 100 - FEW, 101 - FEW)]
    assert names == [CLOPPER_PEARSON, CLOPPER_PEARSON, WILSON, WILSON, CLOPPER_PEARSON]


@pytest.mark.parametrize(("k", "n"), [(3, 50), (25, 50), (361, 1000)])
def test_ends_of_the_sequence_have_the_mixture_s_likelihood(k: int, n: int) -> None:
    mixture = np.exp(special.betaln(k + 1, n - k + 1))
    for p in confidence_sequence(k, n):
        assert p**k * (1 - p) ** (n - k) / mixture == pytest.approx(0.05, rel=1e-6)


def ever_missed(interval: Callable[..., Interval], p: float, runs: int, length: int) -> float:
    """Fraction of runs in which the interval, looked at after every network, misses p once."""
    n = np.arange(1, length + 1)
    k = np.arange(length + 1)[:, None]
    low, high = interval(np.minimum(k, n), n)
    holds = (low <= p) & (p <= high)  # (k, n)
    crossed = np.random.default_rng(20200212).random((runs, length)) < p
    return float(np.mean([not holds[np.cumsum(run), n - 1].all() for run in crossed]))


@pytest.mark.parametrize("p", [0.05, 0.36])
def test_the_sequence_holds_at_all_times_at_once(p: float) -> None:
    runs = 1000
    allowed = 0.05 + 3 * standard_error(0.05 * runs, runs)
    assert ever_missed(confidence_sequence, p, runs, length=120) <= allowed


def test_an_interval_for_one_time_does_not() -> None:
    """Negative control: whoever looks again and again misses p far more often than 5 %."""
    assert ever_missed(clopper_pearson, 0.36, runs=1000, length=120) > 0.08


def test_the_sequence_is_wider_than_the_interval_for_one_time() -> None:
    k = np.arange(1, 60)
    exact, sequence = clopper_pearson(k, 60), confidence_sequence(k, 60)
    assert (sequence.low < exact.low).all()
    assert (sequence.high > exact.high).all()


def test_standard_error() -> None:
    assert standard_error(36, 100) == pytest.approx(0.048)
