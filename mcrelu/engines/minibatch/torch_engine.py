"""The same training in torch, on the CPU or a CUDA device: passes by hand, no autograd.

Networks are trained in chunks of a fixed size, the last filled up with copies, on one thread: a
product of matrices may depend on how many there are and on the threads, the result of a network
must not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mcrelu.engines.minibatch.packing import Steps, pack, unpack
from mcrelu.engines.minibatch.protocol import SampleName
from mcrelu.engines.torch_device import one_thread, tensor_like
from mcrelu.problems.regression import (
    BETA_1,
    BETA_2,
    MOMENTUM,
    Networks,
    Precision,
    Problem,
    Sample,
)
from mcrelu.shuffles import shuffle
from mcrelu.types import Array, Bools, Floats, Ints

CHUNK_ON_CPU = 4  # networks
CHUNK_ON_DEVICE = 128


class _Points(NamedTuple):
    x: Tensor  # (m, N, d)
    y: Tensor  # (m, N)


@dataclass(frozen=True)
class State:
    """Parameters of the networks that are still there."""

    samples: dict[SampleName, _Points]  # of all networks at the start
    steps: Steps
    index: Ints  # (m,) which of them these are
    theta: Tensor  # (m, P) a, b, w, c
    memory: Tensor  # (m, moments, P)
    epoch: int = 0


class TorchEngine:
    """Any number of inputs."""

    name: ClassVar[str] = "torch"

    def __init__(
        self,
        device: str = "cpu",
        precision: Precision = "float32",
        block_size: int | None = None,
    ) -> None:
        """An engine on a device; chunks are no larger than ``block_size``, that of the sweep.

        Raises
        ------
        ResourceError
            If there is no such device.
        """
        self._like = tensor_like(precision, device)
        most = CHUNK_ON_CPU if self._like.device.type == "cpu" else CHUNK_ON_DEVICE
        self._chunk = min(most, block_size or most)

    def init(self, problem: Problem, networks: Networks) -> State:
        """The state before the first step."""
        theta = self._tensor(pack(networks, np.float64))
        m, parameters = theta.shape
        names: tuple[SampleName, ...] = ("train", "valid", "test")
        return State(
            samples={name: self._points(getattr(problem.samples, name)) for name in names},
            steps=Steps.of(problem),
            index=np.arange(m),
            theta=theta,
            memory=self._like.new_zeros((m, problem.optimizer.moments, parameters)),
        )

    def advance(self, state: State, epochs: int) -> State:
        """Train by some epochs; see :class:`mcrelu.engines.minibatch.protocol.Engine`."""
        theta, memory = state.theta.clone(), state.memory.clone()
        with one_thread():
            for rows in self._chunks(len(state.index)):
                training = _Training.of(state, rows)
                training.run(state.epoch, epochs)
                theta[rows], memory[rows] = training.theta, training.memory
        return replace(state, theta=theta, memory=memory, epoch=state.epoch + epochs)

    def mean_squares(self, state: State, sample: SampleName) -> Floats:
        """Mean of (f - y)^2 over a sample, (m,)."""
        found = np.empty(len(state.index))
        points = state.samples[sample]
        with one_thread():
            for rows in self._chunks(len(state.index)):
                own = state.index[rows]
                parts = _Parts.of(state.theta[rows], points.x.shape[2])
                residuals = parts.outputs(points.x[own]) - points.y[own]
                found[rows] = residuals.double().square().mean(1).cpu().numpy()
        return found

    def networks(self, state: State) -> Networks:
        """The parameters."""
        return unpack(state.theta.cpu().numpy(), state.samples["train"].x.shape[2])

    def keep(self, state: State, mask: Bools) -> State:
        """The state of the networks where mask (m,) is true."""
        rows = np.flatnonzero(mask)
        return replace(
            state, index=state.index[rows], theta=state.theta[rows], memory=state.memory[rows]
        )

    def _chunks(self, networks: int) -> Iterator[Ints]:
        for first in range(0, networks, self._chunk):
            yield np.minimum(np.arange(first, first + self._chunk), networks - 1)

    def _points(self, sample: Sample) -> _Points:
        return _Points(self._tensor(sample.x), self._tensor(sample.y))

    def _tensor(self, values: Array) -> Tensor:
        return torch.as_tensor(values).to(self._like)


class _Parts(NamedTuple):
    """Views of the parameters of C networks."""

    a: Tensor  # (C, d, n)
    b: Tensor  # (C, 1, n)
    w: Tensor  # (C, n, 1)
    c: Tensor  # (C, 1)

    @classmethod
    def of(cls, theta: Tensor, inputs: int) -> _Parts:
        """Those of vectors a, b, w, c, (C, P)."""
        width = (theta.shape[1] - 1) // (inputs + 2)
        a, b, w, c = torch.split(theta, [inputs * width, width, width, 1], dim=1)
        return cls(a.reshape(-1, inputs, width), b[:, None], w[:, :, None], c)

    def outputs(self, x: Tensor) -> Tensor:
        """F at points x (C, N, d), (C, N)."""
        hidden = torch.baddbmm(self.b, x, self.a).relu_()
        return torch.bmm(hidden, self.w)[:, :, 0] + self.c

    def gradient(self, x: Tensor, y: Tensor, by: _Parts) -> None:
        """Write the gradient of the mean of (f - y)^2 to the parts of ``by``."""
        z = torch.baddbmm(self.b, x, self.a)
        active = z > 0
        f = torch.bmm(z.relu_(), self.w)[:, :, 0] + self.c
        residuals = (f - y) * (2.0 / y.shape[1])
        felt = active * residuals[:, :, None]
        slopes, plain = torch.bmm(x.mT, felt), felt.sum(1, keepdim=True)
        # w max(0, a x + b) is linear in (a, b), so the sums that give its gradient by a and b
        # give that by w, too.
        by.w[:, :, 0] = (self.a * slopes).sum(1) + (self.b * plain)[:, 0]
        torch.mul(slopes, self.w.mT, out=by.a)
        torch.mul(plain, self.w.mT, out=by.b)
        by.c[:, 0] = residuals.sum(1)


class _Training(NamedTuple):
    """C networks with their points and their optimiser."""

    x: Tensor  # (C, N, d)
    y: Tensor  # (C, N)
    steps: Steps
    network: Array  # (C,)
    theta: Tensor  # (C, P)
    memory: Tensor  # (C, moments, P)
    rates: Tensor  # (P,)
    epsilons: Tensor  # (P,)

    @classmethod
    def of(cls, state: State, rows: Ints) -> _Training:
        """Those of some rows of a state."""
        own, points, steps = state.index[rows], state.samples["train"], state.steps
        x, theta = points.x[own], state.theta[rows]
        inputs = x.shape[2]
        width = (theta.shape[1] - 1) // (inputs + 2)
        sizes = [inputs * width, width, width, 1]
        return cls(
            x=x,
            y=points.y[own],
            steps=steps,
            network=steps.network[own],
            theta=theta,
            memory=state.memory[rows],
            rates=torch.as_tensor(np.repeat(steps.rates, sizes)).to(theta),
            epsilons=torch.as_tensor(np.repeat(steps.epsilons, sizes)).to(theta),
        )

    def run(self, first_epoch: int, epochs: int) -> None:
        """Train by some epochs, in place."""
        gradient = torch.zeros_like(self.theta)
        inputs, points = self.x.shape[2], self.y.shape[1]
        parts, by = _Parts.of(self.theta, inputs), _Parts.of(gradient, inputs)
        batches = points // self.steps.batch
        for epoch in range(first_epoch, first_epoch + epochs):
            for k, (x, y) in enumerate(self._batches(epoch)):
                parts.gradient(x, y, by)
                self._descend(gradient, epoch * batches + k)

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        batch, points = self.steps.batch, self.y.shape[1]
        if batch == points:
            yield self.x, self.y
            return
        order = np.empty((len(self.network), points), dtype=np.int64)
        for row, network in zip(order, self.network, strict=True):
            shuffle(*self.steps.key, network, np.uint64(epoch), row)
        taken = torch.as_tensor(order).to(self.x.device)
        every = torch.arange(len(order), device=self.x.device)[:, None]
        for chosen in torch.split(taken, batch, dim=1):
            yield self.x[every, chosen], self.y[every, chosen]

    def _descend(self, gradient: Tensor, steps: int) -> None:
        """One step of the optimiser; see descent_kernels.py."""
        if self.steps.rule == "sgd":
            self.theta.sub_(self.rates * gradient)
        elif self.steps.rule == "momentum":
            velocity = self.memory[:, 0]
            velocity.mul_(MOMENTUM).add_(gradient)
            self.theta.sub_(self.rates * velocity)
        else:
            first, second = self.memory[:, 0], self.memory[:, 1]
            first.mul_(BETA_1).add_(gradient, alpha=1.0 - BETA_1)
            second.mul_(BETA_2).addcmul_(gradient, gradient, value=1.0 - BETA_2)
            correction = (1.0 - BETA_2 ** (steps + 1)) ** 0.5
            rate = self.rates * (correction / (1.0 - BETA_1 ** (steps + 1)))
            self.theta.sub_(rate * first / (second.sqrt() + self.epsilons * correction))
