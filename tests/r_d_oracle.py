"""Networks of any depth and their training in plain numpy, from the chain rule; relu and tanh.

Glossary
--------
m, n, d, D : numbers of networks, of neurons of a layer, of inputs, of points
layers : hidden layers, then the one of the single output; weights (m, inputs, outputs)
z : pre-activations of a layer, (m, D, outputs); a neuron is active where z > 0
delta : derivatives of the outputs f(x_j) by z, (m, D, outputs)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mcrelu.engines.r_d.protocol import BELOW, LOSS_EVERY
from mcrelu.problems.r_d import NEVER, Info, Layer, Layers, Problem, State
from mcrelu.types import Bools, Floats, Ints


class Forward(NamedTuple):
    """All values of a forward pass."""

    inputs: list[Floats]  # of every layer, (m, D, inputs)
    z: list[Floats]  # of every hidden layer
    outputs: Floats  # (m, D)


def forward(problem: Problem, layers: Layers) -> Forward:
    values = np.broadcast_to(problem.x, (len(layers[0].weight), *problem.x.shape))
    inputs, hidden = [values], []
    for layer in layers[:-1]:
        hidden.append(inputs[-1] @ layer.weight + layer.bias[:, None])
        inputs.append(_phi(problem, hidden[-1]))
    return Forward(
        inputs, hidden, (inputs[-1] @ layers[-1].weight + layers[-1].bias[:, None])[..., 0]
    )


def _phi(problem: Problem, z: Floats) -> Floats:
    return np.tanh(z) if problem.activation == "tanh" else np.where(z > 0, z, 0.0)


def _slope(problem: Problem, z: Floats) -> Floats:
    return 1.0 - np.tanh(z) ** 2 if problem.activation == "tanh" else np.where(z > 0, 1.0, 0.0)


def deltas(problem: Problem, layers: Layers, seen: Forward) -> list[Floats]:
    """Delta of every layer, that of the output (ones) last."""
    found = [np.ones((*seen.outputs.shape, 1))]
    for layer, z in zip(layers[:0:-1], seen.z[::-1], strict=True):
        found.append((found[-1] @ layer.weight.swapaxes(1, 2)) * _slope(problem, z))
    return found[::-1]


def loss(problem: Problem, outputs: Floats) -> Floats:
    """1/2 sum_j p_j (f(x_j) - y_j)^2, (m,)."""
    return 0.5 * (problem.p * (outputs - problem.y) ** 2).sum(axis=1)


def pattern(seen: Forward) -> Bools:
    """Activity of all hidden neurons at all points, (m, D, neurons)."""
    return np.concatenate(seen.z, axis=2) > 0


def step(problem: Problem, layers: Layers, seen: Forward) -> Layers:
    """One step of gradient descent, all parameters at once."""
    push = problem.step_size[:, None] * problem.p * (problem.y - seen.outputs)
    moved = []
    parts = zip(layers, seen.inputs, deltas(problem, layers, seen), strict=True)
    for layer, inputs, delta in parts:
        own = push[..., None] * delta
        moved.append(
            Layer(layer.weight + inputs.swapaxes(1, 2) @ own, layer.bias + own.sum(axis=1))
        )
    return tuple(moved)


def tangent_kernel(problem: Problem, layers: Layers) -> Floats:
    """Empirical NTK at the weighted points, (m, D, D): sums over layers of two Gram matrices."""
    seen = forward(problem, layers)
    gram = sum(
        (h @ h.swapaxes(1, 2) + 1.0) * (delta @ delta.swapaxes(1, 2))
        for h, delta in zip(seen.inputs, deltas(problem, layers, seen), strict=True)
    )
    root = np.sqrt(problem.p)
    return root[:, :, None] * gram * root[:, None, :]


def stable_step(problem: Problem, layers: Layers) -> Floats:
    """1 / lambda_max of the tangent kernel, (m,)."""
    eigenvalues = np.linalg.eigvalsh(tangent_kernel(problem, layers))
    return np.asarray(1.0 / eigenvalues[:, -1], dtype=np.float64)


def trajectory(problem: Problem, state: State) -> Iterator[tuple[State, Floats, Bools]]:
    """For ever, from the given state on: where descent is, its losses (m,), its patterns."""
    layers, (kink, crossing) = state.layers, state.info
    start = pattern(forward(problem, layers))
    epoch = state.epoch
    while True:
        seen = forward(problem, layers)
        losses, now = loss(problem, seen.outputs), pattern(seen)
        kink = _first(kink, (now != start).any(axis=(1, 2)), epoch)
        crossing = _first(crossing, losses < BELOW * problem.threshold, epoch)
        yield State(epoch, layers, Info(kink, crossing)), losses, now
        layers, epoch = step(problem, layers, seen), epoch + 1


def _first(recorded: Ints, happens: Bools, epoch: int) -> Ints:
    return np.where((recorded == NEVER) & happens, epoch, recorded)


def advance(problem: Problem, state: State, epochs: int) -> tuple[State, Floats]:
    """What an engine's advance must return."""
    kept = [np.empty((len(problem.p), 0))]
    for now, losses, _ in trajectory(problem, state):
        if now.epoch > state.epoch and now.epoch % LOSS_EVERY == 0:
            kept.append(losses[:, None])
        if now.epoch == state.epoch + epochs:
            return now, np.concatenate(kept, axis=1)
    raise AssertionError


def flat(layers: Layers) -> Floats:
    """All parameters of each network, (m, parameters)."""
    parts = [part.reshape(len(part), -1) for layer in layers for part in layer]
    return np.concatenate(parts, axis=1)
