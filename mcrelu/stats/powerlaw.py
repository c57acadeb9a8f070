"""The power law P = A n^(-gamma) fitted to counts, by binomial likelihood with a log link."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from mcrelu.errors import UserError
from mcrelu.stats.intervals import LEVEL
from mcrelu.types import Floats, Ints

REJECTED = 0.001  # a law with a smaller p-value is none
TO_ROUNDING = {"xtol": 1e-14, "rtol": 4.0 * float(np.finfo(float).eps)}


class PowerLaw(NamedTuple):
    """P = amplitude n^(-exponent) with the profile-likelihood interval of the exponent."""

    amplitude: float
    exponent: float
    exponent_low: float
    exponent_high: float
    level: float
    deviance: float
    points: int

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the deviance; a law through two points has none."""
        return self.points - 2

    @property
    def p_value(self) -> float | None:
        """Of the chi-squared test of the deviance, None where there is nothing to test."""
        return float(special.chdtrc(self.freedom, self.deviance)) if self.freedom else None

    @property
    def fits(self) -> bool:
        """Whether the test of the deviance leaves the law standing at REJECTED."""
        return self.p_value is None or self.p_value > REJECTED

    def __call__(self, width: Floats) -> Floats:
        """The fitted probability at a width."""
        return np.asarray(self.amplitude * np.asarray(width, dtype=float) ** -self.exponent)


def obstacle(width: Ints, k: Ints, n: Ints) -> str | None:
    """Why k successes among n networks at each width fix no exponent; None if they fix one."""
    if len(np.unique(width)) < 2:
        return "one width alone fixes no exponent" if len(width) else "no width is left to fit"
    hit = len(np.unique(width[k > 0]))
    if hit < 2:
        return "the estimate is 0 at all widths" + (" but one" if hit else "")
    return "the estimate is 1 at all widths" if (k == n).all() else None


def fit_power_law(width: Ints, k: Ints, n: Ints, level: float = LEVEL) -> PowerLaw:
    """Fit P to k successes among n networks at each width; all arrays have one entry a width.

    Raises
    ------
    UserError
        Where there is an :func:`obstacle`: the exponent then has no finite estimate.
    """
    widths, hits, trials = (np.asarray(values, dtype=float) for values in (width, k, n))
    if reason := obstacle(widths, hits, trials):
        raise UserError(f"no power law: {reason}")
    likelihood = _Likelihood(np.log(widths / widths.min()), hits, trials)
    start = likelihood.best_exponent()
    # Twice the drop of the log-likelihood is chi-squared with one degree of freedom (Wilks).
    floor = likelihood.profile(start) - special.chdtri(1.0, 1.0 - level) / 2.0

    def above(exponent: float) -> float:
        return likelihood.profile(exponent) - floor

    low, high = _crossing(above, start, -1.0), _crossing(above, start, 1.0)
    log_amplitude = likelihood.best_log_amplitude(start) + start * float(np.log(widths.min()))
    deviance = 2.0 * (likelihood.saturated() - likelihood.profile(start))
    return PowerLaw(float(np.exp(log_amplitude)), start, low, high, level, deviance, len(widths))


class _Likelihood:
    """Binomial log-likelihood of log p = log_amplitude - exponent * log_width."""

    def __init__(self, log_width: Floats, k: Floats, n: Floats) -> None:
        self._log_width, self._k, self._n = log_width, k, n

    def value(self, log_amplitude: float, exponent: float) -> float:
        log_p = np.minimum(log_amplitude - exponent * self._log_width, -1e-300)
        misses = self._n - self._k
        # misses * log(1 - p) with 0 * -inf = 0
        log_miss = np.where(misses > 0, np.log(-np.expm1(log_p)), 0.0)
        return float((self._k * log_p + misses * log_miss).sum())

    def saturated(self) -> float:
        p = self._k / self._n
        return float((special.xlogy(self._k, p) + special.xlogy(self._n - self._k, 1 - p)).sum())

    def best_log_amplitude(self, exponent: float) -> float:
        """The amplitude that fits best with an exponent; p stays at most 1 at every width."""
        top = float((exponent * self._log_width).min())

        def score(drop: float) -> float:
            return float(self._residuals(top - np.exp(drop), exponent).sum())

        # The likelihood is concave. Where it still rises at p = 1, that is the best there is.
        nearest, farthest = -40.0, 5.0
        if score(nearest) >= 0.0:
            return float(top - np.exp(nearest))
        return float(top - np.exp(optimize.brentq(score, nearest, farthest, **TO_ROUNDING)))

    def profile(self, exponent: float) -> float:
        return self.value(self.best_log_amplitude(exponent), exponent)

    def best_exponent(self) -> float:
        """Where the profile likelihood, which is concave, has slope zero.

        A root is found to rounding, a maximum only to the square root of it. There is one, since
        the likelihood falls to zero in both directions where successes are at two widths.
        """
        steepest = 1.0
        while self._profile_slope(-steepest) <= 0.0 or self._profile_slope(steepest) >= 0.0:
            steepest *= 2.0
        return float(optimize.brentq(self._profile_slope, -steepest, steepest, **TO_ROUNDING))

    def _profile_slope(self, exponent: float) -> float:
        """Derivative by the exponent; the width where p is largest holds the amplitude at p = 1."""
        residuals = self._residuals(self.best_log_amplitude(exponent), exponent)
        largest = self._log_width[np.argmin(exponent * self._log_width)]
        return float((residuals * (largest - self._log_width)).sum())

    def _residuals(self, log_amplitude: float, exponent: float) -> Floats:
        """Derivative of the log-likelihood by log p at each width: k - misses p / (1 - p)."""
        log_p = np.minimum(log_amplitude - exponent * self._log_width, -1e-300)
        return np.asarray(self._k + (self._n - self._k) * (1.0 + 1.0 / np.expm1(log_p)))


def _crossing(above: Callable[[float], float], start: float, direction: float) -> float:
    """Where ``above`` changes its sign, going from ``start`` in a direction."""
    step = 0.01
    while above(start + direction * step) > 0:
        step *= 2.0
    return float(optimize.brentq(above, start, start + direction * step, xtol=1e-10))
