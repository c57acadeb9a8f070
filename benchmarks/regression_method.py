"""The plain way to train two-layer networks by minibatches in torch: autograd, all at once.

As the original program goes about it (docs/method.md 5): in the parameters of its layers, with
their factors outside, the outputs of all networks at a minibatch, the loss, its gradient, a step of
torch's own optimiser; all validation and test points at every validation.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mcrelu.problems.regression import MOMENTUM, Networks, Problem
from mcrelu.shuffles import shuffle
from mcrelu.types import Floats, Ints


class AutogradRegression:
    """All networks of a problem in single precision, with the shuffles that our engines have."""

    def __init__(self, problem: Problem, networks: Networks) -> None:
        optimizer = problem.optimizer
        self._inner, self._outer = optimizer.inner_factor, optimizer.outer_factor
        self._parameters = [
            torch.tensor(part / factor, dtype=torch.float32, requires_grad=True)
            for part, factor in zip(networks, (self._inner, 1.0, self._outer, 1.0), strict=True)
        ]
        self._train, self._valid, self._test = (
            tuple(torch.tensor(part, dtype=torch.float32) for part in sample)
            for sample in problem.samples
        )
        self._problem, self._epoch = problem, 0
        rate = optimizer.rate
        self._descent: torch.optim.Optimizer
        if optimizer.rule == "adam":
            self._descent = torch.optim.Adam(self._parameters, lr=rate)
        else:
            momentum = MOMENTUM if optimizer.rule == "momentum" else 0.0
            self._descent = torch.optim.SGD(self._parameters, lr=rate, momentum=momentum)

    def train(self, epochs: int) -> None:
        """Train by some epochs."""
        x, y = self._train
        every = torch.arange(len(y))[:, None]
        for _ in range(epochs):
            order = self._order()
            for first in range(0, y.shape[1], self._problem.batch):
                if order is None:
                    self._step(x, y)
                else:
                    chosen = order[:, first : first + self._problem.batch]
                    self._step(x[every, chosen], y[every, chosen])
            self._epoch += 1

    def validate(self) -> tuple[Floats, Floats]:
        """Mean squared errors of validation and test sample, (m,) each."""
        with torch.no_grad():
            valid, test = (
                ((self._outputs(x) - y) ** 2).mean(dim=1).numpy()
                for x, y in (self._valid, self._test)
            )
        return valid.astype(float), test.astype(float)

    def _step(self, x: Tensor, y: Tensor) -> None:
        loss = ((y - self._outputs(x)) ** 2).mean(dim=1).sum()
        if not torch.isfinite(loss):
            return
        self._descent.zero_grad()
        loss.backward()
        self._descent.step()

    def _outputs(self, x: Tensor) -> Tensor:
        a, b, w, c = self._parameters
        hidden = torch.relu(self._inner * x.matmul(a) + b[:, None])
        return (self._outer * hidden.matmul(w[:, :, None]))[:, :, 0] + c[:, None]

    def _order(self) -> Tensor | None:
        points = self._train[1].shape[1]
        if points == self._problem.batch:
            return None
        key = tuple(np.uint64(word) for word in self._problem.shuffles.key)
        order: Ints = np.empty((len(self._problem.shuffles.network), points), dtype=np.int64)
        for row, network in zip(order, self._problem.shuffles.network, strict=True):
            shuffle(*key, np.uint64(network), np.uint64(self._epoch), row)
        return torch.from_numpy(order)
