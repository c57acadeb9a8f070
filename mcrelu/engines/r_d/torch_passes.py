"""Forward and backward passes of layered networks in torch, by hand and without new memory.

Glossary
--------
C : number of networks, all with the same shapes
D : number of points
n_l : width of hidden layer l, counted from 0; the top one is the last
H_l : (C, D, n_l), outputs of hidden layer l at the points
inputs of layer l : (C, D, n_{l-1} + 1), the points or H_{l-1}, and a column of ones
matrix of layer l : (C, n_{l-1} + 1, n_l), its weights over its biases
slope : (C, D, n_l), derivative of the activation
signs : (C, D, n_l), -1 where a neuron was active in the pattern that was remembered, else 1
Delta_l : (C, D, n_l), derivatives of the network's output by the pre-activations of layer l
e : (C, D), minus the step size times the derivatives of the loss by the outputs
"""

from __future__ import annotations

from itertools import pairwise
from math import pi, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from mcrelu.problems.r_d import LEAK, Activation, Layer, Layers, Problem
from mcrelu.types import Array

BUFFERS_PER_LAYER = 4


class Shape(NamedTuple):
    """Of a batch of networks and its data; says what memory it needs."""

    points: int  # D
    inputs: int  # d
    widths: tuple[int, ...]  # n_0, n_1, ..

    def numbers(self) -> int:
        """Numbers that a pass over one network touches."""
        activations = BUFFERS_PER_LAYER * self.points * sum(self.widths)
        return activations + sum((u + 1) * v for u, v in pairwise((self.inputs, *self.widths, 1)))


