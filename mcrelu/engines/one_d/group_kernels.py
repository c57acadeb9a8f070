"""Compiled kernels of the grouped engine, for two-layer ReLU networks in one dimension.

Glossary
--------
group : neurons of one sign of a(0), all with their kink between the innermost points. They see the
    same points, so one step acts on every theta_i = (a_i, b_i, w_i) by the same matrix, and
    theta_i(k) = P theta_i(0). With b(0) = 0 six entries of P matter: aa, aw, ba, bw, wa, ww
side : 0 for the group with a > 0 and the points with x > 0, 1 for the others
t : w_i(0) / a_i(0). The kink of neuron i is at -(P_ba + P_bw t) / (P_aa + P_aw t), monotone in t,
    so the members with the smallest and the largest t (the ends) have the outermost kinks
barrier : where the innermost points are; a member whose kink reaches one leaves its group
leak : slope of the activation on its inactive side, 0 for ReLU
chunk : some steps, after which a network is checked. One in which a member reached the barrier,
    or grew beyond HUGE, goes back to the start of the chunk and is frozen from there on
forcing : step size times p_j (y_j - f(x_j)), minus the derivative of the loss by the output
rows : the layout of a network's numbers below; the lane is the fastest index
"""

from __future__ import annotations

import numpy as np

from mcrelu.engines.one_d.kinks import outward
from mcrelu.jit import fma, jit, wide_vectors
from mcrelu.problems.one_d import Barrier
from mcrelu.types import Counts, Floats

LANES = 32

# A member whose |a| has grown so much leaves its group: products of such numbers overflow where
# the neuron by itself does not.
HUGE = 1e50

# Rows of the moving numbers: P of both sides, then what follows.
P_ROWS = 12
C, KINK_NUMERATOR, KINK_DENOMINATOR, SMALLEST_A, LIVE, DONE = range(12, 18)
ROWS = 18
# Rows of the fixed numbers, of each side: moments aa, aw, ww of (a(0), w(0)) and the ends in t.
FIXED_PER_SIDE = 5
FIXED_ROWS = 2 * FIXED_PER_SIDE
LOW, HIGH = 3, 4
# Rows of the data, of each side and times the step size: the weighted sums over the points of
# x^2, x, 1, x y and y. They say all that training sees of the points, however many there are.
DATA_PER_SIDE = 5
DATA_ROWS = 2 * DATA_PER_SIDE


@jit()
def descend(
    moving: Floats, fixed: Floats, data: Floats, stride: int,
    leak: float, barrier: Barrier, steps: int, chunk: int,
) -> None:  # fmt: skip
    """Steps of gradient descent for all groups of lanes, without loose neurons, in place.

    moving (groups, ROWS * LANES), fixed (groups, FIXED_ROWS * LANES), data (groups, k * DATA_ROWS *
    LANES). ``stride`` is DATA_ROWS * LANES where every step has data of its own (k = steps), and 0
    where all have the same (k = 1). DONE counts the steps of a network until it is frozen
    (LIVE = 0).
    """
    wide_vectors()
    for g in range(len(moving)):
        descend_lanes(moving[g], fixed[g], data[g], stride, leak, barrier, steps, chunk)


