"""The conditions of the event E_(n,N,eps,gamma) and what of a network they are about.

Glossary
--------
n, N : width, and number of samples n^2
gamma, eps : 1/4 and 1/4 - gamma/2, the exponents of the theorem
R : factor of the right-hand sides (rhs_factor), 1 in the theorem
side : 0 for a_i > 0 and x_j > 0, 1 for the others
M, v_opt : per side the weighted moments of the points, and the optimal affine function
M_ref, v_ref : the same if every point has the weight 1/6
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.data import standard_points
from mcrelu.experiments.event import kernels
from mcrelu.theory.matrices import apply_2x2, pinv_2x2
from mcrelu.theory.sigma import data_moments, u_hat
from mcrelu.types import Bools, Floats, PointSet

GAMMA = 0.25
EPS = 0.25 - GAMMA / 2.0
POINTS = standard_points()

# In the order of the paper: of the weights, then of the data; jointly they are the event.
CONDITIONS = ("W2", "W3", "W4", "W5", "W6", "W7", "D1", "D2")


class OfWeights(NamedTuple):
    """What the conditions W ask of m networks."""

    max_w: Floats  # (m,) max |w_i|
    max_a: Floats  # (m,) max |a_i|
    min_a: Floats  # (m,) min |a_i|
    aa: Floats  # (m, 2) sum of a_i^2 over the neurons of a side
    ww: Floats  # (m, 2) sum of w_i^2
    wa: Floats  # (m, 2) sum of w_i a_i


class OfData(NamedTuple):
    """What the conditions D ask of m samples."""

    shift: Floats  # (m,) ||v_opt - v_ref||, maximum norm
    lowest: Floats  # (m,) smallest eigenvalue of M, of both sides
    highest: Floats  # (m,) largest


def measure_weights(
    a_normals: Floats, w_normals: Floats, a_scale: float, w_scale: float
) -> OfWeights:
    """Of networks with weights a_scale a_normals and w_scale w_normals (m, n)."""
    found = kernels.measure(a_normals, w_normals)
    sums = found[:, :6].reshape(-1, 2, 3)  # by side: aa, ww, wa
    return OfWeights(
        max_w=w_scale * found[:, 6],
        max_a=a_scale * found[:, 7],
        min_a=a_scale * found[:, 8],
        aa=a_scale**2 * sums[:, :, 0],
        ww=w_scale**2 * sums[:, :, 1],
        wa=w_scale * a_scale * sums[:, :, 2],
    )


def measure_data(p: Floats, points: PointSet = POINTS) -> OfData:
    """Of samples with weights p (m, D) of the points."""
    even = np.full((1, len(points.x)), 1.0 / len(points.x))
    shift = np.abs(_optimal(p, points) - _optimal(even, points)).max(axis=(1, 2))
    lowest, highest = _eigenvalues(data_moments(points, p))
    return OfData(shift, lowest.min(axis=1), highest.max(axis=1))


def hold(weights: OfWeights, data: OfData, width: int, rhs_factor: float) -> dict[str, Bools]:
    """Which networks satisfy each condition, (m,) by its name."""
    n, r = float(width), rhs_factor
    even = measure_data(np.full((1, len(POINTS.x)), 1.0 / len(POINTS.x)))
    return {
        "W2": weights.max_w <= r * n ** (EPS - 0.5),
        "W3": weights.max_a <= r * n**EPS,
        "W4": weights.min_a >= n ** (-1.0 - GAMMA) / r,
        "W5": _both((n / 2.0 <= weights.aa) & (weights.aa <= 2.0 * n)),
        "W6": _both((weights.ww >= 0.5) & (weights.ww <= 2.0)),
        "W7": _both(np.abs(weights.wa) <= r * n**EPS),
        "D1": data.shift <= r * n ** (EPS - 1.0),
        "D2": (data.lowest >= even.lowest / 2.0) & (data.highest <= 2.0 * even.highest),
    }


def _both(sides: Bools) -> Bools:
    return np.asarray(sides.all(axis=1))


def _optimal(p: Floats, points: PointSet) -> Floats:
    """Coefficients (slope, intercept) of the optimal affine functions, (m, 2, 2)."""
    moments = data_moments(points, p)
    inverse = pinv_2x2(moments.reshape(-1, 2, 2)).reshape(moments.shape)
    return apply_2x2(inverse, u_hat(points, p, np.zeros_like(p)))


def _eigenvalues(moments: Floats) -> tuple[Floats, Floats]:
    """Both eigenvalues of each side's M: (m, 2, 2, 2) -> (m, 2) and (m, 2)."""
    a, b, d = moments[..., 0, 0], moments[..., 0, 1], moments[..., 1, 1]
    highest = 0.5 * (a + d) + np.sqrt(0.25 * (a - d) ** 2 + b**2)
    # The product of both is the determinant: nothing cancels, unlike in the difference.
    determinant = np.maximum(a * d - b * b, 0.0)
    return np.divide(determinant, highest, out=np.zeros_like(a), where=highest > 0.0), highest
