"""The protocol of an engine: the numerics of a batch of networks, and nothing else.

An engine knows nothing of Ray, files or sweeps. Its state holds what the next step needs; how it
is laid out is the engine's own business. What it observed of the kinks so far is its ``info``: it
travels with the state, but no parameter depends on it. ``advance`` may not change the state it is
given.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeVar

from mcrelu.problems.one_d import Info, Problem, Weights
from mcrelu.types import Bools, Counts, Floats, Ints

State = TypeVar("State")


class Engine(Protocol[State]):
    """What a training loop needs; states hold m networks, row k of every result is network k."""

    name: ClassVar[str]
    semantics: ClassVar[int]  # raised whenever the rows of an engine change
    optimizers: ClassVar[frozenset[str]]

    @staticmethod
    def memory(networks: int, width: int, optimizer: str, crossing: int) -> int:
        """Peak bytes that a block of this size needs, from the draws to the last check.

        At most ``crossing`` of the networks have a crossing between two checks.
        """

    def init(self, problem: Problem) -> State:
        """The state before the first step."""

    def advance(self, state: State, steps: int, minibatches: Counts | None = None) -> State:
        """Train by ``steps`` steps.

        ``minibatches`` (m, D, steps) holds how often each point stands in the minibatch of each
        step; None trains on the problem's own weights p.
        """

    def info(self, state: State) -> Info:
        """The record of the kinks over all steps so far."""

    def outputs(self, state: State) -> Floats:
        """Network outputs at the data points, (m, D)."""

    def neurons(self, state: State, rows: Ints | None = None) -> Weights:
        """All parameters, materialised; of the networks in ``rows``, ascending, if given."""

    def outermost(self, state: State, rows: Ints) -> Weights:
        """Neurons (len(rows), k) that decide for all others of the networks in ``rows``.

        If a condition on (a, b, w) that is homogeneous and, where a keeps its sign, concave (such
        as neurons_stay of theory/criterion.py) holds for these neurons, it holds for all.
        """

    def moments(self, state: State) -> Floats:
        """Sigma of theory/sigma.py, (m, 2, 3, 3)."""

    def keep(self, state: State, mask: Bools) -> State:
        """The state of the networks where mask (m,) is true, in their order."""


AnyEngine = Engine[Any]
