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

from mcrelu.types import Bools, Floats, PointSet, Weights

A, B, W = 0, 1, 2


def side_moments(weights: Weights) -> Floats:
    """Sigma of every network: weights (m, n) -> (m, 2, 3, 3)."""
    theta = np.stack([weights.a, weights.b, weights.w], axis=-1)
    sides = [theta * (sign * weights.a > 0)[..., None] for sign in (1, -1)]
    return np.stack([side.swapaxes(1, 2) @ side for side in sides], axis=1)


def point_sides(x: Floats) -> Bools:
    """Which points lie on which side: (2, D)."""
    return np.stack([x > 0, x < 0])


def data_moments(points: PointSet, p: Floats) -> Floats:
    """M per side: p (m, D) -> (m, 2, 2, 2)."""
    sides = point_sides(points.x).astype(float)
    powers = np.stack([points.x**2, points.x, np.ones_like(points.x)])
    moments = np.einsum("mj,sj,kj->msk", p, sides, powers)
    return moments[..., [[0, 1], [1, 2]]]


def sqrt_moments(moments: Floats) -> Floats:
    """Symmetric square root of 2x2 positive semidefinite matrices, (..., 2, 2) -> (..., 2, 2).

    Closed form (M + sqrt(det M) I) / sqrt(tr M + 2 sqrt(det M)).
    """
    root_det = np.sqrt(np.maximum(_det(moments), 0.0))
    scale = np.sqrt(_trace(moments) + 2.0 * root_det)
    scale = np.where(scale > 0, scale, 1.0)
    return (moments + root_det[..., None, None] * np.eye(2)) / scale[..., None, None]


def pinv_2x2(matrix: Floats) -> Floats:
    """Pseudo-inverse of 2x2 positive semidefinite matrices, (..., 2, 2) -> (..., 2, 2).

    Matrices whose determinant is zero up to rounding count as rank one (or zero).
    """
    det, trace = _det(matrix), _trace(matrix)
    full_rank = det > 1e-13 * trace**2
    adjugate = trace[..., None, None] * np.eye(2) - matrix
    inverse = adjugate / np.where(full_rank, det, 1.0)[..., None, None]
    rank_one = matrix / np.where(trace > 0, trace**2, 1.0)[..., None, None]
    return np.where(full_rank[..., None, None], inverse, rank_one)


def block_diagonal(blocks: Floats) -> Floats:
    """The 4x4 matrix with the two 2x2 blocks: (m, 2, 2, 2) -> (m, 4, 4)."""
    out = np.zeros((len(blocks), 4, 4))
    out[:, :2, :2] = blocks[:, 0]
    out[:, 2:, 2:] = blocks[:, 1]
    return out


def a_ref(sigma: Floats, alpha: float = 0.0) -> Floats:
    """A_ref = C + B G B: how the affine functions react to residuals, (m, 4, 4).

    G = diag(G_+, G_-), G = sigma[(a,b),(a,b)] + sigma[w,w] I; B = [[I, alpha I], [alpha I, I]];
    C is the output bias, which moves both intercepts (paper, eq. (9) and its leaky extension).
    """
    g = sigma[:, :, :2, :2] + sigma[:, :, W, W, None, None] * np.eye(2)
    mix = _mixing(alpha)
    intercepts = np.array([0.0, 1.0, 0.0, 1.0])
    return mix @ block_diagonal(g) @ mix + np.outer(intercepts, intercepts)


def training_matrix(sigma: Floats, moments: Floats, alpha: float = 0.0) -> Floats:
    """The symmetric matrix M^(1/2) A_ref M^(1/2) that has the eigenvalues of A_ref M, (m, 4, 4)."""
    root = block_diagonal(sqrt_moments(moments))
    return root @ a_ref(sigma, alpha) @ root


def inv_lambda_max(weights: Weights, points: PointSet, p: Floats, alpha: float = 0.0) -> Floats:
    """Step size 1 / lambda_max(A_ref M) of each network at initialisation, (m,).

    Networks whose eigenvalues LAPACK cannot find get one over the Frobenius norm (reference 2).
    """
    matrix = training_matrix(side_moments(weights), data_moments(points, p), alpha)
    try:
        return np.asarray(1.0 / np.linalg.eigvalsh(matrix)[:, -1], dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.asarray(1.0 / np.linalg.norm(matrix, axis=(1, 2)), dtype=np.float64)


def v_opt(points: PointSet, p: Floats) -> Floats:
    """Slope and intercept of the optimal affine function per side, (m, 2, 2): M^+ u_hat_0."""
    rhs = u_hat(points, p, np.zeros_like(p))
    return np.einsum("msij,msj->msi", pinv_2x2(data_moments(points, p)), rhs)


def u_hat(points: PointSet, p: Floats, outputs: Floats) -> Floats:
    """Weighted residual sums (sum e_j x_j, sum e_j) per side: outputs (m, D) -> (m, 2, 2).

    Zero outputs give the right-hand side u_hat_0 of the optimal affine functions.
    """
    return side_sums(points.x, p * (points.y - outputs))


def side_sums(x: Floats, e: Floats) -> Floats:
    """(sum e_j x_j, sum e_j) over the points of each side: e (m, D) -> (m, 2, 2)."""
    sides = point_sides(x).astype(float)
    return np.stack([(e * x) @ sides.T, e @ sides.T], axis=-1)


def _mixing(alpha: float) -> Floats:
    return np.kron(np.array([[1.0, alpha], [alpha, 1.0]]), np.eye(2))


def _det(matrix: Floats) -> Floats:
    return np.asarray(matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0])


def _trace(matrix: Floats) -> Floats:
    return np.asarray(matrix[..., 0, 0] + matrix[..., 1, 1])
