"""Gradient descent on layered networks, one network at a time, as plainly as numpy allows.

A network is a list of (weight (inputs, outputs), bias (outputs,)), float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.special import erf

from mcrelu.problems.r_d import Layer, Layers, Problem, State
from mcrelu.types import Bools, Floats

Net = list[tuple[Floats, Floats]]


class Pass(NamedTuple):
    """What a forward pass computes at the points."""

    inputs: list[Floats]  # of every layer, (D, inputs)
    z: list[Floats]  # pre-activations of every hidden layer, (D, outputs)
    outputs: Floats  # (D,)

    @property
    def pattern(self) -> Bools:
        return np.concatenate([(z > 0.0).ravel() for z in self.z])


def network(layers: Layers, k: int) -> Net:
    """Network number k of a batch."""
    return [(np.array(w[k], dtype=float), np.array(b[k], dtype=float)) for w, b in layers]


def batch(nets: list[Net]) -> Layers:
    """Several networks as a batch."""
    return tuple(
        Layer(np.stack([net[layer][0] for net in nets]), np.stack([net[layer][1] for net in nets]))
        for layer in range(len(nets[0]))
    )


def activated(z: Any, activation: str) -> Any:
    match activation:
        case "relu":
            return np.maximum(z, 0.0)
        case "leaky_relu":
            return np.where(z > 0.0, z, 0.01 * z)
        case "tanh":
            return np.tanh(z)
        case "gelu":
            return 0.5 * z * (1.0 + erf(z / np.sqrt(2.0)))
        case "silu":
            return z / (1.0 + np.exp(-z))
    raise ValueError(activation)


def slope(z: Floats, activation: str) -> Floats:
    match activation:
        case "relu":
            return (z > 0.0).astype(float)
        case "leaky_relu":
            return np.where(z > 0.0, 1.0, 0.01)
    step = 1e-30  # imaginary: no difference is taken, so nothing cancels
    return activated(z + 1j * step, activation).imag / step


def forward(net: Net, x: Floats, activation: str) -> Pass:
    inputs, pre = [x], []
    for weight, bias in net[:-1]:
        pre.append(inputs[-1] @ weight + bias)
        inputs.append(activated(pre[-1], activation))
    weight, bias = net[-1]
    return Pass(inputs, pre, (inputs[-1] @ weight + bias)[:, 0])


def backward(net: Net, seen: Pass, errors: Floats, activation: str) -> Net:
    """Gradient of sum_j errors_j f(x_j)."""
    delta = errors[:, None]
    gradient: Net = []
    for layer in reversed(range(len(net))):
        gradient.append((seen.inputs[layer].T @ delta, delta.sum(axis=0)))
        if layer > 0:
            z = seen.z[layer - 1]
            delta = (delta @ net[layer][0].T) * slope(z, activation)
    return gradient[::-1]


def loss(seen: Pass, y: Floats, p: Floats) -> float:
    return float(0.5 * (p * (seen.outputs - y) ** 2).sum())


def step(net: Net, seen: Pass, y: Floats, p: Floats, h: float, activation: str) -> Net:
    gradient = backward(net, seen, p * (seen.outputs - y), activation)
    return [(w - h * u, b - h * v) for (w, b), (u, v) in zip(net, gradient, strict=True)]


def trajectory(problem: Problem, layers: Layers, k: int, epochs: int) -> Iterator[tuple[Net, Pass]]:
    """Network k before the first step and after each one."""
    net = network(layers, k)
    for epoch in range(epochs + 1):
        seen = forward(net, problem.x, problem.activation)
        yield net, seen
        if epoch < epochs:
            h = float(problem.step_size[k])
            net = step(net, seen, problem.y, problem.p[k], h, problem.activation)


def train(problem: Problem, layers: Layers, epochs: int) -> tuple[State, Floats]:
    """All networks; the loss of every epoch, (m, epochs + 1)."""
    m = len(problem.p)
    state, losses, nets = State.initial(layers), np.empty((m, epochs + 1)), []
    for k in range(m):
        initial, net = None, network(layers, k)
        for epoch, (net, seen) in enumerate(trajectory(problem, layers, k, epochs)):  # noqa: B007
            losses[k, epoch] = loss(seen, problem.y, problem.p[k])
            initial = seen.pattern if initial is None else initial
            if state.info.first_kink_change[k] < 0 and (seen.pattern != initial).any():
                state.info.first_kink_change[k] = epoch
            below = losses[k, epoch] < 0.999999 * problem.threshold[k]
            if state.info.first_loss_crossing[k] < 0 and below:
                state.info.first_loss_crossing[k] = epoch
        nets.append(net)
    return state._replace(epoch=epochs, layers=batch(nets)), losses
