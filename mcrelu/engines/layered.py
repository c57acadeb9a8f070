"""The protocol of engines for networks in R^d, and what all of them measure alike.

Training goes in legs. Between legs there is nothing but a :class:`~mcrelu.mlp.Descent`, plain
arrays, so a run that is resumed from disk at the end of a leg gives the rows of one that was left
alone, bit for bit, provided that both have the same legs.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from mcrelu.mlp import Descent, Regression
from mcrelu.types import Floats

LOSS_EVERY = 1000  # epochs; legs are multiples of it
BELOW = 0.999999  # a loss below BELOW * threshold has crossed it


class LayeredEngine(Protocol):
    """Full-batch gradient descent on a batch of networks; knows nothing of Ray, files or specs."""

    name: ClassVar[str]
    semantics: ClassVar[int]  # raised whenever the rows of an engine change

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
