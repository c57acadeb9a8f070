"""Compiled linear algebra of many small symmetric matrices.

No BLAS and no LAPACK: their sums and rotations depend on the kind of CPU, these do not. Every
function takes and gives C-contiguous float64 arrays.

Glossary
--------
m : number of matrices, or of networks
lane : one of LANES matrices that are rotated in lockstep, the lane being the fastest index
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from mcrelu.jit import jit
from mcrelu.types import Floats

LANES = 16
SWEEPS = 5  # of Jacobi rotations: 4x4 matrices of any spread are then diagonal to rounding
RANK_TOLERANCE = 1e-13  # det / trace^2 below this is zero up to rounding


@jit()
def sqrt_2x2(matrix: Floats) -> Floats:
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
def pinv_2x2(matrix: Floats) -> Floats:
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
def apply_2x2(matrix: Floats, vector: Floats) -> Floats:
    """Products of both blocks: (m, 2, 2, 2), (m, 2, 2) -> (m, 2, 2)."""
    product = np.empty_like(vector)
    for k in range(len(vector)):
        for s in range(2):
            for i in range(2):
                row = matrix[k, s, i]
                product[k, s, i] = row[0] * vector[k, s, 0] + row[1] * vector[k, s, 1]
    return product


@jit()
def largest_row(matrix: Floats) -> Floats:
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
def eigh_4x4(matrix: Floats) -> tuple[Floats, Floats]:
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
def _load(a: Floats, v: Floats, matrix: Floats) -> None:
    """Matrices (k, 4, 4) into the first k lanes of ``a``, the identity into all of ``v``."""
    a[:] = 0.0
    v[:] = 0.0
    for lane in range(len(matrix)):
        a[lane::LANES] = matrix[lane].ravel()
    for i in range(4):
        v[5 * i * LANES : (5 * i + 1) * LANES] = 1.0


@jit()
def _store(a: Floats, v: Floats, values: Floats, vectors: Floats) -> None:
    """The diagonal of a (16) and the columns of v (16) of one lane, eigenvalues ascending."""
    for i in range(4):
        rank = 0
        for j in range(4):
            rank += a[5 * j] < a[5 * i] or (a[5 * j] == a[5 * i] and j < i)
        values[rank] = a[5 * i]
        for j in range(4):
            vectors[j, rank] = v[4 * j + i]


@jit()
def _rotate(a: Floats, v: Floats, p: int, q: int, cosine: Floats, sine: Floats) -> None:
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
def _mix(a: Floats, p: int, q: int, cosine: Floats, sine: Floats) -> None:
    """Rotate the entries at p and q of every lane."""
    for lane in range(LANES):
        left, right = a[p + lane], a[q + lane]
        a[p + lane] = cosine[lane] * left - sine[lane] * right
        a[q + lane] = sine[lane] * left + cosine[lane] * right
