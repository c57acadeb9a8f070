"""Compiled forms of theory/sigma.py, whose glossary holds here.

Every function takes and gives C-contiguous float64 arrays.
"""

from __future__ import annotations

import numpy as np

from mcrelu.jit import jit
from mcrelu.types import Floats


@jit()
def data_moments(x: Floats, p: Floats) -> Floats:
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
def side_sums(x: Floats, e: Floats) -> Floats:
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
def a_ref(sigma: Floats, alpha: float) -> Floats:
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
def training_matrix(a_ref: Floats, roots: Floats) -> Floats:
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
