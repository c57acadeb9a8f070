"""How far groups may move before a neuron's activation pattern can change, and who is checked next.

Glossary
--------
u : what a step adds to (a, b) is w u, to w it is <(a, b), u>; each group has its own
motion bound l : sum over the steps since the last grouping of max |u| over the groups with members
theta : (n, q) parameters (a, b, w) of the neurons, q = d + 2
A, W : |(a, b)| and |w| of a neuron when it was checked
clearance : least motion of (a, b) that changes the pattern, min_j |z_j| / |(x_j, 1)|
certificate : how much the motion bound may grow until the neuron must be checked again
expiry : (n,) value of the motion bound at which the certificate of a neuron ends
heap : (n,) neurons as a binary heap, none of which expires before its parent

Per step |d(a, b)| <= |u| |w| and |dw| <= |u| |(a, b)|. So while the motion bound grows by t,
|w| <= W cosh t + A sinh t, and (a, b) moves by at most W sinh t + A (cosh t - 1). It stays below
the clearance while e^t is smaller than the larger root of a quadratic equation.
"""

from __future__ import annotations

import numpy as np

from mcrelu.jit import jit
from mcrelu.types import Bools, Floats, Ints

# Of the clearance, relative to the parameters: far above what rounding moves a certified neuron.
ROUNDING = 1e-9


@jit()
def certificate(theta: Floats, i: int, clearance: float) -> float:
    """How much the motion bound may grow until the pattern of neuron i may change.

    0 where the clearance is rounding, or NaN.
    """
    square = 0.0
    inputs1 = theta.shape[1] - 1
    for r in range(inputs1):
        square += theta[i, r] * theta[i, r]
    a, w = np.sqrt(square), abs(theta[i, inputs1])
    reach = a + (clearance - ROUNDING * (a + w))
    if not a < reach:
        return 0.0
    root = (reach + np.sqrt(reach * reach - (a - w) * (a + w))) / (a + w)
    return max(np.log(root), 0.0) * (1.0 - ROUNDING)


@jit()
def grown(motion_bound: float, step_bound: float) -> float:
    """The motion bound after a step with |u| <= step_bound, rounded up: it grows by any > 0."""
    return motion_bound * (1.0 + 4e-16) + step_bound * (1.0 + 1e-12)


@jit()
def sift_down(heap: Ints, size: int, expiry: Floats, at: int) -> None:
    """Restore the order of a heap of the given size below one position."""
    neuron = heap[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and expiry[heap[child + 1]] < expiry[heap[child]]:
            child += 1
        if not expiry[heap[child]] < expiry[neuron]:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = neuron


@jit()
def build_heap(heap: Ints, expiry: Floats, wanted: Bools) -> int:
    """Make a heap of the wanted neurons; its size."""
    size = 0
    for i in range(len(expiry)):
        if wanted[i]:
            heap[size] = i
            size += 1
    for at in range(size // 2 - 1, -1, -1):
        sift_down(heap, size, expiry, at)
    return size
