"""Where a kink is, measured by the data points that it may cross. Compiled."""

from __future__ import annotations

from mcrelu.jit import fma, jit
from mcrelu.problems.one_d import Barrier


@jit(inline="always")
def outward(b: float, barrier: Barrier) -> float:
    """|b| in units of a's distance from the nearest point, for a neuron with a = 1.

    Its kink is at -b: left of zero where b > 0. So b and a may also be given over some positive
    number, and the kink has reached a point where the result is at least a.
    """
    # The same as |b| times either distance, without a choice by the sign of b
    even = 0.5 * (barrier.left + barrier.right)
    return fma(0.5 * (barrier.left - barrier.right), b, even * abs(b))
