"""Compiled training of one network with loose neurons, for the grouped engine.

Glossary as in :mod:`mcrelu.engines.one_d.group_kernels`, and
--------
loose : a neuron that left its group (or never was in one) and is trained by itself
q, s : rows of P and S of one side, six and three numbers
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.engines.one_d.group_kernels import HUGE
from mcrelu.engines.one_d.kinks import outward
from mcrelu.jit import jit
from mcrelu.problems.one_d import Barrier
from mcrelu.types import Floats, Ints, PointSet

NEARLY_ONE = 1.0 - 1e-12  # so that rounding cannot hide a larger fraction


class Members(NamedTuple):
    """The neurons of both groups."""

    p: Floats  # (2, 6) P of both sides
    s: Floats  # (2, 3) moments of the members' (a(0), w(0))
    order: Ints  # (n,) neurons sorted by t, side by side
    spans: Ints  # (2, 2) order[spans[side, 0] : spans[side, 1]] are members
    a0: Floats  # (n,) all neurons as the groups started
    w0: Floats  # (n,)
    t: Floats  # (n,) w0 / a0


class LooseNeurons(NamedTuple):
    """The neurons that are trained by themselves."""

    theta: Floats  # (3, n) a, b, w
    neuron: Ints  # (n,) which neurons they are
    size: Ints  # (1,) how many


class LooseNetwork(NamedTuple):
    """State of a network with loose neurons, and the record of its kinks."""

    members: Members
    loose: LooseNeurons
    c: Floats  # (1,)
    max_kink: Floats  # (1,) how far out kinks were
    first_crossing: Ints  # (1,) step, 0: none yet


@jit()
def descend_loose(
    network: LooseNetwork,
    points: PointSet,
    weights: Floats,
    leak: float,
    barrier: Barrier,
    first: int,
    steps: int,
) -> None:
    """Steps of one network with loose neurons, in place; exact, at O(loose neurons) a step.

    Parameters
    ----------
    weights : (steps or 1, D)
        Step size times weight of the points.
    first : number of the first step.
    """
    members, loose, c = network.members, network.loose, network.c
    x = points.x
    forcing = np.empty(len(x))
    for k in range(steps):
        row = weights[k] if len(weights) > 1 else weights[0]
        _forcing(forcing, members, loose, c[0], row, points, leak)
        for side in range(2):
            slope, intercept = 0.0, 0.0
            for j in range(len(x)):
                seen = forcing[j] if (x[j] > 0.0) == (side == 0) else _leaked(leak, forcing[j])
                slope += seen * x[j]
                intercept += seen
            if members.spans[side, 0] < members.spans[side, 1]:  # else P could overflow unseen
                _multiply(members.p[side], slope, intercept)
        for i in range(loose.size[0]):
            _step_neuron(loose.theta[:, i], forcing, x, leak)
        for j in range(len(x)):
            c[0] += forcing[j]
        largest = _release_ends(members, loose, barrier, network.max_kink[0])
        network.max_kink[0] = _outermost(loose, barrier, largest)
        if network.max_kink[0] >= 1.0 and network.first_crossing[0] == 0:
            network.first_crossing[0] = first + k


@jit()
def _leaked(leak: float, value: float) -> float:
    """What passes the inactive side: nothing of what is infinite, if there is no leak."""
    return leak * value if leak > 0.0 else 0.0


@jit()
def _forcing(
    forcing: Floats,
    members: Members,
    loose: LooseNeurons,
    c: float,
    weights: Floats,
    points: PointSet,
    leak: float,
) -> None:
    """Weight times negative residual of every point."""
    x, y = points
    theta = loose.theta
    slope_p, intercept_p = _group_function(members.p[0], members.s[0])
    slope_m, intercept_m = _group_function(members.p[1], members.s[1])
    for j in range(len(x)):
        plus, minus = slope_p * x[j] + intercept_p, slope_m * x[j] + intercept_m
        if x[j] > 0.0:
            minus = _leaked(leak, minus)
        else:
            plus = _leaked(leak, plus)
        output = c + plus + minus
        for i in range(loose.size[0]):
            z = theta[0, i] * x[j] + theta[1, i]
            output += theta[2, i] * (z if z >= 0.0 else _leaked(leak, z))
        forcing[j] = weights[j] * (y[j] - output)


@jit()
def _group_function(q: Floats, m: Floats) -> tuple[float, float]:
    """Slope and intercept of the sum of a group's neurons where they are active."""
    v_a, v_w = m[0] * q[4] + m[1] * q[5], m[1] * q[4] + m[2] * q[5]
    return v_a * q[0] + v_w * q[1], v_a * q[2] + v_w * q[3]


