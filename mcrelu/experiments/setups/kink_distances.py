r"""How far the kinks of a layer are from the origin, by initialisation of its biases.

The kink of a neuron is the hyperplane {x : a x + b = 0}, at the distance D = |b| / |a| from the
origin. Weights a ~ N(0, 2/d)^d have the norm |a| = sqrt(2/d) R, where R is chi distributed with d
degrees of freedom; R has the density f_d(r) = 2^(1 - d/2) / Gamma(d/2) r^(d-1) exp(-r^2 / 2).

Biases b ~ U(-sqrt(6), 0), those of ``unif-neg``, are independent of them, so that

    P(D <= t) = E min(1, t |a| / sqrt(6)) = integral of min(1, r/c) f_d(r) dr,  c = sqrt(3 d) / t.

Since r f_d(r) = E(R) f_(d+1)(r), it is E(R) / c F_(d+1)(c) + 1 - F_d(c), where F_k is the
distribution function of chi with k degrees of freedom, and E(R) = sqrt(2) Gamma((d+1)/2) /
Gamma(d/2). As d grows, R / sqrt(d) becomes 1, and D uniform on (0, sqrt(3)).

Biases |a| U(-sqrt(3), 0), those of ``kink-neg-unif``, make D uniform on (0, sqrt(3)) for all d.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy import special

from mcrelu.types import Floats

DRAWING = "kink_distances"

INDEPENDENT, UNIFORM = "unif-neg", "kink-neg-unif"
FARTHEST = np.sqrt(3.0)  # of the uniform distances
_POWERS_OF_TWO = tuple(2**k for k in range(7))


def distance_cdf(t: Floats, inputs: int) -> Floats:
    """P(D <= t) of biases U(-sqrt(6), 0) at distances t >= 0, for d inputs."""
    t = np.asarray(t, dtype=float)
    with np.errstate(divide="ignore"):
        c = np.sqrt(3.0 * inputs) / t
    log_mean = special.gammaln((inputs + 1) / 2) - special.gammaln(inputs / 2)
    mean = np.sqrt(2.0) * np.exp(log_mean)
    below = mean / c * _chi_cdf(c, inputs + 1)
    return np.asarray(below + special.gammaincc(inputs / 2, c**2 / 2))


def uniform_cdf(t: Floats) -> Floats:
    """P(D <= t) of biases |a| U(-sqrt(3), 0), for any number of inputs."""
    return np.clip(np.asarray(t, dtype=float) / FARTHEST, 0.0, 1.0)


def inputs_shown(best: Iterable[Mapping[str, Any]]) -> list[int]:
    """1, 2, 4 .. 64 and the numbers of inputs of a table; none if it has neither biases."""
    rows = list(best)
    initialisations = {row["bias_init"] for row in rows if row["bias_gain"] == 1.0}
    if not initialisations & {INDEPENDENT, UNIFORM}:
        return []
    return sorted({*_POWERS_OF_TWO, *(row["inputs"] for row in rows)})


def _chi_cdf(r: Floats, degrees: int) -> Floats:
    return np.asarray(special.gammainc(degrees / 2, r**2 / 2))
