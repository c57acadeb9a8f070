"""Counter-based minibatches: the draws of a step are a function of its number, not of a history.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11, section 3.3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcrelu.jit import jit, wide_vectors
from mcrelu.types import Counts

MINIBATCH = 16  # draws per minibatch; four of them come from one Philox block of 4 x 32 bits

_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_ROUNDS = 10


@jit()
def philox4x32(
    c0: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64, k0: np.uint64, k1: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """One block: four counter words and two key words (32 bits in uint64) -> four words."""
    for _ in range(_ROUNDS):
        product0 = _MULTIPLIER_0 * c0
        product1 = _MULTIPLIER_1 * c2
        c0 = (product1 >> _HALF) ^ c1 ^ k0
        c1 = product1 & _MASK
        c2 = (product0 >> _HALF) ^ c3 ^ k1
        c3 = product0 & _MASK
        k0 = (k0 + _WEYL_0) & _MASK
        k1 = (k1 + _WEYL_1) & _MASK
    return c0, c1, c2, c3


@jit()
def minibatch_counts(
    k0: np.uint64,
    k1: np.uint64,
    network: np.uint64,
    limits: NDArray[np.uint64],
    first_step: int,
    counts: Counts,
) -> None:
    """Fill counts (D, steps) with how often each point stands in the minibatch of each step.

    A 32-bit word u falls on the first point j with u < limits[j]; limits (D) are the cumulative
    point weights times 2^32. Counter words: step (low, high), network in block, quarter.
    """
    wide_vectors()
    points, steps = counts.shape
    words = np.empty((4, steps), dtype=np.uint64)
    counts[:] = 0
    for quarter in range(MINIBATCH // 4):
        for s in range(steps):
            step = np.uint64(first_step) + np.uint64(s)
            words[0, s], words[1, s], words[2, s], words[3, s] = philox4x32(
                step & _MASK, step >> _HALF, network, np.uint64(quarter), k0, k1
            )
        for j in range(points):
            for word in range(4):
                for s in range(steps):
                    counts[j, s] += words[word, s] < limits[j]
    for j in range(points - 1, 0, -1):
        for s in range(steps):
            counts[j, s] -= counts[j - 1, s]
