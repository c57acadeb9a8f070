"""Compiled forms of theory/criterion.py, whose glossary holds here.

Every function takes and gives C-contiguous float64 arrays.
"""

from __future__ import annotations

from math import exp

import numpy as np

from mcrelu.jit import jit
from mcrelu.theory.matrices import apply_2x2, eigh_4x4, largest_row, pinv_2x2, sqrt_2x2
from mcrelu.theory.sigma_kernels import a_ref, training_matrix
from mcrelu.types import Bools, Floats

# Allowances for rounding of the form sharp; the published form has none
ROUNDING_OF_MATRIX = 1e-12  # of the training matrix, in units of its largest eigenvalue
MARGIN = 1e-9  # of the neurons' condition, in units of |a|


@jit()
def motion_bound(
    sigma: Floats,
    moments: Floats,
    u_hat: Floats,
    step_size: Floats,
    alpha: float,
    published: bool,
) -> tuple[Bools, Floats]:
    """Whether the bounds on all future motion are proved, and kappa, both (m).

    sigma (m, 2, 3, 3), moments (m, 2, 2, 2), u_hat (m, 2, 2), step_size (m).
    """
    m = len(sigma)
    roots = sqrt_2x2(moments.reshape(2 * m, 2, 2))
    inverse_roots = pinv_2x2(roots).reshape(m, 2, 2, 2)
    roots = roots.reshape(m, 2, 2, 2)
    psi = apply_2x2(inverse_roots, u_hat).reshape(m, 4)
    eigenvalues, vectors = eigh_4x4(training_matrix(a_ref(sigma, alpha), roots))
    mu = 1.0 - step_size.reshape(m, 1) * eigenvalues
    norm = (1.0 + alpha) * largest_row(roots)  # of B M^(1/2), whichever way round
    kappa = 2.0 * norm * residual_sum(mu, vectors, psi, step_size, published)
    s = operator_sum(mu, step_size)
    # Networks that do not contract (s <= 0) make nonsense of kappa; they do not hold anyway.
    delta = s * norm * norm * operator_change(sigma, sigma_change(sigma, kappa), kappa)
    if not published:
        for k in range(m):
            delta[k] += s[k] * ROUNDING_OF_MATRIX * eigenvalues[k, 3]
    return (s > 0.0) & (kappa < 0.5) & (delta <= 0.5), kappa


@jit()
def residual_sum(
    mu: Floats, vectors: Floats, psi: Floats, step_size: Floats, published: bool
) -> Floats:
    """S_psi >= sum_k h ||(1 - h M^(1/2) A_ref M^(1/2))^k psi||_inf.

    mu (m, 4), vectors (m, 4, 4) in columns, psi (m, 4), step_size (m) -> (m).
    """
    m = len(mu)
    total = np.zeros(m)
    for k in range(m):
        for i in range(4):
            component, largest, row = 0.0, 0.0, 0.0
            for j in range(4):
                component += vectors[k, j, i] * psi[k, j]
                largest = max(largest, abs(vectors[k, j, i]))
                row += abs(vectors[k, i, j])
            if published:
                total[k] += step_size[k] * abs(component) * row / abs(1.0 - mu[k, i])
            else:
                total[k] += step_size[k] * abs(component) * largest / (1.0 - abs(mu[k, i]))
    return total


@jit()
def operator_sum(mu: Floats, step_size: Floats) -> Floats:
    """S = 2 h / (1 - max |mu|) >= sum_k h ||(1 - h M^(1/2) A_ref M^(1/2))^k||_inf.

    mu (m, 4), step_size (m) -> (m); not positive where some |mu| >= 1.
    """
    m = len(mu)
    total = np.empty(m)
    for k in range(m):
        slowest = 0.0
        for i in range(4):
            slowest = max(slowest, abs(mu[k, i]))
        total[k] = 2.0 * step_size[k] / (1.0 - slowest)
    return total


@jit()
def sigma_change(sigma: Floats, kappa: Floats) -> Floats:
    """D = kappa (Q |sigma| + |sigma| Q) + 8 kappa^2 e^(4 kappa) ||sigma||_inf, entrywise.

    sigma (m, 2, 3, 3), kappa (m) -> (m, 2, 3, 3).
    """
    m = len(sigma)
    change = np.empty((m, 2, 3, 3))
    moved = np.empty((3, 3))
    for k in range(m):
        factor = 8.0 * kappa[k] * kappa[k] * exp(4.0 * kappa[k])
        for s in range(2):
            size = np.abs(sigma[k, s])
            norm = 0.0
            for i in range(3):
                norm = max(norm, size[i, 0] + size[i, 1] + size[i, 2])
            for j in range(3):  # Q maps (a, b, w) to (w, w, a + b)
                moved[0, j] = moved[1, j] = size[2, j]
                moved[2, j] = size[0, j] + size[1, j]
            for i in range(3):
                for j in range(3):
                    # |sigma| Q is the transpose of Q |sigma|
                    first_order = kappa[k] * (moved[i, j] + moved[j, i])
                    change[k, s, i, j] = first_order + factor * norm
    return change


@jit()
def operator_change(sigma: Floats, change: Floats, kappa: Floats) -> Floats:
    """g_w + g_ab + g_wab: sigma and its change (m, 2, 3, 3), kappa (m) -> (m)."""
    m = len(sigma)
    total = np.empty(m)
    for k in range(m):
        g_w, g_ab, g_wab = 0.0, 0.0, 0.0
        for s in range(2):
            size, d = np.abs(sigma[k, s]), change[k, s]
            g_w = max(g_w, d[2, 2])
            g_ab = max(g_ab, d[0, 0] + d[0, 1] + d[1, 1])
            g_wab = max(g_wab, kappa[k] * (size[2, 0] + size[2, 1] + d[2, 0] + d[2, 1]))
        total[k] = g_w + g_ab + g_wab
    return total


@jit()
def neurons_stay(
    a: Floats, b: Floats, w: Floats, kappa: Floats, margin: float, nearest: float
) -> Bools:
    """Whether every neuron keeps its kink between the data points: a, b, w (m, n) -> (m).

    ``margin`` is relative to |a|; the nearest point is at |x| = ``nearest``.
    """
    m, n = a.shape
    stay = np.ones(m, dtype=np.bool_)
    for k in range(m):
        second_order = 2.0 * kappa[k] * kappa[k] * exp(2.0 * kappa[k])
        for i in range(n):
            size_a, size_b, size_w = abs(a[k, i]), abs(b[k, i]), abs(w[k, i])
            # Q maps (a, b, w) to (w, w, a + b): a and b have the same bound
            motion = kappa[k] * size_w + second_order * max(size_a, size_b, size_w)
            if not nearest * (size_a - motion) > size_b + motion + margin * size_a:
                stay[k] = False
                break
    return stay
