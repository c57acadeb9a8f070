"""The protocol of engines that train two-layer networks by minibatches.

An engine knows nothing of Ray, files or specs, nor of what is chosen by validation. Its state holds
what the next step needs; how it is laid out is the engine's own business.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol, TypeVar

from mcrelu.problems.regression import Networks, Problem
from mcrelu.types import Bools, Floats

State = TypeVar("State")
SampleName = Literal["train", "valid", "test"]


class Engine(Protocol[State]):
    """Training of m networks; row k of every result is network k of the state."""

    name: ClassVar[str]

    def init(self, problem: Problem, networks: Networks) -> State:
        """The state before the first step."""

    def advance(self, state: State, epochs: int) -> State:
        """Train by some epochs; the given state stays as it is.

        A neuron is active where its pre-activation is > 0. A network whose residuals are not finite
        may stop there.
        """

    def mean_squares(self, state: State, sample: SampleName) -> Floats:
        """Mean of (f - y)^2 over a sample, (m,)."""

    def networks(self, state: State) -> Networks:
        """The parameters."""

    def keep(self, state: State, mask: Bools) -> State:
        """The state of the networks where mask (m,) is true, in their order."""


AnyEngine = Engine[Any]
