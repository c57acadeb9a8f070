"""Networks with any number of inputs, one after the other (fused_kernels.py)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mcrelu.engines.minibatch import fused_kernels as kernels
from mcrelu.engines.minibatch.descent_kernels import RULES
from mcrelu.engines.minibatch.packing import Steps, pack, unpack
from mcrelu.engines.minibatch.protocol import SampleName
from mcrelu.problems.regression import Networks, Precision, Problem, Sample
from mcrelu.types import Array, Bools, Floats, Ints

NEURONS_AT_ONCE = 16  # widths are filled up to multiples, with neurons that are never active


class _Points(NamedTuple):
    """A sample with inputs filled up with zeros, so that kernels take them four at a time."""

    x: Array  # (m, N, d')
    y: Array  # (m, N)


@dataclass(frozen=True)
class State:
    """Parameters of the networks that are still there."""

    samples: dict[SampleName, _Points]  # of all networks at the start
    steps: Steps
    index: Ints  # (m,) which of them these are
    theta: Array  # (m, (d' + 2) n' + 1)
    memory: Array  # (m, moments, (d' + 2) n' + 1)
    inputs: int
    width: int
    epoch: int = 0

    @property
    def filled_width(self) -> int:
        """Neurons, those that were filled up included."""
        return _up(self.width, NEURONS_AT_ONCE)


class FusedEngine:
    """Any number of inputs, on one core; rows depend on the kind of CPU, as sums are reordered."""

    name: ClassVar[str] = "fused"

    def __init__(self, precision: Precision = "float32") -> None:
        self._kind: Any = np.dtype(precision).type

    def init(self, problem: Problem, networks: Networks) -> State:
        """The state before the first step."""
        m, d, n = networks.a.shape
        theta = pack(_filled_up(networks), self._kind)
        names: tuple[SampleName, ...] = ("train", "valid", "test")
        return State(
            samples={name: self._points(getattr(problem.samples, name)) for name in names},
            steps=Steps.of(problem),
            index=np.arange(m),
            theta=theta,
            memory=np.zeros((m, problem.optimizer.moments, theta.shape[1]), dtype=self._kind),
            inputs=d,
            width=n,
        )

    def advance(self, state: State, epochs: int) -> State:
        """Train by some epochs; see :class:`mcrelu.engines.minibatch.protocol.Engine`."""
        theta, memory = state.theta.copy(), state.memory.copy()
        points, steps = state.samples["train"], state.steps
        for k, row in enumerate(state.index):
            kernels.train(
                points.x[row], points.y[row], steps.batch,
                *steps.key, steps.network[row], state.epoch, epochs,
                RULES[steps.rule], steps.rates, steps.epsilons, theta[k], memory[k],
                state.filled_width,
            )  # fmt: skip
        return replace(state, theta=theta, memory=memory, epoch=state.epoch + epochs)

    def mean_squares(self, state: State, sample: SampleName) -> Floats:
        """Mean of (f - y)^2 over a sample, (m,)."""
        points = state.samples[sample]
        sums = [
            kernels.sum_of_squares(points.x[row], points.y[row], state.theta[k], state.filled_width)
            for k, row in enumerate(state.index)
        ]
        return np.array(sums) / points.x.shape[1]

    def networks(self, state: State) -> Networks:
        """The parameters."""
        inputs = state.samples["train"].x.shape[2]
        a, b, w, c = unpack(state.theta, inputs)
        n = state.width
        return Networks(a[:, : state.inputs, :n], b[:, :n], w[:, :n], c)

    def keep(self, state: State, mask: Bools) -> State:
        """The state of the networks where mask (m,) is true."""
        return replace(
            state, index=state.index[mask], theta=state.theta[mask], memory=state.memory[mask]
        )

    def _points(self, sample: Sample) -> _Points:
        m, points, inputs = sample.x.shape
        x = np.zeros((m, points, _up(inputs, kernels.AT_ONCE)), dtype=self._kind)
        x[:, :, :inputs] = sample.x
        return _Points(x, sample.y.astype(self._kind))


def _filled_up(networks: Networks) -> Networks:
    m, d, n = networks.a.shape
    inputs, width = _up(d, kernels.AT_ONCE), _up(n, NEURONS_AT_ONCE)
    a, b, w = np.zeros((m, inputs, width)), np.zeros((m, width)), np.zeros((m, width))
    a[:, :d, :n], b[:, :n], w[:, :n] = networks.a, networks.b, networks.w
    return Networks(a, b, w, networks.c)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