# Functions that take arrays are called from the loop over lanes only, not from each other: numba
# would count references there, and LLVM would not vectorise.
@jit()
def descend_lanes(
    p: Floats, s: Floats, data: Floats, stride: int,
    leak: float, barrier: Barrier, steps: int, chunk: int,
) -> None:  # fmt: skip
    """One group of lanes of :func:`descend`."""
    wide_vectors()
    before = np.empty_like(p)
    for start in range(0, steps, chunk):
        before[:] = p
        last = min(start + chunk, steps)
        for k in range(start, last):
            d = data[k * stride :]
            for lane in range(LANES):
                slope_p, intercept_p = _group_function(p, s, 0, lane)
                slope_m, intercept_m = _group_function(p, s, 1, lane)
                c = p[C * LANES + lane]
                slope, intercept = fma(leak, slope_m, slope_p), fma(leak, intercept_m, intercept_p)
                first_p, zeroth_p = _forcing(d, 0, slope, c + intercept, lane)
                slope, intercept = fma(leak, slope_p, slope_m), fma(leak, intercept_p, intercept_m)
                first_m, zeroth_m = _forcing(d, 1, slope, c + intercept, lane)

                p[C * LANES + lane] = c + (zeroth_p + zeroth_m)
                _step_side(p, 0, fma(leak, first_m, first_p), fma(leak, zeroth_m, zeroth_p), lane)
                _step_side(p, 1, fma(leak, first_p, first_m), fma(leak, zeroth_p, zeroth_m), lane)

                b1, a1 = _kink(p, s, 0, LOW, barrier, lane)
                b2, a2 = _kink(p, s, 0, HIGH, barrier, lane)
                b3, a3 = _kink(p, s, 1, LOW, barrier, lane)
                b4, a4 = _kink(p, s, 1, HIGH, barrier, lane)
                smallest = min(p[SMALLEST_A * LANES + lane], a1, a2, a3, a4)
                p[SMALLEST_A * LANES + lane] = smallest
                b1, a1 = _larger(b1, a1, b2, a2)
                b3, a3 = _larger(b3, a3, b4, a4)
                b1, a1 = _larger(b1, a1, b3, a3)
                numerator, denominator = _larger(
                    p[KINK_NUMERATOR * LANES + lane], p[KINK_DENOMINATOR * LANES + lane], b1, a1
                )
                p[KINK_NUMERATOR * LANES + lane] = numerator
                p[KINK_DENOMINATOR * LANES + lane] = denominator
        _check(p, s, before, barrier, last - start)


@jit(inline="always")
def _group_function(p: Floats, s: Floats, side: int, lane: int) -> tuple[float, float]:
    """Sums of w a and of w b over a group: row w of P S P^T."""
    o, q = 6 * side * LANES + lane, FIXED_PER_SIDE * side * LANES + lane
    wa, ww = p[o + 4 * LANES], p[o + 5 * LANES]
    v_a = fma(s[q], wa, s[q + LANES] * ww)
    v_w = fma(s[q + LANES], wa, s[q + 2 * LANES] * ww)
    slope = fma(v_a, p[o], v_w * p[o + LANES])
    intercept = fma(v_a, p[o + 2 * LANES], v_w * p[o + 3 * LANES])
    return slope, intercept


@jit(inline="always")
def _forcing(
    d: Floats, side: int, slope: float, intercept: float, lane: int
) -> tuple[float, float]:
    """Sums of forcing_j x_j and of forcing_j over the points of a side."""
    o = DATA_PER_SIDE * side * LANES + lane
    xx, x, one, xy, y = d[o], d[o + LANES], d[o + 2 * LANES], d[o + 3 * LANES], d[o + 4 * LANES]
    first = fma(-slope, xx, fma(-intercept, x, xy))
    zeroth = fma(-slope, x, fma(-intercept, one, y))
    return first, zeroth


@jit(inline="always")
def _step_side(p: Floats, side: int, slope: float, intercept: float, lane: int) -> None:
    """P <- T P for one side."""
    o = 6 * side * LANES + lane
    aa, aw = p[o], p[o + LANES]
    ba, bw = p[o + 2 * LANES], p[o + 3 * LANES]
    wa, ww = p[o + 4 * LANES], p[o + 5 * LANES]
    p[o] = fma(slope, wa, aa)
    p[o + LANES] = fma(slope, ww, aw)
    p[o + 2 * LANES] = fma(intercept, wa, ba)
    p[o + 3 * LANES] = fma(intercept, ww, bw)
    p[o + 4 * LANES] = fma(slope, aa, fma(intercept, ba, wa))
    p[o + 5 * LANES] = fma(slope, aw, fma(intercept, bw, ww))


@jit(inline="always")
def _kink(
    p: Floats, s: Floats, side: int, end: int, barrier: Barrier, lane: int
) -> tuple[float, float]:
    """How far out the kink of a member at an end is times a, and a, both over a(0)."""
    o, t = 6 * side * LANES + lane, s[(FIXED_PER_SIDE * side + end) * LANES + lane]
    b = fma(p[o + 3 * LANES], t, p[o + 2 * LANES])
    return outward(b, barrier), fma(p[o + LANES], t, p[o])


