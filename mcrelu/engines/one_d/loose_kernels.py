"""Compiled training of one network with loose neurons, for the grouped engine.

Glossary as in :mod:`mcrelu.engines.one_d.group_kernels`; a neuron is loose that left its group (or
never was in one) and is trained by itself.
"""

from __future__ import annotations

import numpy as np

from mcrelu.engines.one_d.group_kernels import HUGE
from mcrelu.jit import jit


@jit()
def descend_loose(
    p, s, c, kink, crossing, order, spans, a0, w0, loose, index, count,
    weights, x, y, leak, barrier, first, steps,
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
    a0 : (n,), w0 : (n,)
        All neurons as the groups started.
    loose : (3, n), index : (n,), count : (1,)
        a, b, w of the loose neurons, and which neurons they are.
    weights : (steps or 1, D)
        Step size times weight of the points.
    first : number of the first step.
    """
    pull = np.empty(len(x))
    for k in range(steps):
        row = weights[k] if len(weights) > 1 else weights[0]
        _pull(pull, p, s, c[0], loose, count[0], row, x, y, leak)
        for side in range(2):
            slope, intercept = 0.0, 0.0
            for j in range(len(x)):
                seen = pull[j] if (x[j] > 0.0) == (side == 0) else _leaked(leak, pull[j])
                slope += seen * x[j]
                intercept += seen
            if spans[side, 0] < spans[side, 1]:  # nobody's P could overflow unseen
                _multiply(p[side], slope, intercept)
        for i in range(count[0]):
            _step_neuron(loose[:, i], pull, x, leak)
        for j in range(len(x)):
            c[0] += pull[j]
        step = first + k
        settle(p, s, kink, crossing, order, spans, a0, w0, loose, index, count, barrier, step)


@jit()
def _leaked(leak, value):
    """What passes the inactive side: nothing of what is infinite, if there is no leak."""
    return leak * value if leak > 0.0 else 0.0


@jit()
def _pull(pull, p, s, c, loose, count, weights, x, y, leak):
    """Weight times negative residual of every point."""
    for j in range(len(x)):
        output = c
        for side in range(2):
            q, m = p[side], s[side]
            v_a, v_w = m[0] * q[4] + m[1] * q[5], m[1] * q[4] + m[2] * q[5]
            own = (v_a * q[0] + v_w * q[1]) * x[j] + (v_a * q[2] + v_w * q[3])
            output += own if (x[j] > 0.0) == (side == 0) else _leaked(leak, own)
        for i in range(count):
            z = loose[0, i] * x[j] + loose[1, i]
            output += loose[2, i] * (z if z >= 0.0 else _leaked(leak, z))
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
def _step_neuron(theta, pull, x, leak):
    """One step of a single neuron theta = (a, b, w)."""
    a, b, w = theta[0], theta[1], theta[2]
    slope, intercept = 0.0, 0.0
    for j in range(len(x)):
        seen = pull[j] if a * x[j] + b >= 0.0 else _leaked(leak, pull[j])
        slope += seen * x[j]
        intercept += seen
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
