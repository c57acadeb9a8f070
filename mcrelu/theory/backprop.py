"""Outputs, losses and gradients of layered networks in double precision, in numpy.

Glossary
--------
m, D, d : networks, points, inputs
L : number of layers, the hidden ones and the output
H_l : (m, D, n_l), outputs of layer l at the points; H_0 are the points themselves
Delta_l : (m, D, n_l), derivatives of the network's output by the pre-activations of layer l
"""

from __future__ import annotations

import numpy as np

from mcrelu.problems.r_d import Activation, Layer, Layers, Problem
from mcrelu.theory.activations import activate, slope
from mcrelu.types import Bools, Floats


def hidden_outputs(layers: Layers, x: Floats, activation: Activation) -> list[Floats]:
    """H_0 .. H_{L-1} at the points x (D, d)."""
    hidden = [np.broadcast_to(x, (len(layers[0].weight), *x.shape))]
    for layer in layers[:-1]:
        hidden.append(activate(activation, _preactivations(layer, hidden[-1])))
    return hidden


def _preactivations(layer: Layer, inputs: Floats) -> Floats:
    z: Floats = inputs @ layer.weight
    z += layer.bias[:, None, :]
    return z


def outputs(layers: Layers, hidden: list[Floats]) -> Floats:
    """Of the networks at the points, (m, D)."""
    return (hidden[-1] @ layers[-1].weight)[:, :, 0] + layers[-1].bias


def deltas(layers: Layers, hidden: list[Floats], activation: Activation) -> list[Floats]:
    """Delta_1 .. Delta_L."""
    backwards = [np.ones((*hidden[0].shape[:2], 1))]
    for place in range(len(layers) - 1, 0, -1):
        above = backwards[-1] @ layers[place].weight.transpose(0, 2, 1)
        backwards.append(above * _slope(layers[place - 1], hidden[place - 1 :], activation))
    return backwards[::-1]


def _slope(layer: Layer, hidden: list[Floats], activation: Activation) -> Floats | Bools:
    """Derivatives of a hidden layer's outputs, hidden[1], at its inputs, hidden[0]."""
    if activation == "relu":
        return hidden[1] > 0.0
    if activation == "tanh":
        return 1.0 - hidden[1] ** 2
    return slope(activation, _preactivations(layer, hidden[0]))


def gradient(
    layers: Layers, hidden: list[Floats], errors: Floats, activation: Activation
) -> Layers:
    """Of the loss; errors (m, D) are its derivatives by the outputs."""
    weighted = [errors[:, :, None] * delta for delta in deltas(layers, hidden, activation)]
    return tuple(
        Layer(h.transpose(0, 2, 1) @ delta, delta.sum(axis=1))
        for h, delta in zip(hidden, weighted, strict=True)
    )


def loss(p: Floats, residuals: Floats) -> Floats:
    """1/2 sum_j p_j r_j^2, (m, D) -> (m,)."""
    return 0.5 * (p * residuals**2).sum(axis=1)


def losses_of(problem: Problem, layers: Layers) -> Floats:
    """Loss of each network on its problem, (m,); layers may be of single precision."""
    found = np.empty(len(problem.p))
    for k in range(len(found)):  # one by one: activations of all of them would not fit
        own = tuple(
            Layer(*(part[k : k + 1].astype(np.float64) for part in layer)) for layer in layers
        )
        hidden = hidden_outputs(own, problem.x, problem.activation)
        found[k] = loss(problem.p[k : k + 1], outputs(own, hidden) - problem.y)[0]
    return found
