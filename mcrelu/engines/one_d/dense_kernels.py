"""Compiled kernels: plain loops over flat arrays, called by the engines only.

Glossary
--------
lane : one of LANES networks that a kernel trains in lockstep. Arrays are laid out with the lane
       as the fastest index, so LLVM vectorises over networks: no sum is ever reordered, and a
       network's result depends neither on its lane nor on its neighbours nor on the vector width.
x, y : tuples of D floats; a tuple's length is a constant to the compiler, which unrolls over it
forcing : weight_j (y_j - f(x_j)), minus the derivative of the loss by the network's output
leak : slope of the activation on its inactive side, 0 for ReLU
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from mcrelu.engines.one_d.kinks import outward
from mcrelu.jit import jit
from mcrelu.problems.one_d import Barrier
from mcrelu.types import Floats, Ints

Numbers = tuple[float, ...]

LANES = 16


@jit()
def forward(
    a: Floats, b: Floats, c: Floats, w: Floats, x: Numbers, leak: float, outputs: Floats
) -> None:
    """Network outputs: a, b, w (n * LANES), c (LANES) -> outputs (D * LANES)."""
    for j in range(len(x)):
        for lane in range(LANES):
            outputs[j * LANES + lane] = c[lane]
    for i in range(len(a) // LANES):
        for lane in range(LANES):
            o = i * LANES + lane
            for j in range(len(x)):
                z = a[o] * x[j] + b[o]
                outputs[j * LANES + lane] += w[o] * _activation(z, leak)


@jit(inline="always")
def _activation(z: float, leak: float) -> float:
    """The leaky ReLU; without leak nothing comes through, not even of what is infinite."""
    return z if z >= 0.0 else (leak * z if leak > 0.0 else 0.0)


@jit()
def descend(
    a: Floats, b: Floats, c: Floats, w: Floats, outputs: Floats, max_kink: Floats, crossing: Ints,
    weights: Floats, stride: int,
    x: Numbers, y: Numbers, leak: float, barrier: Barrier, first: int, steps: int,
) -> None:  # fmt: skip
    """``steps`` steps of gradient descent on all parameters, in place.

    ``weights`` (steps, D, LANES), flat, are the points' weights times the step size; ``stride`` is
    D * LANES, or 0 where all steps have the same. ``outputs`` must belong to the given parameters
    and does so again afterwards. The number of the step, first + k, goes to ``crossing`` where
    ``max_kink`` reaches 1 for the first time, that is, a kink the nearest point on its side.
    """
    forcing, leaked = np.empty(len(x) * LANES), np.empty(len(x) * LANES)
    total = np.empty(LANES)
    for k in range(steps):
        _forcing(forcing, leaked, total, outputs, weights[k * stride :], y, leak)
        for lane in range(LANES):
            c[lane] += total[lane]
        for j in range(len(x)):
            for lane in range(LANES):
                outputs[j * LANES + lane] = c[lane]
        for i in range(len(a) // LANES):
            for lane in range(LANES):
                o = i * LANES + lane
                a_old, b_old, w_old = a[o], b[o], w[o]
                slope, intercept = 0.0, 0.0
                for j in range(len(x)):
                    q = j * LANES + lane
                    seen = forcing[q] if a_old * x[j] + b_old >= 0.0 else leaked[q]
                    slope += seen * x[j]
                    intercept += seen
                a_new = a_old + w_old * slope
                b_new = b_old + w_old * intercept
                w_new = w_old + (a_old * slope + b_old * intercept)
                a[o], b[o], w[o] = a_new, b_new, w_new
                kink = outward(b_new / a_new, barrier)
                max_kink[lane] = kink if kink > max_kink[lane] else max_kink[lane]
                for j in range(len(x)):
                    z = a_new * x[j] + b_new
                    outputs[j * LANES + lane] += w_new * _activation(z, leak)
        _mark_crossings(crossing, max_kink, first + k)


@jit()
def adam(
    theta: Floats, c: Floats, mc: Floats, vc: Floats,
    outputs: Floats, max_kink: Floats, crossing: Ints,
    weights: Floats, stride: int,
    step_size: Floats, beta1: float, beta2: float, epsilon: float,
    x: Numbers, y: Numbers, leak: float, barrier: Barrier, first: int, steps: int,
) -> None:  # fmt: skip
    """``steps`` steps of Adam, in place; as :func:`descend`, but ``weights`` without step size.

    ``theta`` (n, 9, LANES), flat, holds of every neuron a, b, w, then the running means of their
    gradients, then those of the squares: so near each other that LLVM sees they do not overlap.
    mc, vc (LANES) are the means of c. ``first`` counts from 1, as the bias correction does.
    """
    forcing, leaked = np.empty(len(x) * LANES), np.empty(len(x) * LANES)
    total = np.empty(LANES)
    for k in range(steps):
        _forcing(forcing, leaked, total, outputs, weights[k * stride :], y, leak)
        scale1 = 1.0 / (1.0 - beta1 ** (first + k))
        scale2 = 1.0 / (1.0 - beta2 ** (first + k))
        for lane in range(LANES):
            mc[lane] = beta1 * mc[lane] + (1.0 - beta1) * total[lane]
            vc[lane] = beta2 * vc[lane] + (1.0 - beta2) * (total[lane] * total[lane])
            c[lane] += step_size[lane] * (mc[lane] * scale1) / (sqrt(vc[lane] * scale2) + epsilon)
        for j in range(len(x)):
            for lane in range(LANES):
                outputs[j * LANES + lane] = c[lane]
        for i in range(len(theta) // (9 * LANES)):
            for lane in range(LANES):
                o = 9 * i * LANES + lane
                a, b, w = theta[o], theta[o + LANES], theta[o + 2 * LANES]
                slope, intercept = 0.0, 0.0
                for j in range(len(x)):
                    q = j * LANES + lane
                    seen = forcing[q] if a * x[j] + b >= 0.0 else leaked[q]
                    slope += seen * x[j]
                    intercept += seen
                h = step_size[lane]
                g = a * slope + b * intercept
                a = _adam_step(theta, o, w * slope, h, beta1, beta2, scale1, scale2, epsilon)
                b = _adam_step(
                    theta, o + LANES, w * intercept, h, beta1, beta2, scale1, scale2, epsilon
                )
                w = _adam_step(theta, o + 2 * LANES, g, h, beta1, beta2, scale1, scale2, epsilon)
                kink = outward(b / a, barrier)
                max_kink[lane] = kink if kink > max_kink[lane] else max_kink[lane]
                for j in range(len(x)):
                    z = a * x[j] + b
                    outputs[j * LANES + lane] += w * _activation(z, leak)
        _mark_crossings(crossing, max_kink, first + k)


@jit(inline="always")
def _adam_step(
    theta: Floats, o: int, g: float, h: float,
    beta1: float, beta2: float, scale1: float, scale2: float, epsilon: float,
) -> float:  # fmt: skip
    """The new value of the parameter at ``o``, whose negative gradient is g."""
    m = beta1 * theta[o + 3 * LANES] + (1.0 - beta1) * g
    v = beta2 * theta[o + 6 * LANES] + (1.0 - beta2) * (g * g)
    value = theta[o] + h * (m * scale1) / (sqrt(v * scale2) + epsilon)
    theta[o], theta[o + 3 * LANES], theta[o + 6 * LANES] = value, m, v
    return value


@jit()
def moments(a: Floats, b: Floats, w: Floats, sigma: Floats) -> None:
    """Second moments of theta = (a, b, w) per side: sigma (2 * 6 * LANES), overwritten.

    The six entries of a side are aa, ab, aw, bb, bw, ww; side 0 has a > 0, side 1 has a < 0.
    """
    neurons = len(a) // LANES
    quarters = neurons - neurons % 4
    sigma[:] = 0.0
    plus, minus = sigma[: 6 * LANES], sigma[6 * LANES :]
    # Four neurons at once: the totals are then read and written a quarter as often.
    for i in range(0, quarters, 4):
        o = i * LANES
        _add_moments(a[o:], b[o:], w[o:], 1.0, plus, 4)
        _add_moments(a[o:], b[o:], w[o:], -1.0, minus, 4)
    for i in range(quarters, neurons):
        o = i * LANES
        _add_moments(a[o:], b[o:], w[o:], 1.0, plus, 1)
        _add_moments(a[o:], b[o:], w[o:], -1.0, minus, 1)


@jit(inline="always")
def _add_moments(a: Floats, b: Floats, w: Floats, sign: float, total: Floats, neurons: int) -> None:
    for lane in range(LANES):
        aa, ab, aw, bb, bw, ww = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(neurons):
            o = i * LANES + lane
            inside = sign * a[o] > 0.0
            own_a = a[o] if inside else 0.0
            own_b = b[o] if inside else 0.0
            own_w = w[o] if inside else 0.0
            aa += own_a * own_a
            ab += own_a * own_b
            aw += own_a * own_w
            bb += own_b * own_b
            bw += own_b * own_w
            ww += own_w * own_w
        total[lane] += aa
        total[LANES + lane] += ab
        total[2 * LANES + lane] += aw
        total[3 * LANES + lane] += bb
        total[4 * LANES + lane] += bw
        total[5 * LANES + lane] += ww


@jit()
def _forcing(
    forcing: Floats, leaked: Floats, total: Floats,
    outputs: Floats, weights: Floats, y: Numbers, leak: float,
) -> None:  # fmt: skip
    """At every point, what of it passes the inactive side, and its sum."""
    for lane in range(LANES):
        total[lane] = 0.0
    for j in range(len(y)):
        for lane in range(LANES):
            o = j * LANES + lane
            forcing[o] = weights[o] * (y[j] - outputs[o])
            leaked[o] = leak * forcing[o] if leak > 0.0 else 0.0
            total[lane] += forcing[o]


@jit()
def _mark_crossings(crossing: Ints, max_kink: Floats, step: int) -> None:
    for lane in range(LANES):
        if max_kink[lane] >= 1.0 and crossing[lane] == 0:
            crossing[lane] = step
