"""Compiled forms of theory/sigma.py and theory/criterion.py, over batches of small matrices.

No BLAS and no LAPACK: their sums and rotations depend on the kind of CPU, these do not. The symbols
are those of the two modules; every function takes and gives C-contiguous float64 arrays.

Glossary
--------
m : number of networks
lane : one of LANES networks whose matrices are rotated in lockstep, see engines/kernels.py
"""

from __future__ import annotations

from math import exp, sqrt

import numpy as np

from mcrelu.jit import jit

LANES = 16
SWEEPS = 5  # of Jacobi rotations: 4x4 matrices of any spread are then diagonal to rounding
RANK_TOLERANCE = 1e-13  # det / trace^2 below this is zero up to rounding


@jit()
def side_moments(a, b, w):
    """Sigma: a, b, w (m, n) -> (m, 2, 3, 3)."""
    m, n = a.shape
    sigma = np.zeros((m, 2, 3, 3))
    for k in range(m):
        for i in range(n):
            if a[k, i] != 0.0:
                theta = (a[k, i], b[k, i], w[k, i])
                side = sigma[k, 0 if a[k, i] > 0.0 else 1]
                for r in range(3):
                    for s in range(3):
                        side[r, s] += theta[r] * theta[s]
    return sigma


@jit()
def data_moments(x, p):
    """M per side: x (D), p (m, D) -> (m, 2, 2, 2)."""
    m = len(p)
    moments = np.zeros((m, 2, 2, 2))
    for k in range(m):
        for j in range(len(x)):
            side = moments[k, 0 if x[j] > 0.0 else 1]
            side[0, 0] += p[k, j] * x[j] * x[j]
            side[0, 1] += p[k, j] * x[j]
            side[1, 1] += p[k, j]
        for s in range(2):
            moments[k, s, 1, 0] = moments[k, s, 0, 1]
    return moments


@jit()
def side_sums(x, e):
    """(sum e_j x_j, sum e_j) per side: x (D), e (m, D) -> (m, 2, 2)."""
    m = len(e)
    sums = np.zeros((m, 2, 2))
    for k in range(m):
        for j in range(len(x)):
            side = 0 if x[j] > 0.0 else 1
            sums[k, side, 0] += e[k, j] * x[j]
            sums[k, side, 1] += e[k, j]
    return sums


@jit()
def sqrt_2x2(matrix):
    """Symmetric square roots: (m, 2, 2) -> (m, 2, 2)."""
    root = np.empty_like(matrix)
    for k in range(len(matrix)):
        a, b, d = matrix[k, 0, 0], matrix[k, 0, 1], matrix[k, 1, 1]
        det, trace = a * d - b * b, a + d
        # A determinant that is only rounding would have a root that is not.
        root_det = sqrt(det) if det > RANK_TOLERANCE * trace * trace else 0.0
        scale = sqrt(trace + 2.0 * root_det)
        inverse = 1.0 / scale if scale > 0.0 else 0.0
        root[k, 0, 0] = (a + root_det) * inverse
        root[k, 0, 1] = root[k, 1, 0] = b * inverse
        root[k, 1, 1] = (d + root_det) * inverse
    return root


@jit()
def pinv_2x2(matrix):
    """Pseudo-inverses of positive semidefinite matrices: (m, 2, 2) -> (m, 2, 2)."""
    inverse = np.empty_like(matrix)
    for k in range(len(matrix)):
        a, b, d = matrix[k, 0, 0], matrix[k, 0, 1], matrix[k, 1, 1]
        det, trace = a * d - b * b, a + d
        if det > RANK_TOLERANCE * trace * trace:
            inverse[k, 0, 0], inverse[k, 1, 1] = d / det, a / det
            inverse[k, 0, 1] = inverse[k, 1, 0] = -b / det
        else:  # rank one: the inverse of its one eigenvalue, the trace, twice over
            scale = 1.0 / (trace * trace) if trace > 0.0 else 0.0
            inverse[k] = matrix[k] * scale
    return inverse


