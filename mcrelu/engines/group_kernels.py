"""Compiled kernels of the grouped engine, for two-layer ReLU networks in one dimension.

Glossary
--------
group : neurons of one sign of a(0), all with their kink between the innermost points. They see the
    same points, so one step acts on every theta_i = (a_i, b_i, w_i) by the same matrix, and
    theta_i(k) = P theta_i(0). With b(0) = 0 six entries of P matter: aa, aw, ba, bw, wa, ww
t : w_i(0) / a_i(0). The kink of neuron i is at -(P_ba + P_bw t) / (P_aa + P_aw t), monotone in t,
    so the members with the smallest and the largest t (the ends) have the outermost kinks
barrier : min |x|; a member whose |b| reaches barrier |a| leaves its group
loose : a neuron that left its group (or never was in one) and is trained by itself
rows : the layout of a network's numbers below; the lane is the fastest index
"""

from __future__ import annotations

import numpy as np

from mcrelu.jit import fma, jit

LANES = 32

# A member whose |a| has grown so much leaves its group: products of such numbers overflow where
# the neuron by itself does not.
HUGE = 1e50

# Rows of the moving numbers: P of both sides, then what follows.
P_ROWS = 12
C, KINK_NUMERATOR, KINK_DENOMINATOR, LIVE, DONE = range(12, 17)
ROWS = 17
# Rows of the fixed numbers: of each side the moments aa, aw, ww of (a(0), w(0)) and the ends in t.
FIXED_ROWS = 10


@jit(inline="always")
def _side_pull(slope, intercept, x, y, weights, o, lane):
    """Weighted sums of x_j r_j and r_j over the points of a side, r the negative residuals."""
    first, zeroth = 0.0, 0.0
    for j in range(len(x)):
        r = weights[(o + j) * LANES + lane] * (y[j] - fma(slope, x[j], intercept))
        first = fma(r, x[j], first)
        zeroth += r
    return first, zeroth


@jit(inline="always")
def _affine(p, s, side, c, lane):
    """Slope and intercept of the network on a side: row w of P S P^T, and the output bias."""
    o, q = 6 * side * LANES + lane, 5 * side * LANES + lane
    wa, ww = p[o + 4 * LANES], p[o + 5 * LANES]
    v_a = fma(s[q], wa, s[q + LANES] * ww)
    v_w = fma(s[q + LANES], wa, s[q + 2 * LANES] * ww)
    slope = fma(v_a, p[o], v_w * p[o + LANES])
    intercept = fma(v_a, p[o + 2 * LANES], fma(v_w, p[o + 3 * LANES], c))
    return slope, intercept


@jit(inline="always")
def _step_side(p, side, slope, intercept, lane):
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
def _kink(p, side, t, lane):
    """|b| and a, both over a(0), of a member."""
    o = 6 * side * LANES + lane
    b = fma(p[o + 3 * LANES], t, p[o + 2 * LANES])
    return abs(b), fma(p[o + LANES], t, p[o])


@jit(inline="always")
def _larger(b1, a1, b2, a2):
    """The larger of two fractions with positive denominators."""
    second = b2 * a1 > b1 * a2
    return (b2 if second else b1), (a2 if second else a1)


@jit()
def descend(p, s, weights, stride, x_plus, y_plus, x_minus, y_minus, barrier, steps):
    """Steps of gradient descent for LANES networks without loose neurons, in place.

    p (ROWS, LANES), s (FIXED_ROWS, LANES) and weights (steps, D, LANES), flat; points of the plus
    side come first. ``stride`` is D * LANES, or 0 where all steps have the same weights. A network
    stands still (LIVE = 0) after the step that takes a member to the barrier; DONE counts the steps
    before it.
    """
    points_plus = len(x_plus)
    for k in range(steps):
        o = k * stride // LANES
        for lane in range(LANES):
            live, c = p[LIVE * LANES + lane], p[C * LANES + lane]
            slope, intercept = _affine(p, s, 0, c, lane)
            first_p, zeroth_p = _side_pull(slope, intercept, x_plus, y_plus, weights, o, lane)
            slope, intercept = _affine(p, s, 1, c, lane)
            first_m, zeroth_m = _side_pull(
                slope, intercept, x_minus, y_minus, weights, o + points_plus, lane
            )
            # Chosen, not multiplied: what a network that stands still pulls may be infinite.
            moves = live > 0.0
            p[C * LANES + lane] = c + (zeroth_p + zeroth_m if moves else 0.0)
            _step_side(p, 0, first_p if moves else 0.0, zeroth_p if moves else 0.0, lane)
            _step_side(p, 1, first_m if moves else 0.0, zeroth_m if moves else 0.0, lane)

            b1, a1 = _kink(p, 0, s[3 * LANES + lane], lane)
            b2, a2 = _kink(p, 0, s[4 * LANES + lane], lane)
            b3, a3 = _kink(p, 1, s[8 * LANES + lane], lane)
            b4, a4 = _kink(p, 1, s[9 * LANES + lane], lane)
            room = fma(a1, barrier, -b1)
            room = min(room, fma(a2, barrier, -b2))
            room = min(room, fma(a3, barrier, -b3))
            room = min(room, fma(a4, barrier, -b4))
            live = live if room > 0.0 and a1 + a2 + a3 + a4 < HUGE else 0.0
            p[LIVE * LANES + lane] = live
            p[DONE * LANES + lane] += live

            b1, a1 = _larger(b1, a1, b2, a2)
            b3, a3 = _larger(b3, a3, b4, a4)
            b1, a1 = _larger(b1, a1, b3, a3)
            numerator, denominator = _larger(
                p[KINK_NUMERATOR * LANES + lane], p[KINK_DENOMINATOR * LANES + lane], b1 * live, a1
            )
            p[KINK_NUMERATOR * LANES + lane] = numerator
            p[KINK_DENOMINATOR * LANES + lane] = denominator


