"""Orders of training points, each a function of key, network and epoch."""

from __future__ import annotations

import numpy as np

from mcrelu.jit import jit
from mcrelu.philox import philox4x32
from mcrelu.types import Ints

_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@jit()
def shuffle(
    k0: np.uint64, k1: np.uint64, network: np.uint64, epoch: np.uint64, order: Ints
) -> None:
    """Fill order (N) with a random permutation of 0 .. N - 1, by Fisher and Yates.

    Counter words: number of the block, epoch, network (low, high). A word u picks one of k places
    as u k / 2^32, which is uniform within k / 2^32.
    """
    points = len(order)
    for i in range(points):
        order[i] = i
    used = 4
    block = np.uint64(0)
    words = (block, block, block, block)
    for i in range(points - 1, 0, -1):
        if used == 4:
            words = philox4x32(block, epoch, network & _MASK, network >> _HALF, k0, k1)
            block += np.uint64(1)
            used = 0
        word = words[used]
        used += 1
        k = np.int64((word * np.uint64(i + 1)) >> _HALF)
        order[i], order[k] = order[k], order[i]