@jit(inline="always")
def _larger(b1: float, a1: float, b2: float, a2: float) -> tuple[float, float]:
    """The larger of two fractions with positive denominators."""
    second = b2 * a1 > b1 * a2
    return (b2 if second else b1), (a2 if second else a1)


@jit()
def _check(p: Floats, s: Floats, before: Floats, barrier: Barrier, steps: int) -> None:
    """After a chunk: count its steps, or take them back. NaN fails, too."""
    for lane in range(LANES):
        inside = p[KINK_NUMERATOR * LANES + lane] < p[KINK_DENOMINATOR * LANES + lane]
        total = 0.0
        for side in range(2):
            _, low = _kink(p, s, side, LOW, barrier, lane)
            _, high = _kink(p, s, side, HIGH, barrier, lane)
            total += low + high
        ordinary = p[SMALLEST_A * LANES + lane] > 0.0 and inside and total < HUGE
        if ordinary and p[LIVE * LANES + lane] > 0.0:
            p[DONE * LANES + lane] += steps
        else:
            for row in range(ROWS):
                p[row * LANES + lane] = before[row * LANES + lane]
            p[LIVE * LANES + lane] = 0.0


@jit()
def minibatch_data(counts: Counts, step_size: Floats, size: float, x: Floats, y: Floats) -> Floats:
    """The data of every step for one group of lanes, (steps * DATA_ROWS * LANES).

    counts (steps, D, LANES) are how often each point stands in the minibatch of ``size``;
    step_size (LANES,), x and y (D,).
    """
    wide_vectors()
    steps, points, _ = counts.shape
    data = np.zeros(steps * DATA_ROWS * LANES)
    for k in range(steps):
        for j in range(points):
            o = (k * DATA_ROWS + (0 if x[j] > 0.0 else DATA_PER_SIDE)) * LANES
            for lane in range(LANES):
                weight = counts[k, j, lane] * (step_size[lane] / size)
                data[o + lane] += weight * (x[j] * x[j])
                data[o + LANES + lane] += weight * x[j]
                data[o + 2 * LANES + lane] += weight
                data[o + 3 * LANES + lane] += weight * (x[j] * y[j])
                data[o + 4 * LANES + lane] += weight * y[j]
    return data


@jit()
def group_outputs(p: Floats, s: Floats, c: Floats, x: Floats, leak: float) -> Floats:
    """Outputs (m, D) of the groups and the output bias: P (m, 2, 6), S (m, 2, 3), c (m), x (D)."""
    m = len(p)
    outputs = np.empty((m, len(x)))
    slope, intercept = np.empty(2), np.empty(2)
    for k in range(m):
        for side in range(2):
            aa, aw, bb, bw, wa, ww = p[k, side]
            v_a = s[k, side, 0] * wa + s[k, side, 1] * ww
            v_w = s[k, side, 1] * wa + s[k, side, 2] * ww
            slope[side], intercept[side] = v_a * aa + v_w * aw, v_a * bb + v_w * bw
        for j in range(len(x)):
            own = 0 if x[j] > 0.0 else 1
            steepness = slope[own] + leak * slope[1 - own]
            outputs[k, j] = c[k] + steepness * x[j] + (intercept[own] + leak * intercept[1 - own])
    return outputs


@jit()
def group_moments(p: Floats, s: Floats) -> Floats:
    """Sigma (m, 2, 3, 3) of the groups, P S P^T: P (m, 2, 6), S (m, 2, 3)."""
    m = len(p)
    sigma = np.empty((m, 2, 3, 3))
    for k in range(m):
        for side in range(2):
            aa, aw, ww = s[k, side]
            for i in range(3):
                on_a, on_w = p[k, side, 2 * i], p[k, side, 2 * i + 1]
                for j in range(i + 1):
                    to_a, to_w = p[k, side, 2 * j], p[k, side, 2 * j + 1]
                    value = aa * (on_a * to_a) + aw * (on_a * to_w + on_w * to_a)
                    sigma[k, side, i, j] = sigma[k, side, j, i] = value + ww * (on_w * to_w)
    return sigma
