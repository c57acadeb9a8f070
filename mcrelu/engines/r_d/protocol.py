"""The protocol of engines for networks in R^d, and what all of them measure alike.

Training goes in segments. Between segments there is nothing but a
:class:`~mcrelu.problems.r_d.State`, plain arrays, so a run that is resumed from disk at the end of
a segment gives the rows of one that was left alone, bit for bit, provided that both have the same
segments. The parameters and the epoch are what the next step needs; ``state.info`` and the losses
are observations, which no step depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Protocol

from mcrelu.problems.r_d import Problem, State
from mcrelu.types import Floats

LOSS_EVERY = 1000  # epochs; segments are multiples of it
SEGMENT = 10_000  # epochs; only the last segment of a run may be shorter
BELOW = 0.999999  # a loss below BELOW * threshold has crossed it

COPIES = 8  # of the parameters that are in memory at once


class Engine(Protocol):
    """Full-batch gradient descent on a batch of networks; knows nothing of Ray, files or specs."""

    name: ClassVar[str]

    def advance(self, problem: Problem, state: State, epochs: int) -> tuple[State, Floats]:
        """Train by ``epochs`` steps, a multiple of LOSS_EVERY unless it is the last segment.

        The loss is recorded before the first step and after each, the activation pattern on the
        data after each. A neuron is active where its pre-activation is > 0. The initial pattern is
        that of the given state wherever ``first_kink_change`` is NEVER.

        Returns
        -------
        state : State
            The arrays it was given are not written to.
        losses : (m, k)
            After each epoch of the segment that is a multiple of LOSS_EVERY.
        """


def block_memory(networks: int, sizes: Sequence[int]) -> int:
    """Peak bytes of a block: draws, parameters, their moved copies, and what engines keep of them.

    ``sizes`` are the numbers of inputs, neurons of each hidden layer, and outputs. Activations do
    not count: engines hold those of a few networks at a time.
    """
    parameters = sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))
    return 8 * networks * parameters * COPIES
