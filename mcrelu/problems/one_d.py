"""Two-layer networks with one input: parameters, training problems, outcomes.

Glossary
--------
m : number of networks in a batch
n : width, the number of hidden neurons
D : number of distinct data points
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mcrelu.problems.neuron_sums import NeuronSums, neuron_sums
from mcrelu.types import Floats, Ints, PointSet


class StopReason(IntEnum):
    """Why the training of a network ended; every network ends in exactly one (docs/method.md 1)."""

    UNFINISHED = 0
    X_DEGENERATE = 1
    A_DEGENERATE = 2
    CROSSED = 3
    LOCALLY_CONVERGED = 4
    EARLY_STOPPED = 5


MEANINGS: dict[IntEnum, str] = {
    StopReason.UNFINISHED: "no criterion stopped it within `checks.maximum` checks",
    StopReason.X_DEGENERATE: "a side of zero has at most one point of its sample: nothing can be "
    "proved",
    StopReason.A_DEGENERATE: "all its input weights have one sign: nothing can be proved",
    StopReason.CROSSED: "a kink reached a data point",
    StopReason.LOCALLY_CONVERGED: "theory proves that no kink will ever cross a data point",
    StopReason.EARLY_STOPPED: "its validation loss stopped improving",
}


class Weights(NamedTuple):
    """Parameters of m networks f(x) = c + sum_i w_i phi(a_i x + b_i), phi the (leaky) ReLU."""

    a: Floats  # (m, n) input weights
    b: Floats  # (m, n) hidden biases
    c: Floats  # (m,)   output bias
    w: Floats  # (m, n) output weights

    @property
    def shape(self) -> tuple[int, int]:
        """Number of networks and width (m, n)."""
        m, n = self.a.shape
        return m, n

    @property
    def sums(self) -> NeuronSums:
        """Moments and extremes over the neurons of each network."""
        return neuron_sums(*self)

    def rows(self, index: Ints) -> Weights:
        """The parameters of some networks, (len(index), n)."""
        return Weights(*(part[index] for part in self))


def kinks(weights: Weights) -> Floats:
    """Where the functions of networks bend, -b_i / a_i, (m, n)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(-weights.b / weights.a)


def function_at(weights: Weights, x: Floats, leaky_slope: float = 0.0) -> Floats:
    """Outputs of networks at some places x (G,), (m, G)."""
    z = weights.a[:, None, :] * x[:, None] + weights.b[:, None, :]
    active = np.where(z >= 0.0, z, leaky_slope * z)
    return np.asarray(weights.c[:, None] + (active @ weights.w[:, :, None])[:, :, 0])


class InitialWeights(Protocol):
    """Parameters of m networks that need not all be in memory at once."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of networks and width (m, n)."""

    @property
    def sums(self) -> NeuronSums:
        """Moments and extremes over the neurons of each network."""

    def rows(self, index: Ints) -> Weights:
        """The parameters of some networks, rows ascending, (len(index), n)."""


class Barrier(NamedTuple):
    """How near to zero, where all kinks start, the data points are: inverse distances."""

    left: float  # 1 / |x| of the nearest point left of zero; 0 if there is none
    right: float

    @classmethod
    def of(cls, x: Floats) -> Barrier:
        """The barrier of points x (D,), none of them 0."""
        with np.errstate(divide="ignore"):
            left, right = (1.0 / np.min(side, initial=np.inf) for side in (-x[x < 0], x[x > 0]))
        return cls(float(left), float(right))


class Problem(NamedTuple):
    """A batch of independent training problems on one point set."""

    points: PointSet
    p: Floats  # (m, D) training weight of each point, rows sum to 1
    weights: InitialWeights
    step_size: Floats  # (m,)
    optimizer: str  # "gd" | "sgd" | "adam"
    leaky_slope: float = 0.0  # of the activation on its inactive side, in [0, 1); 0 is ReLU


class Info(NamedTuple):
    """What an engine observes of the kinks while it trains."""

    # (m,) running maximum over steps and neurons of |b/a|, in units of the distance of the nearest
    # data point on the side of zero where the kink is
    max_kink: Floats
    first_crossing: Ints  # (m,) first step with max_kink >= 1; 0 while there is none


class Outcome(NamedTuple):
    """How the training of each network of a batch ended."""

    status: NDArray[np.int8]  # (m,) StopReason
    stop_iteration: Ints  # (m,) step of the check at which it stopped
    first_crossing: Ints  # (m,) 0 if it never crossed
    max_kink: Floats  # (m,)
    training_loss: Floats  # (m,) 1/2 sum_j p_j (f(x_j) - y_j)^2
    validation_loss: Floats  # (m,) sum_j v_j (f(x_j) - y_j)^2
