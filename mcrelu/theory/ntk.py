"""Step sizes of networks in R^d: from the neural tangent kernel, and by trial of one step.

Glossary
--------
m, D, d : networks, points, inputs
H_l, Delta_l : outputs and derivatives of the layers, as in mcrelu.theory.backprop
K : (m, D, D), Gram matrix of the gradients of the outputs at the points (the empirical NTK),
    K = sum_l (H_{l-1} H_{l-1}^T + 1) * (Delta_l Delta_l^T), entry by entry; the 1 are the biases
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mcrelu.problems.r_d import Activation, Layer, Layers
from mcrelu.theory import backprop
from mcrelu.types import Floats, Ints

NUMBERS_AT_ONCE = 2**18  # of activations: what is computed of some networks stays in cache
CANDIDATES = np.logspace(-6.0, 0.0, 200)  # step sizes that are tried
LINEAR_WITHIN = 0.1  # of the linear prediction


def lambda_max(layers: Layers, x: Floats, p: Floats, activation: Activation = "relu") -> Floats:
    """Largest eigenvalue of the p-weighted kernel sqrt(p_j) K_jk sqrt(p_k) of each network, (m,).

    x (D, d), p (m, D).
    """
    largest = np.empty(len(p))
    for rows in _chunks(layers, len(x)):
        root = np.sqrt(p[rows])
        kernel = tangent_kernel(_rows(layers, rows), x, activation)
        kernel *= root[:, :, None] * root[:, None, :]
        largest[rows] = np.linalg.eigvalsh(kernel)[:, -1]
    return largest


def tangent_kernel(layers: Layers, x: Floats, activation: Activation = "relu") -> Floats:
    """The empirical NTK at the points, x (D, d) -> (m, D, D)."""
    hidden = backprop.hidden_outputs(layers, x, activation)
    kernel = np.zeros((len(layers[0].weight), len(x), len(x)))
    for inputs, delta in zip(hidden, backprop.deltas(layers, hidden, activation), strict=True):
        kernel += (_gram(inputs) + 1.0) * _gram(delta)
    return kernel


def published_lambda_max(layers: Layers) -> Floats:
    """What the original program takes for lambda_max: the squared norm of all parameters, (m,).

    It fills the kernel with the products of the parameters instead of those of their gradients,
    sqrt(p_j p_k) |theta|^2, a matrix of rank one.
    """
    return _squared_norm(layers)


def linear_step_size(
    layers: Layers,
    x: Floats,
    y: Floats,
    p: Floats,
    activation: Activation = "relu",
    step_factor: float = 1.0,
) -> Floats:
    """Largest candidate h for which a step changes the loss as its gradient predicts, (m,).

    The step is ``step_factor`` h; the prediction is -step_factor h |grad|^2, and the change must be
    within 10 % of it. x (D, d), y (D,), p (m, D). NaN for a network to which no candidate applies.
    """
    found = np.full(len(p), np.nan)
    for rows in _chunks(layers, len(x)):
        own = _rows(layers, rows)
        found[rows] = _largest_linear(own, x, y, p[rows], activation, step_factor)
    return found


def relative_decrease(
    layers: Layers, x: Floats, y: Floats, p: Floats, activation: Activation = "relu"
) -> Floats:
    """|grad|^2 / loss: by how much of itself a step of size h lowers the loss, over h, as h -> 0.

    x (D, d), y (D,), p (m, D) -> (m,). NaN where loss and gradient are 0.
    """
    found = np.empty(len(p))
    for rows in _chunks(layers, len(x)):
        at = _linearised(_rows(layers, rows), x, y, p[rows], activation)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[rows] = _squared_norm(at.gradient) / at.loss
    return found


class _Linearised(NamedTuple):
    """Networks to first order around their parameters."""

    loss: Floats  # (m,)
    gradient: Layers


def _linearised(
    layers: Layers, x: Floats, y: Floats, p: Floats, activation: Activation
) -> _Linearised:
    hidden = backprop.hidden_outputs(layers, x, activation)
    residuals = backprop.outputs(layers, hidden) - y
    gradient = backprop.gradient(layers, hidden, p * residuals, activation)
    return _Linearised(backprop.loss(p, residuals), gradient)


def _largest_linear(
    layers: Layers, x: Floats, y: Floats, p: Floats, activation: Activation, step_factor: float
) -> Floats:
    """Of few networks: candidates from the largest down, for those that have none yet."""
    loss, gradient = _linearised(layers, x, y, p, activation)
    squared = _squared_norm(gradient)
    found, open_rows = np.full(len(p), np.nan), np.arange(len(p))
    for h in CANDIDATES[::-1]:
        moved = _moved(_rows(layers, open_rows), _rows(gradient, open_rows), step_factor * h)
        outputs = backprop.outputs(moved, backprop.hidden_outputs(moved, x, activation))
        change = backprop.loss(p[open_rows], outputs - y) - loss[open_rows]
        predicted = -step_factor * h * squared[open_rows]
        linear = np.abs(change - predicted) <= LINEAR_WITHIN * np.abs(predicted)
        found[open_rows[linear]] = h
        open_rows = open_rows[~linear]
        if not len(open_rows):
            break
    return found


def _moved(layers: Layers, gradient: Layers, h: float) -> Layers:
    return tuple(
        Layer(own.weight - h * by.weight, own.bias - h * by.bias)
        for own, by in zip(layers, gradient, strict=True)
    )


def _squared_norm(layers: Layers) -> Floats:
    parts = [part.reshape(len(part), -1) for layer in layers for part in layer]
    return np.sum([(part.astype(np.float64) ** 2).sum(axis=1) for part in parts], axis=0)


def _gram(rows: Floats) -> Floats:
    return rows @ rows.transpose(0, 2, 1)


def _rows(layers: Layers, index: Ints) -> Layers:
    """The parameters of some networks."""
    return tuple(Layer(*(part[index] for part in layer)) for layer in layers)


def _chunks(layers: Layers, points: int) -> Iterator[Ints]:
    """Row numbers of so many networks that NUMBERS_AT_ONCE is kept to."""
    networks = len(layers[0].weight)
    widest = max(layer.bias.shape[1] for layer in layers)
    size = max(1, NUMBERS_AT_ONCE // (points * widest))
    for first in range(0, networks, size):
        yield np.arange(first, min(first + size, networks))
