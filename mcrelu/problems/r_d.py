"""Networks with inputs in R^d and any number of hidden layers: parameters, problems, states.

Glossary
--------
m : number of networks in a batch
n : width, the number of neurons of each hidden layer
d : number of inputs
D : number of distinct data points
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from mcrelu.types import Array, Floats, Ints

Activation = Literal["relu", "leaky_relu", "tanh", "gelu", "silu"]
LEAK = 0.01  # slope of leaky_relu on its inactive side
Precision = Literal["float64", "float32"]  # of parameters and training

NEVER = -1  # in arrays of epochs; rows have nulls instead


class Layer(NamedTuple):
    """One affine map of m networks, float64, or float32 where an engine trains in it."""

    weight: Array  # (m, inputs, outputs)
    bias: Array  # (m, outputs)


Layers = tuple[Layer, ...]  # hidden layers, then the one of the single output


class Problem(NamedTuple):
    """A batch of independent problems: 1/2 sum_j p_j (f(x_j) - y_j)^2 by gradient descent."""

    x: Floats  # (D, d)
    y: Floats  # (D,)
    p: Floats  # (m, D) weight of each point, rows sum to 1
    step_size: Floats  # (m,)
    threshold: Floats  # (m,) loss of the best function that is affine on every ray
    activation: Activation = "relu"

    def rows(self, index: Ints) -> Problem:
        """The problems of some networks."""
        return self._replace(
            p=self.p[index], step_size=self.step_size[index], threshold=self.threshold[index]
        )


class Info(NamedTuple):
    """What was observed so far; no parameter depends on it."""

    first_kink_change: Ints  # (m,) first epoch whose activation pattern is not the initial one
    first_loss_crossing: Ints  # (m,) first epoch with a loss below the threshold; else NEVER

    def rows(self, index: Ints) -> Info:
        """The record of some networks."""
        return Info(self.first_kink_change[index], self.first_loss_crossing[index])


class State(NamedTuple):
    """All that a later segment of training needs, so that it can go on from disk."""

    epoch: int  # steps done
    layers: Layers
    info: Info

    @classmethod
    def initial(cls, layers: Layers) -> State:
        """Before the first step."""
        never = np.full(len(layers[0].weight), NEVER, dtype=np.int64)
        return cls(0, layers, Info(never, never.copy()))

    def rows(self, index: Ints) -> State:
        """The states of some networks."""
        layers = tuple(Layer(*(part[index] for part in layer)) for layer in self.layers)
        return State(self.epoch, layers, self.info.rows(index))
