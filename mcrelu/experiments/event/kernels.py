"""Compiled pass over the neurons of networks, for what the conditions W are about.

As in mcrelu/problems/neuron_sums.py, sums are kept in lanes and added up in a fixed order, so that
they are the same on every CPU.
"""

from __future__ import annotations

import numpy as np

from mcrelu.jit import jit, wide_vectors
from mcrelu.types import Floats

LANES = 16

# Rows of the partial results, LANES numbers each: sums over the neurons with a > 0 and a < 0, then
# extremes.
_AA, _WW, _WA, _AA_LEFT, _WW_LEFT, _WA_LEFT, _MAX_W, _MAX_A, _MIN_A, _ROWS = range(10)
_SUMS = _MAX_W


@jit()
def measure(a: Floats, w: Floats) -> Floats:
    """a, w (m, n) -> (m, 9): aa, ww, wa of either side; max |w|, max |a|, min |a|."""
    m, n = a.shape
    found = np.empty((m, _ROWS))
    rest = np.empty((2, LANES))
    whole = n - n % LANES
    for k in range(m):
        parts = np.zeros(_ROWS * LANES)
        parts[_MIN_A * LANES :] = np.inf
        parts = _with_neurons(parts, a[k], w[k], whole)
        if whole < n:
            # Copies of a neuron change no extreme, and are taken out of the sums again.
            rest[0, :], rest[1, :] = a[k, n - 1], w[k, n - 1]
            rest[0, : n - whole], rest[1, : n - whole] = a[k, whole:], w[k, whole:]
            last = _with_neurons(parts, rest[0], rest[1], LANES)
            for row in range(_SUMS):
                copies = slice(row * LANES + (n - whole), (row + 1) * LANES)
                last[copies] = parts[copies]
            parts = last
        _store(parts.reshape(_ROWS, LANES), found[k])
    return found


@jit()
def _with_neurons(before: Floats, a: Floats, w: Floats, n: int) -> Floats:
    """The partial results with n more neurons, a multiple of LANES, in a new array."""
    wide_vectors()
    parts = before.copy()
    for first in range(0, n, LANES):
        for lane in range(LANES):
            x, y = a[first + lane], w[first + lane]
            right, left = (x if x > 0.0 else 0.0), (x if x < 0.0 else 0.0)
            y_right, y_left = (y if x > 0.0 else 0.0), (y if x < 0.0 else 0.0)
            parts[_AA * LANES + lane] += right * right
            parts[_WW * LANES + lane] += y_right * y_right
            parts[_WA * LANES + lane] += right * y_right
            parts[_AA_LEFT * LANES + lane] += left * left
            parts[_WW_LEFT * LANES + lane] += y_left * y_left
            parts[_WA_LEFT * LANES + lane] += left * y_left
            size_a, size_w = abs(x), abs(y)
            max_w, max_a = parts[_MAX_W * LANES + lane], parts[_MAX_A * LANES + lane]
            min_a = parts[_MIN_A * LANES + lane]
            parts[_MAX_W * LANES + lane] = size_w if size_w > max_w else max_w
            parts[_MAX_A * LANES + lane] = size_a if size_a > max_a else max_a
            parts[_MIN_A * LANES + lane] = size_a if size_a < min_a else min_a
    return parts


@jit()
def _store(parts: Floats, found: Floats) -> None:
    """Add up the lanes of sums, and take the extremes of the others: (rows, LANES) -> (rows)."""
    for row in range(_SUMS):
        found[row] = parts[row].sum()
    found[_MAX_W], found[_MAX_A] = parts[_MAX_W].max(), parts[_MAX_A].max()
    found[_MIN_A] = parts[_MIN_A].min()
