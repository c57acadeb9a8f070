"""Networks with one input, as piecewise affine functions (piecewise_kernels.py)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcrelu.engines.minibatch import piecewise_kernels as kernels
from mcrelu.engines.minibatch.descent_kernels import RULES
from mcrelu.engines.minibatch.packing import Steps, pack, unpack
from mcrelu.engines.minibatch.protocol import SampleName
from mcrelu.problems.regression import Networks, Problem, Sample
from mcrelu.types import Array, Bools, Floats, Ints


class _Sorted(NamedTuple):
    """A sample in the order of its points."""

    x: Floats  # (m, N) ascending
    y: Floats  # (m, N)
    rank: Ints  # (m, N) where the k-th point as drawn stands among them

    @classmethod
    def of(cls, sample: Sample) -> _Sorted:
        """A sample with one input."""
        order = np.argsort(sample.x[:, :, 0], axis=1, kind="stable")
        return cls(
            x=np.take_along_axis(sample.x[:, :, 0], order, axis=1).astype(np.float64),
            y=np.take_along_axis(sample.y, order, axis=1).astype(np.float64),
            rank=np.argsort(order, axis=1, kind="stable"),
        )


@dataclass(frozen=True)
class State:
    """Parameters of the networks that are still there, and where their kinks were last."""

    samples: dict[SampleName, _Sorted]  # of all networks at the start
    steps: Steps
    index: Ints  # (m,) which of them these are
    theta: Floats  # (m, 3 n + 1) a, b, w, c
    memory: Floats  # (m, moments, 3 n + 1)
    places: dict[SampleName, NDArray[np.uint64]]  # (m, n); merely where to begin to look
    epoch: int = 0


class PiecewiseEngine:
    """One input; double precision; a step costs the number of neurons plus that of points."""

    name: ClassVar[str] = "piecewise"

    def init(self, problem: Problem, networks: Networks) -> State:
        """The state before the first step."""
        theta = pack(networks, np.float64)
        m, n = networks.b.shape
        names: tuple[SampleName, ...] = ("train", "valid", "test")
        return State(
            samples={name: _Sorted.of(getattr(problem.samples, name)) for name in names},
            steps=Steps.of(problem),
            index=np.arange(m),
            theta=theta,
            memory=np.zeros((m, problem.optimizer.moments, theta.shape[1])),
            places={name: np.zeros((m, n), dtype=np.uint64) for name in names},
        )

    def advance(self, state: State, epochs: int) -> State:
        """Train by some epochs; see :class:`mcrelu.engines.minibatch.protocol.Engine`."""
        theta, memory = state.theta.copy(), state.memory.copy()
        places = state.places["train"].copy()
        points, steps = state.samples["train"], state.steps
        for k, row in enumerate(state.index):
            kernels.train(
                points.x[row], points.y[row], points.rank[row], steps.batch,
                *steps.key, steps.network[row], state.epoch, epochs,
                RULES[steps.rule], steps.rates, steps.epsilons, theta[k], memory[k], places[k],
            )  # fmt: skip
        return replace(
            state, theta=theta, memory=memory, places=state.places | {"train": places},
            epoch=state.epoch + epochs,
        )  # fmt: skip

    def mean_squares(self, state: State, sample: SampleName) -> Floats:
        """Mean of (f - y)^2 over a sample, (m,)."""
        points = state.samples[sample]
        sums = [
            kernels.sum_of_squares(
                points.x[row], points.y[row], state.theta[k], state.places[sample][k]
            )
            for k, row in enumerate(state.index)
        ]
        return np.array(sums) / points.x.shape[1]

    def networks(self, state: State) -> Networks:
        """The parameters."""
        return unpack(state.theta, inputs=1)

    def keep(self, state: State, mask: Bools) -> State:
        """The state of the networks where mask (m,) is true."""
        places: dict[SampleName, Array] = {name: p[mask] for name, p in state.places.items()}
        return replace(
            state, index=state.index[mask], theta=state.theta[mask], memory=state.memory[mask],
            places=places,
        )  # fmt: skip
