"""The sufficient criterion for one network, written line by line from reference section 2.

Loops over neurons, points and eigenvectors; the only libraries are numpy.linalg and scipy.linalg.
``form`` is "sharp" or "published"; ``alpha`` is the slope of the leaky ReLU. Data must have at
least two weighted points on each side: of a singular M scipy's matrix square root is too rough to
compare with.
"""

from __future__ import annotations

from math import exp
from typing import NamedTuple

import numpy as np
import scipy.linalg

from mcrelu.problems.one_d import Weights
from mcrelu.types import Floats, PointSet

Q = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
A, B, W = 0, 1, 2


class Verdict(NamedTuple):
    """What the criterion finds, stage by stage."""

    contracts: bool  # max |mu| < 1
    kappa: float
    bounded: bool  # the above, kappa < 1/2 and delta <= 1/2
    converged: bool  # the above, and every neuron stays


def judge(
    net: Weights, points: PointSet, p: Floats, h: float, form: str, alpha: float = 0.0
) -> Verdict:
    """The verdict on one network; net has a, b, w (n,) and c ()."""
    sigma = [moments_of_side(net, side) for side in (1, -1)]
    m = scipy.linalg.block_diag(*[data_moments_of_side(points, p, side) for side in (1, -1)])
    root = scipy.linalg.sqrtm(m).real
    u_hat = np.concatenate(
        [residuals_of_side(net, points, p, side, sigma, alpha) for side in (1, -1)]
    )
    psi = np.linalg.pinv(root) @ u_hat
    eigenvalues, vectors = np.linalg.eigh(root @ a_ref(sigma, alpha) @ root)
    mu = [1.0 - h * value for value in eigenvalues]
    largest = max(abs(value) for value in mu)
    if largest >= 1.0:
        return Verdict(contracts=False, kappa=np.inf, bounded=False, converged=False)
    s = 2.0 * h / (1.0 - largest)
    s_psi = sum(s_psi_term(mu[i], vectors, i, psi, h, form) for i in range(4))
    # Neurons are pulled by B u_hat, and what they change acts through B (both sides of G).
    kappa = 2.0 * norm(mixing(alpha)) * norm(root) * s_psi
    norms = norm(mixing(alpha)) * norm(root)
    bounded = kappa < 0.5 and s * norms**2 * operator_change(sigma, kappa) <= 0.5
    stays = bounded and all(neuron_stays(*theta, kappa) for theta in thetas(net))
    return Verdict(contracts=True, kappa=kappa, bounded=bounded, converged=stays)


def thetas(net: Weights) -> list[tuple[float, float, float]]:
    """(a_i, b_i, w_i) of every neuron."""
    return [(float(a), float(b), float(w)) for a, b, w in zip(net.a, net.b, net.w, strict=True)]


def norm(matrix: Floats) -> float:
    """Largest absolute row sum."""
    return max(sum(abs(entry) for entry in row) for row in matrix)


def moments_of_side(net: Weights, side: int) -> Floats:
    """Sum of theta theta^T over the neurons with this sign of a."""
    total = np.zeros((3, 3))
    for theta in thetas(net):
        if side * theta[A] > 0:
            total += np.outer(theta, theta)
    return total


def data_moments_of_side(points: PointSet, p: Floats, side: int) -> Floats:
    """[[sum p x^2, sum p x], [sum p x, sum p]] over the points of this sign."""
    total = np.zeros((2, 2))
    for x, weight in zip(points.x, p, strict=True):
        if side * x > 0:
            total += weight * np.array([[x * x, x], [x, 1.0]])
    return total


def residuals_of_side(
    net: Weights, points: PointSet, p: Floats, side: int, sigma: list[Floats], alpha: float
) -> Floats:
    """(sum e_j x_j, sum e_j), with the outputs of the affine function of the side."""
    active, inactive = sigma if side > 0 else sigma[::-1]
    total = np.zeros(2)
    for x, y, weight in zip(points.x, points.y, p, strict=True):
        if side * x > 0:
            slope = active[W, A] + alpha * inactive[W, A]
            intercept = active[W, B] + alpha * inactive[W, B]
            e = weight * (y - (net.c + slope * x + intercept))
            total += e * np.array([x, 1.0])
    return total


def mixing(alpha: float) -> Floats:
    """B = [[I, alpha I], [alpha I, I]]: what a group sees of both sides."""
    return np.kron(np.array([[1.0, alpha], [alpha, 1.0]]), np.eye(2))


def a_ref(sigma: list[Floats], alpha: float) -> Floats:
    """C + B diag(G_+, G_-) B."""
    g = scipy.linalg.block_diag(*[s[:2, :2] + s[W, W] * np.eye(2) for s in sigma])
    matrix = mixing(alpha) @ g @ mixing(alpha)
    for i in (1, 3):
        for j in (1, 3):
            matrix[i, j] += 1.0
    return matrix


def s_psi_term(mu: float, vectors: Floats, i: int, psi: Floats, h: float, form: str) -> float:
    """Contribution of eigenpair i to S_psi."""
    component = abs(sum(vectors[j, i] * psi[j] for j in range(4)))
    if form == "sharp":
        return h / (1.0 - abs(mu)) * component * max(abs(vectors[j, i]) for j in range(4))
    return h / abs(1.0 - mu) * component * sum(abs(vectors[i, j]) for j in range(4))


def moments_change(sigma: Floats, kappa: float) -> Floats:
    """D of one side."""
    first_order = kappa * (Q @ abs(sigma) + abs(sigma) @ Q)
    return first_order + 8.0 * kappa**2 * exp(4.0 * kappa) * norm(sigma)


def operator_change(sigma: list[Floats], kappa: float) -> float:
    """g_w + g_ab + g_wab."""
    d = [moments_change(side, kappa) for side in sigma]
    g_w = max(side[W, W] for side in d)
    g_ab = max(side[A, A] + side[A, B] + side[B, B] for side in d)
    g_wab = kappa * max(
        abs(s[W, A]) + abs(s[W, B]) + side[W, A] + side[W, B]
        for s, side in zip(sigma, d, strict=True)
    )
    return g_w + g_ab + g_wab


def motion_of_neuron(a: float, b: float, w: float, kappa: float) -> Floats:
    """E_i: bound on how far (a, b, w) of a neuron can still move."""
    size = np.abs([a, b, w])
    return kappa * Q @ size + 2.0 * kappa**2 * exp(2.0 * kappa) * max(size)


def neuron_stays(a: float, b: float, w: float, kappa: float) -> bool:
    """|a| - E[a] > |b| + E[b]."""
    motion = motion_of_neuron(a, b, w, kappa)
    return bool(abs(a) - motion[A] > abs(b) + motion[B])