@jit()
def descend_loose(
    p, s, c, kink, crossing, order, spans, a0, w0, loose, index, count,
    weights, x, y, barrier, first, steps,
):  # fmt: skip
    """Steps of one network with loose neurons, in place; exact, at O(loose neurons) a step.

    Parameters
    ----------
    p : (2, 6), s : (2, 3), c : (1,)
        P and moments of both sides, output bias.
    kink : (1,), crossing : (1,)
        Running maximum of |b/a| and the step of the first crossing (0: none yet).
    order : (n,), spans : (2, 2)
        Neurons sorted by t, side by side; ``order[spans[side, 0]:spans[side, 1]]`` are members.
    loose : (3, n), index : (n,), count : (1,)
        a, b, w of the loose neurons, and which neurons they are.
    weights : (steps or 1, D)
        Step size times weight of the points.
    first : number of the first step.
    """
    pull = np.empty(len(x))
    for k in range(steps):
        row = weights[k] if len(weights) > 1 else weights[0]
        _pull(pull, p, s, c[0], loose, count[0], row, x, y)
        for side in range(2):
            slope, intercept = 0.0, 0.0
            for j in range(len(x)):
                if (x[j] > 0.0) == (side == 0):
                    slope += pull[j] * x[j]
                    intercept += pull[j]
            if spans[side, 0] < spans[side, 1]:  # nobody's P could overflow unseen
                _multiply(p[side], slope, intercept)
        for i in range(count[0]):
            _step_neuron(loose[:, i], pull, x)
        for j in range(len(x)):
            c[0] += pull[j]
        step = first + k
        settle(p, s, kink, crossing, order, spans, a0, w0, loose, index, count, barrier, step)


@jit()
def _pull(pull, p, s, c, loose, count, weights, x, y):
    """Weight times negative residual of every point."""
    for j in range(len(x)):
        side = 0 if x[j] > 0.0 else 1
        q, m = p[side], s[side]
        v_a, v_w = m[0] * q[4] + m[1] * q[5], m[1] * q[4] + m[2] * q[5]
        output = c + (v_a * q[0] + v_w * q[1]) * x[j] + (v_a * q[2] + v_w * q[3])
        for i in range(count):
            z = loose[0, i] * x[j] + loose[1, i]
            if z >= 0.0:
                output += loose[2, i] * z
        pull[j] = weights[j] * (y[j] - output)


@jit()
def _multiply(q, slope, intercept):
    """P <- T P: the six numbers of one side."""
    aa, aw, ba, bw, wa, ww = q[0], q[1], q[2], q[3], q[4], q[5]
    q[0], q[1] = aa + slope * wa, aw + slope * ww
    q[2], q[3] = ba + intercept * wa, bw + intercept * ww
    q[4] = wa + (slope * aa + intercept * ba)
    q[5] = ww + (slope * aw + intercept * bw)


@jit()
def _step_neuron(theta, pull, x):
    """One step of a single neuron theta = (a, b, w)."""
    a, b, w = theta[0], theta[1], theta[2]
    slope, intercept = 0.0, 0.0
    for j in range(len(x)):
        if a * x[j] + b >= 0.0:
            slope += pull[j] * x[j]
            intercept += pull[j]
    theta[0] = a + w * slope
    theta[1] = b + w * intercept
    theta[2] = w + (a * slope + b * intercept)


@jit()
def settle(p, s, kink, crossing, order, spans, a0, w0, loose, index, count, barrier, step):
    """Let the members go that reached the barrier, and record the outermost kink.

    The members that stay inside are an interval of t, so those to go are at the ends.
    """
    largest = kink[0]
    for side in range(2):
        span = spans[side]
        while span[0] < span[1]:
            low, b_low, a_low = _member(p[side], order[span[0]], a0, w0)
            high, b_high, a_high = _member(p[side], order[span[1] - 1], a0, w0)
            if not abs(b_low) < barrier * a_low < HUGE:
                span[0] += 1
                _release(p[side], s[side], low, a0, w0, loose, index, count)
            elif not abs(b_high) < barrier * a_high < HUGE:
                span[1] -= 1
                _release(p[side], s[side], high, a0, w0, loose, index, count)
            else:
                largest = max(largest, abs(b_low) / a_low, abs(b_high) / a_high)
                break
        if span[0] == span[1]:
            s[side] = 0.0  # what subtraction left of an empty group is rounding
    for i in range(count[0]):
        own = abs(loose[1, i] / loose[0, i])
        largest = own if own > largest else largest
    kink[0] = largest
    if largest >= barrier and crossing[0] == 0:
        crossing[0] = step


@jit()
def _member(q, i, a0, w0):
    """A neuron with b and a, both over a(0)."""
    t = w0[i] / a0[i]
    return i, q[2] + q[3] * t, q[0] + q[1] * t


@jit()
def _release(q, s, i, a0, w0, loose, index, count):
    """Make a member loose."""
    a, w = a0[i], w0[i]
    s[0] -= a * a
    s[1] -= a * w
    s[2] -= w * w
    k = count[0]
    loose[0, k] = q[0] * a + q[1] * w
    loose[1, k] = q[2] * a + q[3] * w
    loose[2, k] = q[4] * a + q[5] * w
    index[k] = i
    count[0] = k + 1
