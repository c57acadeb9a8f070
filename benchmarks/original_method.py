"""The original program's method, re-created from the formulas of the paper (arXiv 2002.04861).

This is our own code. It was written from a description of what the original computes, without
sight of the original, so that the two can be compared as methods: training as numpy passes over
(networks, points, width), and the sufficient criterion network by network with numpy.linalg and
scipy.linalg. Temporaries of training live in buffers that are allocated once.

Glossary
--------
m, D, n : networks in a batch, data points, width
a, b, w : (m, 1, n) parameters; c : (m, 1, 1)
x, y : (D, 1) points and targets; p : (m, D, 1) weights of the points
z : (m, D, n) pre-activations
errors : (m, D, 1) weighted residuals p_j (f(x_j) - y_j)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mcrelu.problems.one_d import Problem, StopReason, Weights
from mcrelu.types import Floats, Ints, PointSet

MINIBATCH = 16
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def batch_size(width: int) -> int:
    """Networks that the original trains at once, 2^max(16 - log2 n, 3)."""
    return int(2 ** max(16 - int(np.log2(width)), 3))


# Training -----------------------------------------------------------------------------------


class Gradient(NamedTuple):
    """Derivatives of the loss, or Adam's means of them or of their squares."""

    a: Floats  # (m, 1, n)
    b: Floats
    c: Floats  # (m, 1, 1)
    w: Floats


@dataclass
class Batch:
    """Networks in training and the buffers that a step needs."""

    parameters: Gradient  # a, b, c, w
    x: Floats  # (D, 1)
    y: Floats
    p: Floats  # (m, D, 1)
    step_size: Floats  # (m, 1, 1)
    max_kink: Floats  # (m,)
    z: Floats  # (m, D, n)
    masked: Floats  # (m, D, n)
    active: NDArray[np.bool_]  # (m, D, n)
    kink: Floats  # (m, 1, n)

    @classmethod
    def of(cls, problem: Problem) -> Batch:
        """A batch at the initial parameters of a problem."""
        m, n = problem.weights.a.shape
        shape = (m, len(problem.points.x), n)
        a, b, w = (v.reshape(m, 1, n).copy() for v in _neurons(problem.weights))
        return cls(
            parameters=Gradient(a, b, problem.weights.c.reshape(m, 1, 1).copy(), w),
            x=problem.points.x[:, None],
            y=problem.points.y[:, None],
            p=problem.p[:, :, None],
            step_size=problem.step_size[:, None, None],
            max_kink=np.zeros(m),
            z=np.empty(shape),
            masked=np.empty(shape),
            active=np.empty(shape, dtype=bool),
            kink=np.empty((m, 1, n)),
        )

    def weights(self) -> Weights:
        """The parameters as the engines give them."""
        a, b, c, w = self.parameters
        return Weights(a[:, 0], b[:, 0], c[:, 0, 0], w[:, 0])


GradientOf = Callable[[Batch, Floats], Gradient]


def gradient_by_passes(batch: Batch, weights: Floats) -> Gradient:
    """Gradient with the points weighted by ``weights`` (m, D, 1): elementwise passes and sums."""
    w = batch.parameters.w
    z, masked = batch.z, batch.masked
    _activate(batch)
    np.multiply(w, z, out=masked)
    errors = masked.sum(axis=2, keepdims=True)
    _weigh_residuals(errors, batch, weights)
    z *= errors
    by_w = z.sum(axis=1, keepdims=True)
    np.multiply(batch.active, errors, out=masked)
    by_b = masked.sum(axis=1, keepdims=True)
    masked *= batch.x
    by_a = masked.sum(axis=1, keepdims=True)
    by_a *= w
    by_b *= w
    return Gradient(by_a, by_b, errors.sum(axis=1, keepdims=True), by_w)


def gradient_by_matmul(batch: Batch, weights: Floats) -> Gradient:
    """The same with sums over points and neurons as batched matrix products.

    Not the original's way; it is here to show what numpy can do at best.
    """
    w = batch.parameters.w
    _activate(batch)
    batch.masked[...] = batch.active
    errors = batch.z @ w.transpose(0, 2, 1)
    _weigh_residuals(errors, batch, weights)
    rows = np.concatenate([errors * batch.x, errors], axis=2).transpose(0, 2, 1)
    by_ab = rows @ batch.masked
    by_ab *= w
    by_w = errors.transpose(0, 2, 1) @ batch.z
    return Gradient(by_ab[:, :1], by_ab[:, 1:], errors.sum(axis=1, keepdims=True), by_w)


