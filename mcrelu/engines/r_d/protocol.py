"""The protocol of engines for networks in R^d, and what all of them measure alike.

Training goes in legs. Between legs there is nothing but a :class:`~mcrelu.problems.r_d.Descent`,
plain arrays, so a run that is resumed from disk at the end of a leg gives the rows of one that was
left alone, bit for bit, provided that both have the same legs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Protocol

from mcrelu.problems.r_d import Descent, Regression
from mcrelu.types import Floats

LOSS_EVERY = 1000  # epochs; legs are multiples of it
LEG = 10_000  # epochs; only the last leg of a run may be shorter
BELOW = 0.999999  # a loss below BELOW * threshold has crossed it

COPIES = 8  # of the parameters that are in memory at once

# Raised whenever the rows of an engine change. Here, since not every machine can import torch.
SEMANTICS = {"grouped": 1, "torch": 1}


class LayeredEngine(Protocol):
    """Full-batch gradient descent on a batch of networks; knows nothing of Ray, files or specs."""

    name: ClassVar[str]

    def advance(self, problem: Regression, state: Descent, epochs: int) -> tuple[Descent, Floats]:
        """Train by ``epochs`` steps, a multiple of LOSS_EVERY unless it is the last leg.

        After each step k (and, for the loss, before the first) the loss and the activation pattern
        on the data are looked at. A neuron is active where its pre-activation is > 0. The initial
        pattern is that of the state wherever ``first_kink_change`` is NEVER.

        Returns
        -------
        state : Descent
            The arrays it was given are not written to.
        losses : (m, k)
            After each epoch of the leg that is a multiple of LOSS_EVERY.
        """


def block_memory(networks: int, sizes: Sequence[int]) -> int:
    """Peak bytes of a block: draws, parameters, their moved copies, and what engines keep of them.

    ``sizes`` are the numbers of inputs, neurons of each hidden layer, and outputs. Activations do
    not count: engines hold those of a few networks at a time.
    """
    parameters = sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))
    return 8 * networks * parameters * COPIES
