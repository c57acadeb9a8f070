"""What the dynamics in groups needs to know of all neurons of a network, in one pass over them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.jit import jit, wide_vectors
from mcrelu.types import Bools, Floats

LANES = 16  # partial sums of everything, added up in a fixed order

# Rows of a side's partial sums, LANES numbers each
_AA, _AW, _WW, _COUNT, _LOW, _HIGH, _AB, _BB, _BW, _ROWS = range(10)
_SIDE = _ROWS * LANES


class NeuronSums(NamedTuple):
    """Sums and extremes over the neurons of m networks; side 0 has a > 0, side 1 a < 0."""

    sigma: Floats  # (m, 2, 3, 3), per side sum_i theta_i theta_i^T with theta = (a, b, w)
    ends: Floats  # (m, 2, 2), per side smallest and largest w / a; inf and -inf if there is none
    in_two_groups: Bools  # (m,) whether all b are 0, no a is, and both signs occur
    c: Floats  # (m,) output biases


def neuron_sums(a: Floats, b: Floats, c: Floats, w: Floats) -> NeuronSums:
    """The sums of networks with parameters a, b, w (m, n) and c (m,)."""
    a, w, b = (np.ascontiguousarray(part) for part in (a, w, b))
    return NeuronSums(*_sum_neurons(a, w, b, 1.0, 1.0), np.array(c))


def scaled_sums(a: Floats, w: Floats, a_scale: float, w_scale: float) -> NeuronSums:
    """The sums of networks with parameters a_scale a and w_scale w (m, n), and no biases."""
    m = len(a)
    return NeuronSums(*_sum_neurons(a, w, np.empty((m, 0)), a_scale, w_scale), np.zeros(m))


def joined(parts: list[NeuronSums]) -> NeuronSums:
    """The sums of the networks of several batches, at least one, one after the other."""
    sigma, ends, grouped, c = zip(*parts, strict=True)
    return NeuronSums(*map(np.concatenate, (sigma, ends, grouped, c)))


@jit()
def _sum_neurons(
    a: Floats, w: Floats, b: Floats, a_scale: float, w_scale: float
) -> tuple[Floats, Floats, Bools]:
    """Sigma (m, 2, 3, 3), ends (m, 2, 2) and whether in two groups (m).

    a, w (m, n); b (m, n), or (m, 0) where there are no biases, which are not scaled.
    """
    m, n = a.shape
    sigma, ends, grouped = np.zeros((m, 2, 3, 3)), np.empty((m, 2, 2)), np.empty(m, dtype=np.bool_)
    rest = np.empty((2, LANES))
    whole = n - n % LANES
    for k in range(m):
        sums = _new_sums()
        sums = with_neurons(sums, a[k], w[k], a_scale, w_scale, whole)
        if whole < n:
            rest[:] = 0.0  # neurons with a = 0 are on no side
            rest[0, : n - whole], rest[1, : n - whole] = a[k, whole:], w[k, whole:]
            sums = with_neurons(sums, rest[0], rest[1], a_scale, w_scale, LANES)
        biased = np.any(b[k] != 0.0)
        if biased:
            _add_biases(sums, a[k], b[k], w[k])
        for side in range(2):
            own = sums[side * _SIDE : (side + 1) * _SIDE].reshape(_ROWS, LANES)
            _store(own, sigma[k, side], ends[k, side])
        count = sums.reshape(2, _ROWS, LANES)[:, _COUNT].sum(axis=1)
        grouped[k] = not biased and count.min() > 0.0 and count.sum() == n
    return sigma, ends, grouped


@jit()
def _new_sums() -> Floats:
    sums = np.zeros((2, _ROWS, LANES))
    sums[:, _LOW], sums[:, _HIGH] = np.inf, -np.inf
    return sums.ravel()


@jit()
def with_neurons(
    before: Floats, a: Floats, w: Floats, a_scale: float, w_scale: float, n: int
) -> Floats:
    """The sums of both sides with n more neurons, a multiple of LANES.

    In a new array, which LLVM knows to be apart from a and w; otherwise it would not vectorise.
    """
    wide_vectors()
    sums = before.copy()
    for first in range(0, n, LANES):
        for lane in range(LANES):
            x, y = a_scale * a[first + lane], w_scale * w[first + lane]
            ratio = y / x
            _add(sums, lane, x, y, ratio, x > 0.0)
            _add(sums, _SIDE + lane, x, y, ratio, x < 0.0)
    return sums


@jit(inline="always")
def _add(sums: Floats, lane: int, a: float, w: float, ratio: float, own: bool) -> None:
    """Add a neuron where it is of the side's own."""
    a_own, w_own = a if own else 0.0, w if own else 0.0
    low, high = ratio if own else np.inf, ratio if own else -np.inf
    low_before, high_before = sums[_LOW * LANES + lane], sums[_HIGH * LANES + lane]
    sums[_AA * LANES + lane] += a_own * a_own
    sums[_AW * LANES + lane] += a_own * w_own
    sums[_WW * LANES + lane] += w_own * w_own
    sums[_COUNT * LANES + lane] += 1.0 if own else 0.0
    sums[_LOW * LANES + lane] = low if low < low_before else low_before
    sums[_HIGH * LANES + lane] = high if high > high_before else high_before


@jit()
def _add_biases(sums: Floats, a: Floats, b: Floats, w: Floats) -> None:
    """Add the moments with b of all neurons."""
    for i in range(len(a)):
        if a[i] != 0.0:
            lane = (0 if a[i] > 0.0 else _SIDE) + i % LANES
            sums[_AB * LANES + lane] += a[i] * b[i]
            sums[_BB * LANES + lane] += b[i] * b[i]
            sums[_BW * LANES + lane] += b[i] * w[i]


@jit()
def _store(sums: Floats, sigma: Floats, ends: Floats) -> None:
    """Add up the lanes of a side, (rows, LANES), into sigma (3, 3) and ends (2)."""
    sigma[0, 0], sigma[1, 1], sigma[2, 2] = sums[_AA].sum(), sums[_BB].sum(), sums[_WW].sum()
    sigma[0, 1] = sigma[1, 0] = sums[_AB].sum()
    sigma[0, 2] = sigma[2, 0] = sums[_AW].sum()
    sigma[1, 2] = sigma[2, 1] = sums[_BW].sum()
    ends[0], ends[1] = sums[_LOW].min(), sums[_HIGH].max()
