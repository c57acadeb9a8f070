"""One step of an optimiser along a gradient, for one network.

Parameters of a network are one vector, a (d n), b (n), w (n), c, so that every rule is a loop over
four stretches of it, each with a rate of its own.
"""

from __future__ import annotations

import numpy as np

from mcrelu.jit import jit, wide_vectors
from mcrelu.problems.regression import BETA_1, BETA_2, MOMENTUM
from mcrelu.types import Array

SGD, MOMENTUM_RULE, ADAM = 0, 1, 2
# What optimisers remember of neurons that are active nowhere decays, until numbers are subnormal,
# with which CPUs compute a hundred times slower. Below this they move nothing.
LEAST = 1e-36

RULES = {"sgd": SGD, "momentum": MOMENTUM_RULE, "adam": ADAM}


@jit()
def descend(
    rule: int, theta: Array, gradient: Array, memory: Array, rates: Array, epsilons: Array,
    width: int, steps: int,
) -> None:  # fmt: skip
    """Move theta (P) by one step; ``steps`` were taken before, memory (k, P) is what they left.

    ``rates`` and ``epsilons`` (4) are those of a, b, w and c.
    """
    size = len(theta)
    ends = (size - 2 * width - 1, size - width - 1, size - 1, size)
    start = 0
    for part in range(4):
        end = ends[part]
        own, slope, rate = theta[start:end], gradient[start:end], rates[part]
        if rule == SGD:
            _step(own, slope, rate)
        elif rule == MOMENTUM_RULE:
            _step_with_momentum(own, slope, memory[0, start:end], rate)
        else:
            _adam_step(
                own, slope, memory[0, start:end], memory[1, start:end], rate, epsilons[part], steps
            )
        start = end


@jit()
def _step(own: Array, slope: Array, rate: float) -> None:
    wide_vectors()
    rate = own.dtype.type(rate)
    for i in range(len(own)):
        own[i] -= rate * slope[i]


@jit()
def _step_with_momentum(own: Array, slope: Array, velocity: Array, rate: float) -> None:
    wide_vectors()
    kind = own.dtype.type
    rate, momentum = kind(rate), kind(MOMENTUM)
    least, zero = kind(LEAST), kind(0.0)
    for i in range(len(own)):
        v = momentum * velocity[i] + slope[i]
        velocity[i] = zero if abs(v) < least else v  # NaN stays
        own[i] -= rate * velocity[i]


@jit()
def _adam_step(
    own: Array, slope: Array, first: Array, second: Array, rate: float, epsilon: float, steps: int
) -> None:
    """Adam (Kingma and Ba 2015), its bias corrections in rate and epsilon: one division less."""
    wide_vectors()
    kind = own.dtype.type
    correction = np.sqrt(1.0 - _power(BETA_2, steps + 1))
    rate = kind(rate * correction / (1.0 - _power(BETA_1, steps + 1)))
    epsilon = kind(epsilon * correction)
    beta_1, beta_2 = kind(BETA_1), kind(BETA_2)
    rest_1, rest_2 = kind(1.0 - BETA_1), kind(1.0 - BETA_2)
    least, zero = kind(LEAST), kind(0.0)
    for i in range(len(own)):
        m = beta_1 * first[i] + rest_1 * slope[i]
        v = beta_2 * second[i] + rest_2 * (slope[i] * slope[i])
        first[i] = zero if abs(m) < least else m  # NaN stays
        second[i] = zero if v < least else v
        own[i] -= rate * first[i] / (np.sqrt(second[i]) + epsilon)


@jit()
def _power(base: float, exponent: int) -> float:
    """By squaring: the C library's power may differ between machines."""
    result = 1.0
    while exponent > 0:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result