def descend(batch: Batch, weights: Iterator[Floats], gradient: GradientOf) -> None:
    """Gradient descent, one step per entry of ``weights`` (each (m, D, 1))."""
    for p in weights:
        slopes = gradient(batch, batch.step_size * p)
        for parameter, slope in zip(batch.parameters, slopes, strict=True):
            np.subtract(parameter, slope, out=parameter)
        _record_kinks(batch)


@dataclass
class AdamMemory:
    """Adam's running means of the gradient and of its square."""

    mean: Gradient
    square: Gradient
    steps: int = 0

    @classmethod
    def of(cls, batch: Batch) -> AdamMemory:
        """Before the first step."""
        zeros = [Gradient(*(np.zeros_like(v) for v in batch.parameters)) for _ in range(2)]
        return cls(zeros[0], zeros[1])


def adam(batch: Batch, memory: AdamMemory, weights: Iterator[Floats], gradient: GradientOf) -> None:
    """Adam with bias correction, one step per entry of ``weights`` (each (m, D, 1))."""
    for p in weights:
        memory.steps += 1
        slopes = gradient(batch, p)
        for parts in zip(batch.parameters, memory.mean, memory.square, slopes, strict=True):
            _adam_update(*parts, batch.step_size, memory.steps)
        _record_kinks(batch)


def draw_minibatches(state: np.random.RandomState, p: Floats, steps: int) -> Ints:
    """Counts of a window of minibatches, (steps, m, D, 1), network by network as the original."""
    window = [state.multinomial(MINIBATCH, row, size=steps) for row in p]
    return np.stack(window, axis=1)[..., None]


def minibatch_weights(counts: Ints) -> Iterator[Floats]:
    """Weights of the points at each step, (m, D, 1)."""
    for step in counts:
        yield step / MINIBATCH


def _activate(batch: Batch) -> None:
    """Pre-activations, activation pattern, and relu in place of the pre-activations."""
    a, b, _, _ = batch.parameters
    np.multiply(a, batch.x, out=batch.z)
    batch.z += b
    np.greater_equal(batch.z, 0.0, out=batch.active)
    np.maximum(batch.z, 0.0, out=batch.z)


def _weigh_residuals(outputs: Floats, batch: Batch, weights: Floats) -> None:
    """From the sums over neurons to ``weights`` times the residuals, in place."""
    outputs += batch.parameters.c
    outputs -= batch.y
    outputs *= weights


def _adam_update(
    parameter: Floats, mean: Floats, square: Floats, slope: Floats, step_size: Floats, t: int
) -> None:
    mean *= BETA1
    mean += (1.0 - BETA1) * slope
    square *= BETA2
    slope *= slope
    slope *= 1.0 - BETA2
    square += slope
    scale = square / (1.0 - BETA2**t)
    np.sqrt(scale, out=scale)
    scale += EPSILON
    motion = mean / (1.0 - BETA1**t)
    motion *= step_size
    motion /= scale
    parameter -= motion


def _record_kinks(batch: Batch) -> None:
    np.divide(batch.parameters.b, batch.parameters.a, out=batch.kink)
    np.abs(batch.kink, out=batch.kink)
    np.maximum(batch.max_kink, batch.kink.max(axis=(1, 2)), out=batch.max_kink)


def _neurons(weights: Weights) -> tuple[Floats, Floats, Floats]:
    return weights.a, weights.b, weights.w


# The sufficient criterion -------------------------------------------------------------------

Q = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
C = np.zeros((4, 4))
C[1::2, 1::2] = 1.0
A, B, W = 0, 1, 2
SIDES = (1.0, -1.0)


class Verdict(NamedTuple):
    """What the criterion says of one network."""

    status: int  # StopReason, 0 to go on
    kappa: float  # nan where training does not contract


def check_networks(
    weights: Weights, points: PointSet, p: Floats, step_size: Floats
) -> list[Verdict]:
    """The verdict on each of m networks, one after the other."""
    return [
        check_network(np.stack([weights.a[k], weights.b[k], weights.w[k]]), weights.c[k],
                      points, p[k], step_size[k])
        for k in range(len(p))
    ]  # fmt: skip


