"""Two-layer networks and their training in plain numpy, from the formulas of reference section 1.

Deliberately slow and plain: full-size arrays, no state beyond the parameters. Everything works on
one network or on a batch of them.

Glossary
--------
n, D : width and number of data points; leading dimensions (...) count networks
net : Weights, a, b, w (..., n) and c (...); a gradient has the same form
x, y, p : (D,), (D,), (..., D) points, targets, weights of the points
alpha : slope of the activation where a x + b < 0; 0 is ReLU
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from mcrelu.problems.one_d import Problem, Weights
from mcrelu.types import Counts, Floats


class Jacobian(NamedTuple):
    """Derivatives of the outputs f(x_j) by every parameter."""

    a: Floats  # (..., n, D)
    b: Floats  # (..., n, D)
    c: Floats  # (..., D)
    w: Floats  # (..., n, D)


def preactivations(net: Weights, x: Floats) -> Floats:
    """a_i x_j + b_i, (..., n, D)."""
    return net.a[..., None] * x + net.b[..., None]


def activation_slopes(net: Weights, x: Floats, alpha: float = 0.0) -> Floats:
    """1 where neuron i is active at x_j, alpha elsewhere, (..., n, D)."""
    return np.where(preactivations(net, x) >= 0.0, 1.0, alpha)


def outputs(net: Weights, x: Floats, alpha: float = 0.0) -> Floats:
    """f(x_j), (..., D)."""
    hidden = activation_slopes(net, x, alpha) * preactivations(net, x)
    return net.c[..., None] + (net.w[..., None] * hidden).sum(axis=-2)


def loss(net: Weights, x: Floats, y: Floats, p: Floats, alpha: float = 0.0) -> Floats:
    """1/2 sum_j p_j (f(x_j) - y_j)^2, (...)."""
    return 0.5 * (p * (outputs(net, x, alpha) - y) ** 2).sum(axis=-1)


def jacobian(net: Weights, x: Floats, alpha: float = 0.0) -> Jacobian:
    """Derivatives of the outputs by the parameters."""
    slopes = activation_slopes(net, x, alpha)
    through_w = net.w[..., None] * slopes
    hidden = slopes * preactivations(net, x)
    bias = np.ones((*net.c.shape, len(x)))
    return Jacobian(a=through_w * x, b=through_w, c=bias, w=hidden)


def gradient(net: Weights, x: Floats, y: Floats, p: Floats, alpha: float = 0.0) -> Weights:
    """Gradient of the loss."""
    push = p * (outputs(net, x, alpha) - y)
    by = jacobian(net, x, alpha)
    hidden = [(part * push[..., None, :]).sum(axis=-1) for part in (by.a, by.b, by.w)]
    return Weights(a=hidden[0], b=hidden[1], c=(by.c * push).sum(axis=-1), w=hidden[2])


def tangent_gram(net: Weights, x: Floats, p: Floats, alpha: float = 0.0) -> Floats:
    """Empirical NTK at the weighted points, sqrt(p_i p_j) <grad f(x_i), grad f(x_j)>, (D, D)."""
    by = jacobian(net, x, alpha)
    rows = np.vstack([by.a, by.b, by.c, by.w])
    root = np.sqrt(p)
    return root[:, None] * (rows.T @ rows) * root


class Training(NamedTuple):
    """Parameters and what the optimiser remembers; ``mean`` and ``square`` are Adam's."""

    net: Weights
    steps: int
    mean: Weights
    square: Weights


Update = Callable[[Training, Problem, Floats], Training]


def start(net: Weights) -> Training:
    """Before the first step."""
    zeros = Weights(*(np.zeros_like(part) for part in net))
    return Training(net, 0, zeros, zeros)


def descend(training: Training, problem: Problem, p: Floats) -> Training:
    """One step of gradient descent, all parameters at once."""
    net = training.net
    slope = gradient(net, *problem.points, p, problem.leaky_slope)
    moved = [part - _rate(problem, part) * g for part, g in zip(net, slope, strict=True)]
    return training._replace(net=Weights(*moved), steps=training.steps + 1)


def adam(training: Training, problem: Problem, p: Floats) -> Training:
    """One step of Adam with bias correction (Kingma and Ba, algorithm 1)."""
    beta1, beta2, epsilon = 0.9, 0.999, 1e-8
    t = training.steps + 1
    slope = gradient(training.net, *problem.points, p, problem.leaky_slope)
    mean = [beta1 * m + (1 - beta1) * g for m, g in zip(training.mean, slope, strict=True)]
    square = [beta2 * v + (1 - beta2) * g**2 for v, g in zip(training.square, slope, strict=True)]
    moved = [
        part - _rate(problem, part) * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        for part, m, v in zip(training.net, mean, square, strict=True)
    ]
    return Training(Weights(*moved), t, Weights(*mean), Weights(*square))


UPDATES: dict[str, Update] = {"gd": descend, "sgd": descend, "adam": adam}


def trajectory(
    problem: Problem, minibatches: Counts | None, steps: int, update: Update | None = None
) -> Iterator[Weights]:
    """The parameters after each of ``steps`` steps; minibatches (m, D, steps) or None."""
    update = UPDATES[problem.optimizer] if update is None else update
    assert isinstance(problem.weights, Weights)
    training = start(problem.weights)
    for k in range(steps):
        training = update(training, problem, step_weights(problem, minibatches, k))
        yield training.net


def step_weights(problem: Problem, minibatches: Counts | None, k: int) -> Floats:
    """Weights of the points at step k, (m, D)."""
    if minibatches is None:
        return problem.p
    counts = minibatches[:, :, k].astype(float)
    return counts / counts.sum(axis=1, keepdims=True)


def largest_kink(net: Weights) -> Floats:
    """max_i |b_i / a_i|, (...)."""
    return np.abs(net.b / net.a).max(axis=-1)


def outermost_kink(net: Weights, x: Floats) -> Floats:
    """How far out kinks are, in units of the nearest point on their side of zero, (...)."""
    kinks = -net.b / net.a
    right = kinks / min((place for place in x if place > 0), default=np.inf)
    left = kinks / max((place for place in x if place < 0), default=-np.inf)
    return np.maximum(left, right).max(axis=-1)


def _rate(problem: Problem, part: Floats) -> Floats:
    return problem.step_size.reshape(-1, *[1] * (part.ndim - 1))
