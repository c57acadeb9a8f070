"""Until when neurons surely keep their activation patterns, and whose turn comes next.

Glossary
--------
u : what a step adds to (a, b) is w u, to w it is <(a, b), u>; each group has its own
odometer l : sum over the steps since the last grouping of max |u| over the groups with members
theta : (n, q) parameters (a, b, w) of the neurons, q = d + 2
A, W : |(a, b)| and |w| of a neuron when it was looked at
clearance : least motion of (a, b) that changes the pattern, min_j |z_j| / |(x_j, 1)|
lease : how far the odometer may advance until the neuron must be looked at again
due : (n,) reading of the odometer at which a neuron must be looked at
heap : (n,) neurons as a binary heap, none due before its parent

Per step |d(a, b)| <= |u| |w| and |dw| <= |u| |(a, b)|. So while the odometer advances by t,
|w| <= W cosh t + A sinh t, and (a, b) moves by at most W sinh t + A (cosh t - 1). It stays below
the clearance while e^t is smaller than the larger root of a quadratic equation.
"""

from __future__ import annotations

import numpy as np

from mcrelu.jit import jit

# Of the clearance, relative to the parameters: far above what rounding moves neurons in a lease.
ROUNDING = 1e-9


@jit()
def lease(theta, i, clearance):
    """How far the odometer may advance until the pattern of neuron i may change.

    0 where the clearance is rounding, or not a number.
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
def advanced(odometer, way):
    """The odometer after a way > 0, rounded up: it advances even if the way is tiny."""
    return odometer * (1.0 + 4e-16) + way * (1.0 + 1e-12)


@jit()
def sift_down(heap, size, due, at):
    """Restore the order of a heap of the given size below one position."""
    neuron = heap[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and due[heap[child + 1]] < due[heap[child]]:
            child += 1
        if not due[heap[child]] < due[neuron]:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = neuron


@jit()
def build_heap(heap, due, wanted):
    """Make a heap of the wanted neurons; its size."""
    size = 0
    for i in range(len(due)):
        if wanted[i]:
            heap[size] = i
            size += 1
    for at in range(size // 2 - 1, -1, -1):
        sift_down(heap, size, due, at)
    return size