def check_network(
    theta: Floats, c: float, points: PointSet, p: Floats, step_size: float
) -> Verdict:
    """The verdict on one network: theta (3, n) holds a, b, w; p (D,)."""
    status = StopReason.UNFINISHED
    own = [theta[:, side * theta[A] > 0] for side in SIDES]
    sigma = [side @ side.T for side in own]
    bounded, kappa = motion_bound(sigma, c, points, p, step_size)
    if bounded and neurons_stay(theta, kappa):
        status = StopReason.LOCALLY_CONVERGED
    if (theta[A] > 0).all() or (theta[A] < 0).all():
        status = StopReason.A_DEGENERATE
    if min(np.count_nonzero(p[side * points.x > 0]) for side in SIDES) <= 1:
        status = StopReason.X_DEGENERATE
    return Verdict(int(status), kappa)


def motion_bound(
    sigma: list[Floats], c: float, points: PointSet, p: Floats, step_size: float
) -> tuple[bool, float]:
    """Whether kappa is proved to bound the motion of all neurons, and kappa."""
    sides = [side * points.x > 0 for side in SIDES]
    moments = [_data_moments(points.x[side], p[side]) for side in sides]
    root = scipy.linalg.sqrtm(_block_diagonal(*moments)).real
    u_hat = [
        _u_hat(s, c, points.x[side], points.y[side], p[side])
        for s, side in zip(sigma, sides, strict=True)
    ]
    psi = np.linalg.pinv(root) @ np.concatenate(u_hat)
    values, vectors = np.linalg.eigh(root @ _a_ref(sigma) @ root)
    mu = 1.0 - step_size * values
    largest = np.abs(mu).max()
    if largest >= 1.0:
        return False, np.nan
    # The original's form: sums over rows of the eigenvector matrix (reference section 2).
    row_sums = np.abs(vectors).sum(axis=1)
    s_psi = (step_size / np.abs(1.0 - mu) * np.abs(vectors.T @ psi) * row_sums).sum()
    root_norm = np.linalg.norm(root, np.inf)
    kappa = float(2.0 * root_norm * s_psi)
    if kappa >= 0.5:
        return False, kappa
    s = 2.0 * step_size / (1.0 - largest)
    return bool(s * root_norm**2 * _operator_change(sigma, kappa) <= 0.5), kappa


def neurons_stay(theta: Floats, kappa: float) -> bool:
    """Whether no neuron can bring its kink to a point: |a| - E[a] > |b| + E[b] for all."""
    size = np.abs(theta)
    motion = kappa * (Q @ size) + 2.0 * kappa**2 * np.exp(2.0 * kappa) * size.max(axis=0)
    return bool((size[A] - motion[A] > size[B] + motion[B]).all())


def _data_moments(x: Floats, p: Floats) -> Floats:
    return np.array([[(p * x * x).sum(), (p * x).sum()], [(p * x).sum(), p.sum()]])


def _u_hat(sigma: Floats, c: float, x: Floats, y: Floats, p: Floats) -> Floats:
    e = p * (y - (c + sigma[W, A] * x + sigma[W, B]))
    return np.array([(e * x).sum(), e.sum()])


def _a_ref(sigma: list[Floats]) -> Floats:
    return C + _block_diagonal(*[s[:2, :2] + s[W, W] * np.eye(2) for s in sigma])


def _block_diagonal(plus: Floats, minus: Floats) -> Floats:
    """As scipy.linalg.block_diag, which takes ten times as long."""
    matrix = np.zeros((4, 4))
    matrix[:2, :2] = plus
    matrix[2:, 2:] = minus
    return matrix


def _operator_change(sigma: list[Floats], kappa: float) -> float:
    """g_w + g_ab + g_wab."""
    size = [np.abs(s) for s in sigma]
    second_order = 8.0 * kappa**2 * np.exp(4.0 * kappa)
    d = [kappa * (Q @ s + s @ Q) + second_order * np.linalg.norm(s, np.inf) for s in size]
    g_w = max(change[W, W] for change in d)
    g_ab = max(change[A, A] + change[A, B] + change[B, B] for change in d)
    g_wab = kappa * max(
        s[W, A] + s[W, B] + change[W, A] + change[W, B] for s, change in zip(size, d, strict=True)
    )
    return float(g_w + g_ab + g_wab)