@jit()
def training_matrix(a_ref, roots):
    """M^(1/2) A_ref M^(1/2): a_ref (m, 4, 4), roots (m, 2, 2, 2) -> (m, 4, 4)."""
    m = len(a_ref)
    product = np.empty((m, 4, 4))
    half = np.empty((4, 4))
    for k in range(m):
        for i in range(4):
            for j in range(4):
                root, row = roots[k, i // 2, i % 2], i // 2 * 2
                half[i, j] = root[0] * a_ref[k, row, j] + root[1] * a_ref[k, row + 1, j]
        for i in range(4):
            for j in range(4):
                root, column = roots[k, j // 2, j % 2], j // 2 * 2
                product[k, i, j] = half[i, column] * root[0] + half[i, column + 1] * root[1]
    return product


@jit()
def a_ref(sigma, alpha):
    """A_ref = C + B G B: sigma (m, 2, 3, 3) -> (m, 4, 4)."""
    m = len(sigma)
    matrix = np.zeros((m, 4, 4))
    for k in range(m):
        for i in range(2):
            for j in range(2):
                ww = 1.0 if i == j else 0.0
                plus = sigma[k, 0, i, j] + ww * sigma[k, 0, 2, 2]
                minus = sigma[k, 1, i, j] + ww * sigma[k, 1, 2, 2]
                bias = 1.0 if i == 1 and j == 1 else 0.0
                matrix[k, i, j] = plus + alpha * alpha * minus + bias
                matrix[k, 2 + i, 2 + j] = alpha * alpha * plus + minus + bias
                cross = alpha * (plus + minus) + bias
                matrix[k, i, 2 + j] = matrix[k, 2 + i, j] = cross
    return matrix


@jit()
def eigh_4x4(matrix):
    """Eigenvalues (m, 4), ascending, and eigenvectors (m, 4, 4) in columns, by cyclic Jacobi.

    All networks get the same number of sweeps, so none depends on its neighbours.
    """
    m = len(matrix)
    values, vectors = np.empty((m, 4)), np.empty((m, 4, 4))
    a, v = np.empty(16 * LANES), np.empty(16 * LANES)
    cosine, sine = np.empty(LANES), np.empty(LANES)
    for first in range(0, m, LANES):
        filled = min(LANES, m - first)
        _load(a, v, matrix[first : first + filled])
        for _ in range(SWEEPS):
            for p in range(3):
                for q in range(p + 1, 4):
                    _rotate(a, v, p, q, cosine, sine)
        for lane in range(filled):
            _store(a[lane::LANES], v[lane::LANES], values[first + lane], vectors[first + lane])
    return values, vectors


@jit()
def _load(a, v, matrix):
    """Matrices (k, 4, 4) into the first k lanes of ``a``, the identity into all of ``v``."""
    a[:] = 0.0
    v[:] = 0.0
    for lane in range(len(matrix)):
        a[lane::LANES] = matrix[lane].ravel()
    for i in range(4):
        v[5 * i * LANES : (5 * i + 1) * LANES] = 1.0


@jit()
def _store(a, v, values, vectors):
    """The diagonal of a (16) and the columns of v (16) of one lane, eigenvalues ascending."""
    for i in range(4):
        rank = 0
        for j in range(4):
            rank += a[5 * j] < a[5 * i] or (a[5 * j] == a[5 * i] and j < i)
        values[rank] = a[5 * i]
        for j in range(4):
            vectors[j, rank] = v[4 * j + i]


@jit()
def _rotate(a, v, p, q, cosine, sine):
    """One Jacobi rotation in the plane (p, q) of every lane (Golub and Van Loan, section 8.5)."""
    pp, qq, pq = 5 * p * LANES, 5 * q * LANES, (4 * p + q) * LANES
    for lane in range(LANES):
        off = a[pq + lane]
        theta = (a[qq + lane] - a[pp + lane]) / (2.0 * off if off != 0.0 else 1.0)
        size = 1.0 / (abs(theta) + sqrt(theta * theta + 1.0))
        tangent = 0.0 if off == 0.0 else (size if theta >= 0.0 else -size)
        cosine[lane] = 1.0 / sqrt(tangent * tangent + 1.0)
        sine[lane] = tangent * cosine[lane]
    for i in range(4):
        _mix(a, (4 * i + p) * LANES, (4 * i + q) * LANES, cosine, sine)
        _mix(v, (4 * i + p) * LANES, (4 * i + q) * LANES, cosine, sine)
    for i in range(4):
        _mix(a, (4 * p + i) * LANES, (4 * q + i) * LANES, cosine, sine)


@jit()
def _mix(a, p, q, cosine, sine):
    """Rotate the entries at p and q of every lane."""
    for lane in range(LANES):
        left, right = a[p + lane], a[q + lane]
        a[p + lane] = cosine[lane] * left - sine[lane] * right
        a[q + lane] = sine[lane] * left + cosine[lane] * right


@jit()
def residual_sum(mu, vectors, psi, step_size, published):
    """S_psi: mu (m, 4), vectors (m, 4, 4), psi (m, 4), step_size (m) -> (m)."""
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
def operator_sum(mu, step_size):
    """S: mu (m, 4), step_size (m) -> (m); not positive where some |mu| >= 1."""
    m = len(mu)
    total = np.empty(m)
    for k in range(m):
        slowest = 0.0
        for i in range(4):
            slowest = max(slowest, abs(mu[k, i]))
        total[k] = 2.0 * step_size[k] / (1.0 - slowest)
    return total


@jit()
def sigma_change(sigma, kappa):
    """D: sigma (m, 2, 3, 3), kappa (m) -> (m, 2, 3, 3)."""
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
def operator_change(sigma, change, kappa):
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
def largest_row(matrix):
    """Largest absolute row sum of both blocks: (m, 2, 2, 2) -> (m)."""
    m = len(matrix)
    largest = np.zeros(m)
    for k in range(m):
        for s in range(2):
            for i in range(2):
                row = abs(matrix[k, s, i, 0]) + abs(matrix[k, s, i, 1])
                largest[k] = max(largest[k], row)
    return largest


@jit()
def apply_2x2(matrix, vector):
    """Products of both blocks: (m, 2, 2, 2), (m, 2, 2) -> (m, 2, 2)."""
    product = np.empty_like(vector)
    for k in range(len(vector)):
        for s in range(2):
            for i in range(2):
                row = matrix[k, s, i]
                product[k, s, i] = row[0] * vector[k, s, 0] + row[1] * vector[k, s, 1]
    return product


@jit()
def motion_bound(sigma, moments, u_hat, step_size, alpha, published):
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
    return (s > 0.0) & (kappa < 0.5) & (delta <= 0.5), kappa


@jit()
def neurons_stay(a, b, w, kappa):
    """Whether every neuron keeps its kink between the data points: a, b, w (m, n) -> (m)."""
    m, n = a.shape
    stay = np.ones(m, dtype=np.bool_)
    for k in range(m):
        second_order = 2.0 * kappa[k] * kappa[k] * exp(2.0 * kappa[k])
        for i in range(n):
            size_a, size_b, size_w = abs(a[k, i]), abs(b[k, i]), abs(w[k, i])
            # Q maps (a, b, w) to (w, w, a + b): a and b have the same bound
            motion = kappa[k] * size_w + second_order * max(size_a, size_b, size_w)
            if not size_a - motion > size_b + motion:
                stay[k] = False
                break
    return stay