@jit()
def _multiply(q: Floats, slope: float, intercept: float) -> None:
    """P <- T P: the six numbers of one side."""
    aa, aw, ba, bw, wa, ww = q[0], q[1], q[2], q[3], q[4], q[5]
    q[0], q[1] = aa + slope * wa, aw + slope * ww
    q[2], q[3] = ba + intercept * wa, bw + intercept * ww
    q[4] = wa + (slope * aa + intercept * ba)
    q[5] = ww + (slope * aw + intercept * bw)


@jit()
def _step_neuron(theta: Floats, forcing: Floats, x: Floats, leak: float) -> None:
    """One step of a single neuron theta = (a, b, w)."""
    a, b, w = theta[0], theta[1], theta[2]
    slope, intercept = 0.0, 0.0
    for j in range(len(x)):
        seen = forcing[j] if a * x[j] + b >= 0.0 else _leaked(leak, forcing[j])
        slope += seen * x[j]
        intercept += seen
    theta[0] = a + w * slope
    theta[1] = b + w * intercept
    theta[2] = w + (a * slope + b * intercept)


@jit()
def _release_ends(members: Members, loose: LooseNeurons, barrier: Barrier, largest: float) -> float:
    """Make the members loose that reached the barrier; the outermost kink of those that stay.

    The members that stay inside are an interval of t, so those to go are at the ends.
    """
    for side in range(2):
        q, span = members.p[side], members.spans[side]
        while span[0] < span[1]:
            low, b_low, a_low = _member(members, q, span[0])
            high, b_high, a_high = _member(members, q, span[1] - 1)
            if not outward(b_low, barrier) < a_low < HUGE:
                span[0] += 1
                _release(members, loose, side, low)
            elif not outward(b_high, barrier) < a_high < HUGE:
                span[1] -= 1
                _release(members, loose, side, high)
            else:
                largest = _larger_kink(b_low, a_low, barrier, largest)
                largest = _larger_kink(b_high, a_high, barrier, largest)
                break
        if span[0] == span[1]:
            members.s[side] = 0.0  # what subtraction left of an empty group is rounding
    return largest


@jit()
def _outermost(loose: LooseNeurons, barrier: Barrier, largest: float) -> float:
    """How far out the outermost kink of the loose neurons is, or ``largest``."""
    for i in range(loose.size[0]):
        largest = _larger_kink(loose.theta[1, i], loose.theta[0, i], barrier, largest)
    return largest


@jit()
def _larger_kink(b: float, a: float, barrier: Barrier, largest: float) -> float:
    """How far out a kink is, or ``largest``; divides only where that may be the first."""
    if outward(b if a > 0.0 else -b, barrier) > NEARLY_ONE * largest * abs(a):
        own = outward(b / a, barrier)
        return own if own > largest else largest
    return largest


@jit()
def _member(members: Members, q: Floats, place: int) -> tuple[int, float, float]:
    """The neuron at a place in the order, with its b and a, both over a(0)."""
    i = members.order[place]
    t = members.t[i]
    return i, q[2] + q[3] * t, q[0] + q[1] * t


@jit()
def _release(members: Members, loose: LooseNeurons, side: int, i: int) -> None:
    """Make a member loose."""
    q, s, theta = members.p[side], members.s[side], loose.theta
    a, w = members.a0[i], members.w0[i]
    s[0] -= a * a
    s[1] -= a * w
    s[2] -= w * w
    k = loose.size[0]
    theta[0, k] = q[0] * a + q[1] * w
    theta[1, k] = q[2] * a + q[3] * w
    theta[2, k] = q[4] * a + q[5] * w
    loose.neuron[k] = i
    loose.size[0] = k + 1
