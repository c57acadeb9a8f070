"""The power law against statsmodels, a grid, and simulated counts."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import chi2

from mcrelu.errors import UserError
from mcrelu.stats.powerlaw import fit_power_law

WIDTH = np.array([16, 32, 64, 128, 256, 512, 1024, 2048])
PAPER = np.array([3611, 2501, 1824, 1303, 919, 659, 474, 335])  # Figure 5, GD, of 10000
N = np.full(8, 10_000)


def log_likelihood(log_amplitude: float, exponent: float, k: np.ndarray, n: np.ndarray) -> float:
    log_p = log_amplitude - exponent * np.log(WIDTH)
    if (log_p >= 0).any():
        return -np.inf
    return float((k * log_p + (n - k) * np.log1p(-np.exp(log_p))).sum())


@pytest.mark.parametrize("scale", [1, 10, 100])
def test_equals_a_binomial_regression_with_log_link(scale: int) -> None:
    k, n = PAPER // scale, N // scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the link can leave the binomial's domain
        family = sm.families.Binomial(sm.families.links.Log())
        theirs = sm.GLM(
            np.column_stack([k, n - k]), sm.add_constant(np.log(WIDTH)), family=family
        ).fit()
    ours = fit_power_law(WIDTH, k, n)
    assert ours.exponent == pytest.approx(-theirs.params[1], abs=1e-6)
    assert ours.amplitude == pytest.approx(np.exp(theirs.params[0]), rel=1e-5)
    assert ours.deviance == pytest.approx(theirs.deviance, rel=1e-6)


def test_the_interval_is_where_the_profile_drops() -> None:
    law = fit_power_law(WIDTH, PAPER, N)
    grid = np.log(law.amplitude) + np.linspace(-0.2, 0.2, 4001)

    def profile(exponent: float) -> float:
        return max(log_likelihood(value, exponent, PAPER, N) for value in grid)

    best = log_likelihood(np.log(law.amplitude), law.exponent, PAPER, N)
    for end in (law.exponent_low, law.exponent_high):
        assert 2 * (best - profile(end)) == pytest.approx(chi2.isf(0.05, 1), abs=0.02)


@pytest.mark.slow
def test_the_interval_covers_at_its_level() -> None:
    rng = np.random.default_rng(7)
    truth, runs = 0.5, 400
    k = rng.binomial(200, 1.4 * WIDTH**-truth, size=(runs, 8))
    laws = [fit_power_law(WIDTH, row, np.full(8, 200)) for row in k]
    held = np.mean([law.exponent_low <= truth <= law.exponent_high for law in laws])
    assert held == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / runs))


def test_a_law_of_counts_that_follow_it_exactly() -> None:
    fractions: Any = 10_000 * 2.0 * WIDTH**-0.5  # whole numbers would not follow it exactly
    law = fit_power_law(WIDTH, fractions, N)
    assert law.exponent == pytest.approx(0.5, abs=1e-7)
    assert law.amplitude == pytest.approx(2.0, rel=1e-6)
    assert law(np.array([64.0])) == pytest.approx([0.25], rel=1e-6)
    assert law.deviance == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("width", "k", "reason"),
    [
        ([16], [5], "one width alone fixes no exponent"),
        ([8, 8], [5, 4], "one width alone fixes no exponent"),
        ([], [], "no width is left to fit"),
        ([16, 32], [0, 0], "the estimate is 0 at all widths$"),
        ([16, 32], [5, 0], "the estimate is 0 at all widths but one"),
        ([16, 32], [10, 10], "the estimate is 1 at all widths"),
    ],
)
def test_counts_that_fix_no_exponent_are_refused(
    width: list[int], k: list[int], reason: str
) -> None:
    with pytest.raises(UserError, match=f"^no power law: {reason}"):
        fit_power_law(np.array(width), np.array(k), np.full(len(k), 10))


@pytest.mark.parametrize("exponent", [13.1, 40.0, -7.3])
def test_steep_laws_are_not_cut_off(exponent: float) -> None:
    """Beyond 5 the exponent used to be 5, which "fits" two points at any deviance."""
    width = np.array([16, 17, 19])
    p = 0.9 * (width / (16 if exponent > 0 else 19)) ** -exponent
    n = np.full(3, 1_000_000)
    law = fit_power_law(width, np.round(p * n).astype(int), n)
    assert law.exponent == pytest.approx(exponent, rel=1e-3)
    assert law.exponent_low < law.exponent < law.exponent_high
    assert law.deviance < 1.0
    assert law.fits


def test_a_law_of_two_points_goes_through_both() -> None:
    k, n = np.array([900_000, 103]), np.array([1_000_000, 1_000_000])
    law = fit_power_law(np.array([16, 32]), k, n)
    assert law(np.array([16, 32])) == pytest.approx(k / n, rel=1e-6)
    assert (law.freedom, law.p_value, law.fits) == (0, None, True)


def test_the_test_of_the_deviance() -> None:
    law = fit_power_law(WIDTH, PAPER, N)
    assert law.p_value == pytest.approx(chi2.sf(law.deviance, 6), rel=1e-9)
    bent = PAPER * np.array([1.0, 1.2, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert not fit_power_law(WIDTH, bent.astype(int), N).fits
