"""Second moments of the neurons and the linear dynamics of the two affine functions.

While no kink crosses a data point, the network is one affine function left of zero and one right
of it, and training moves their slopes and intercepts linearly (paper, section 4).

Glossary
--------
side : 0 for the neurons with a_i > 0 and the points with x_j > 0, 1 for the negative ones
theta_i : (a_i, b_i, w_i), in this order everywhere
sigma : (m, 2, 3, 3), per side sum_i theta_i theta_i^T
M : (m, 2, 2, 2), per side the weighted moments [[sum p x^2, sum p x], [sum p x, sum p]]
A_ref : (m, 4, 4), coordinates (slope+, intercept+, slope-, intercept-)
u_hat : (m, 2, 2), per side (sum e_j x_j, sum e_j) of the weighted residuals e_j
alpha : slope of the leaky ReLU on the inactive side, 0 for ReLU
"""

from __future__ import annotations

import numpy as np

from mcrelu.problems.one_d import InitialWeights
from mcrelu.theory import matrices
from mcrelu.theory import sigma_kernels as kernels
from mcrelu.types import Bools, Floats, PointSet

A, B, W = 0, 1, 2


def point_sides(x: Floats) -> Bools:
    """Which points lie on which side: (2, D)."""
    return np.stack([x > 0, x < 0])


def data_moments(points: PointSet, p: Floats) -> Floats:
    """M per side: p (m, D) -> (m, 2, 2, 2)."""
    return kernels.data_moments(points.x, p)


def a_ref(sigma: Floats, alpha: float = 0.0) -> Floats:
    """A_ref = C + B G B: how the affine functions react to residuals, (m, 4, 4).

    G = diag(G_+, G_-), G = sigma[(a,b),(a,b)] + sigma[w,w] I; B = [[I, alpha I], [alpha I, I]];
    C is the output bias, which moves both intercepts.
    """
    return kernels.a_ref(sigma, alpha)


def training_matrix(sigma: Floats, moments: Floats, alpha: float = 0.0) -> Floats:
    """The symmetric matrix M^(1/2) A_ref M^(1/2) that has the eigenvalues of A_ref M, (m, 4, 4)."""
    roots = matrices.sqrt_2x2(moments.reshape(-1, 2, 2)).reshape(moments.shape)
    return kernels.training_matrix(a_ref(sigma, alpha), roots)


def inv_lambda_max(
    weights: InitialWeights, points: PointSet, p: Floats, alpha: float = 0.0
) -> Floats:
    """Step size 1 / lambda_max(A_ref M) of each network at initialisation, (m,).

    Where no eigenvalue can be found (overflow) it is one over the Frobenius norm.
    """
    matrix = training_matrix(weights.sums.sigma, data_moments(points, p), alpha)
    eigenvalues, _ = matrices.eigh_4x4(matrix)
    largest = eigenvalues.max(axis=1)
    norm = np.sqrt((matrix**2).sum(axis=(1, 2)))
    return 1.0 / np.where(np.isfinite(largest), largest, norm)


def u_hat(points: PointSet, p: Floats, outputs: Floats) -> Floats:
    """Weighted residual sums (sum e_j x_j, sum e_j) per side: outputs (m, D) -> (m, 2, 2).

    Zero outputs give the right-hand side u_hat_0 of the optimal affine functions.
    """
    return kernels.side_sums(points.x, p * (points.y - outputs))
