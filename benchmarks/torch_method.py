"""The plain way to train layered networks in torch: autograd, all networks at once.

As the original program goes about it (docs/method.md 4): every epoch computes the outputs, the
loss and its gradient, compares all activation patterns with the initial ones, and steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcrelu.engines.r_d.protocol import BELOW
from mcrelu.problems.r_d import NEVER, Layer, Layers, Problem
from mcrelu.types import Ints


class AutogradRun:
    """All networks of a problem in single precision."""

    def __init__(self, problem: Problem, layers: Layers) -> None:
        self._x, self._y, self._p, threshold, step = (
            torch.tensor(values, dtype=torch.float32)
            for values in (
                problem.x, problem.y, problem.p, problem.threshold, problem.step_size,
            )
        )  # fmt: skip
        self._limit, self._step = BELOW * threshold, step
        self._parameters = [
            [torch.tensor(part, dtype=torch.float32, requires_grad=True) for part in layer]
            for layer in layers
        ]
        self._epoch = 0
        self._kink, self._crossing = (
            torch.full((len(problem.p),), NEVER, dtype=torch.int64) for _ in range(2)
        )
        with torch.no_grad():
            self._initial = [z > 0.0 for z in self._forward()[1]]

    @property
    def layers(self) -> Layers:
        """The present parameters."""
        return tuple(
            Layer(*(part.detach().numpy().copy() for part in layer)) for layer in self._parameters
        )

    @property
    def first_kink_change(self) -> Ints:
        """First epoch with another activation pattern, or NEVER, (m,)."""
        return self._kink.numpy()

    def train(self, epochs: int) -> None:
        """Train by some epochs."""
        for _ in range(epochs):
            outputs, pre_activations = self._forward()
            losses = 0.5 * (self._p * (outputs - self._y) ** 2).sum(dim=1)
            losses.sum().backward()
            with torch.no_grad():
                self._record(losses, pre_activations)
                self._descend()
            self._epoch += 1

    def _forward(self) -> tuple[Tensor, list[Tensor]]:
        h, pre_activations = self._x.expand(len(self._p), *self._x.shape), []
        for weight, bias in self._parameters[:-1]:
            pre_activations.append(h @ weight + bias[:, None])
            h = torch.relu(pre_activations[-1])
        weight, bias = self._parameters[-1]
        return (h @ weight + bias[:, None])[:, :, 0], pre_activations

    def _record(self, losses: Tensor, pre_activations: list[Tensor]) -> None:
        self._crossing[(self._crossing == NEVER) & (losses < self._limit)] = self._epoch
        for z, initial in zip(pre_activations, self._initial, strict=True):
            changed = ((z > 0.0) != initial).any(dim=2).any(dim=1)
            self._kink[(self._kink == NEVER) & changed] = self._epoch

    def _descend(self) -> None:
        for part in (part for layer in self._parameters for part in layer):
            part.sub_(self._step.view(-1, *[1] * (part.ndim - 1)) * part.grad)
            part.grad = None
