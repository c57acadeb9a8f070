"""Two-layer ReLU networks on samples of a regression problem, trained by minibatches.

f(x) = sum_i w_i max(0, a_i x + b_i) + c. A network with factors on its layers,
f(x) = s_2 sum_i w_i max(0, s_1 a_i x + b_i) + c, is the same network with weights s_1 a and s_2 w
that move by other rates (docs/method.md 5), so engines know the factors only as
:class:`Optimizer` has them.

Glossary
--------
m : number of networks in a batch
n : width, the number of neurons
d : number of inputs
N : number of points of a sample
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from mcrelu.types import Array, Floats, Ints

Rule = Literal["sgd", "momentum", "adam"]
Precision = Literal["float64", "float32"]  # of parameters and training

MOMENTUM = 0.9
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # of Adam


class Sample(NamedTuple):
    """Points of m networks, each with its own."""

    x: Floats  # (m, N, d)
    y: Floats  # (m, N)

    def rows(self, index: Ints) -> Sample:
        """Those of some networks."""
        return Sample(self.x[index], self.y[index])


class Samples(NamedTuple):
    """What m networks are trained, chosen and judged by."""

    train: Sample
    valid: Sample
    test: Sample


class Networks(NamedTuple):
    """Parameters of m networks; the layers' factors are part of a and w."""

    a: Array  # (m, d, n)
    b: Array  # (m, n)
    w: Array  # (m, n)
    c: Array  # (m,)


@dataclass(frozen=True)
class Optimizer:
    """A rule and how far it moves the parameters.

    With factors s on weights u, the gradient in u is s times that in s u. So plain descent in u
    moves s u by s^2 times the rate; Adam, which divides by the gradient's size, by s times the rate
    with an epsilon of 1/s.
    """

    rule: Rule
    rate: float
    inner_factor: float = 1.0  # s_1
    outer_factor: float = 1.0  # s_2

    def rates(self) -> tuple[float, float, float]:
        """Rates of a, of the biases b and c, and of w."""
        power = 1 if self.rule == "adam" else 2
        inner, outer = self.inner_factor**power, self.outer_factor**power
        return self.rate * inner, self.rate, self.rate * outer

    def epsilons(self) -> tuple[float, float, float]:
        """What Adam adds to the root of the second moments of a, of b and c, and of w."""
        return EPSILON / self.inner_factor, EPSILON, EPSILON / self.outer_factor

    @property
    def moments(self) -> int:
        """How many numbers beside each parameter it remembers."""
        return {"sgd": 0, "momentum": 1, "adam": 2}[self.rule]


class Shuffles(NamedTuple):
    """The order of the training points in each epoch: a function of key, network and epoch."""

    key: tuple[int, int]  # 32 bits each
    network: Ints  # (m,) number of each network


class Problem(NamedTuple):
    """A batch of independent problems: mean over a minibatch of (f - y)^2, by an optimiser."""

    samples: Samples
    optimizer: Optimizer
    batch: int  # points per step, a divisor of the training sample's size; all: no shuffling
    shuffles: Shuffles