class Passes:
    """C networks with their data: load, then alternate ``forward`` and ``step``."""

    def __init__(self, shape: Shape, activation: Activation, networks: int, like: Tensor) -> None:
        """Buffers are of the type and on the device of ``like``."""
        points, widths = shape.points, shape.widths
        self._activation = activation
        self._top = len(widths) - 1

        def ones(*sizes: int) -> Tensor:
            return like.new_ones((networks, *sizes))

        fan_in = [width + 1 for width in (shape.inputs, *widths[:-1])]
        self._matrices = [ones(u, v) for u, v in zip(fan_in, widths, strict=True)]
        self._inputs = [ones(points, width) for width in fan_in]
        self._scaled = [ones(points, width) for width in fan_in]
        self._h, self._slopes, self._work, self._signs = (
            [ones(points, width) for width in widths] for _ in range(BUFFERS_PER_LAYER)
        )
        self._active, self._differing = (like.new_zeros((networks, points)) for _ in range(2))
        self._w, self._c = ones(widths[-1]), ones()
        self._x, self._y = self._inputs[0][:, :, :-1], like.new_zeros(points)
        self._p, self._minus_step = ones(points), ones(1)
        self._residuals, self._p_residuals, self._e = ones(points), ones(points), ones(points)

    def load(self, layers: Layers, problem: Problem) -> None:
        """Take the parameters and the problems of C networks."""
        for matrix, layer in zip(self._matrices, layers[:-1], strict=True):
            _fill(matrix[:, :-1], layer.weight)
            _fill(matrix[:, -1], layer.bias)
        _fill(self._w, layers[-1].weight[:, :, 0])
        _fill(self._c, layers[-1].bias[:, 0])
        _fill(self._x, problem.x)
        _fill(self._y, problem.y)
        _fill(self._p, problem.p)
        _fill(self._minus_step, -problem.step_size[:, None])

    def layers(self) -> Layers:
        """Copies of the parameters."""
        hidden = (Layer(_array(matrix[:, :-1]), _array(matrix[:, -1])) for matrix in self._matrices)
        return (*hidden, Layer(_array(self._w[:, :, None]), _array(self._c[:, None])))

    def forward(self, loss: Tensor) -> None:
        """Outputs and slopes at the present parameters; the loss (C,) is written to ``loss``."""
        for layer, h in enumerate(self._h):
            torch.bmm(self._inputs[layer], self._matrices[layer], out=h)
            self._activate(h, self._slopes[layer], self._work[layer])
            if layer < self._top:
                self._inputs[layer + 1][:, :, :-1] = h
        work, u = self._work[self._top], self._residuals
        torch.mul(self._h[self._top], self._w[:, None], out=work)
        torch.sum(work, 2, out=u)
        u.add_(self._c[:, None]).sub_(self._y)
        torch.mul(self._p, u, out=self._p_residuals)
        torch.mul(self._p_residuals, u, out=self._e)
        torch.sum(self._e, 1, out=loss)
        loss.mul_(0.5)

    def step(self) -> None:
        """One step of gradient descent, from what ``forward`` left."""
        torch.mul(self._p_residuals, self._minus_step, out=self._e)
        e = self._e[:, :, None]
        top, slope, work = self._top, self._slopes[self._top], self._work[self._top]
        torch.mul(self._h[top], e, out=work)
        dw = work.sum(1)
        if top == 0:
            # Delta = w slope, and w stays outside of the sum over the points.
            forcing = torch.bmm(self._times_e(0), slope)
            self._matrices[0].addcmul_(forcing, self._w[:, None])
        else:
            torch.mul(slope, self._w[:, None], out=work)
            self._descend_below()
        self._w.add_(dw)
        self._c.add_(self._e.sum(1))

    def remember_pattern(self) -> None:
        """Take the present activation pattern for the one that ``count_changes`` compares with."""
        self._active.zero_()
        for layer, signs in enumerate(self._signs):
            active = self._pattern(layer)
            self._active += active.sum(2)
            torch.mul(active, -2.0, out=signs).add_(1.0)

    def count_changes(self, changes: Tensor) -> None:
        """How many neurons and points differ from the remembered pattern, (C,).

        Exact at each point, where fewer than 2^24 neurons are counted, and none where none is.
        """
        self._differing.copy_(self._active)
        for layer, signs in enumerate(self._signs):
            work = self._work[layer]
            torch.mul(self._pattern(layer), signs, out=work)
            self._differing += work.sum(2)
        torch.sum(self._differing, 1, out=changes)

    def _descend_below(self) -> None:
        """Step for the hidden layers' matrices; Delta of the top one is in its work buffer."""
        for layer in range(self._top, -1, -1):
            delta, matrix = self._work[layer], self._matrices[layer]
            if layer > 0:
                below = self._work[layer - 1]
                torch.bmm(delta, matrix[:, :-1].transpose(1, 2), out=below)
                below.mul_(self._slopes[layer - 1])
            matrix.baddbmm_(self._times_e(layer), delta)

    def _times_e(self, layer: int) -> Tensor:
        """Inputs times e, (C, n_{l-1} + 1, D)."""
        torch.mul(self._inputs[layer], self._e[:, :, None], out=self._scaled[layer])
        return self._scaled[layer].transpose(1, 2)

    def _activate(self, z: Tensor, slope: Tensor, work: Tensor) -> None:
        """Pre-activations become outputs, in place; see mcrelu.theory.activations."""
        match self._activation:
            case "relu":
                torch.gt(z, 0.0, out=slope)
                z.relu_()
            case "leaky_relu":
                torch.gt(z, 0.0, out=slope)
                z.mul_(slope.mul_(1.0 - LEAK).add_(LEAK))
            case "tanh":
                z.tanh_()
                torch.mul(z, z, out=slope).neg_().add_(1.0)
            case "gelu":
                torch.mul(z, z, out=slope).mul_(-0.5).exp_().mul_(1.0 / sqrt(2.0 * pi))
                slope.mul_(z)
                torch.special.ndtr(z, out=work)
                slope.add_(work)
                z.mul_(work)
            case "silu":
                torch.sigmoid(z, out=work)
                z.mul_(work)
                torch.neg(work, out=slope).add_(1.0).mul_(z).add_(work)

    def _pattern(self, layer: int) -> Tensor:
        """1 where a neuron is active, 0 elsewhere; an output has the sign of its pre-activation."""
        if self._activation == "relu":
            return self._slopes[layer]
        return torch.gt(self._h[layer], 0.0, out=self._work[layer])


def _fill(tensor: Tensor, values: Array) -> None:
    tensor.copy_(torch.from_numpy(values))


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy().copy()
