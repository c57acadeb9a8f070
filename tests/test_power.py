"""What a comparison of proportions can see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import NormalIndPower

from mcrelu.stats.power import POWER, networks_for, visible_difference

LEVEL = 0.01


@pytest.mark.parametrize("p", [0.05, 0.5, 0.86])
def test_as_statsmodels_for_small_differences(p: float) -> None:
    """Its effect is on another scale, which is the same to first order."""
    d = visible_difference(p, 10**7, 3 * 10**6, LEVEL)
    effect = d / np.sqrt(p * (1.0 - p))
    power = NormalIndPower().power(effect, 10**7, LEVEL, ratio=0.3)
    assert power == pytest.approx(POWER, abs=1e-6)


def test_as_many_networks_as_it_takes_and_not_one_less() -> None:
    m = networks_for(0.86, 0.05, 10_000, LEVEL)
    assert m is not None
    assert visible_difference(0.86, 10_000, m, LEVEL) <= 0.05
    assert visible_difference(0.86, 10_000, m - 1, LEVEL) > 0.05


def test_no_number_of_theirs_makes_up_for_few_of_ours() -> None:
    assert networks_for(0.5, 0.01, 100, LEVEL) is None
    assert networks_for(0.5, 0.01, 10**6, LEVEL) is not None


def test_a_proportion_that_is_certain_needs_networks_nevertheless() -> None:
    assert visible_difference(1.0, 300, 300, LEVEL) > 0.0


def test_fishers_test_sees_the_difference_as_often_as_promised() -> None:
    """Simulated; Fisher's test is conservative, which costs a few percent of power."""
    rng = np.random.default_rng(20200212)
    n, m, p = 2000, 300, 0.5
    d = visible_difference(p, n, m, LEVEL)
    ours, theirs = rng.binomial(n, p - d / 2.0, 400), rng.binomial(m, p + d / 2.0, 400)
    seen = [
        stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue < LEVEL
        for a, b in zip(ours, theirs, strict=True)
    ]
    assert POWER - 0.08 < np.mean(seen) < POWER + 0.05
