"""Counter-based random words and minibatches: a draw is a function of its number, not of a history.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11, section 3.3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcrelu.jit import jit, wide_vectors
from mcrelu.types import Counts

MINIBATCH = 16  # draws per minibatch in the paper

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
def philox_words(words: NDArray[np.uint64], k0: np.uint64, k1: np.uint64, first: np.uint64) -> None:
    """Fill words (4, k) with the blocks of the counters (first, 0), .., (first + k - 1, 0).

    The same as :func:`philox4x32`, in lockstep; ``first`` has 64 bits, the first two words.
    """
    wide_vectors()
    lanes = words.shape[1]
    for lane in range(lanes):
        counter = first + np.uint64(lane)
        words[0, lane], words[1, lane] = counter & _MASK, counter >> _HALF
        words[2, lane] = words[3, lane] = np.uint64(0)
    for _ in range(_ROUNDS):
        for lane in range(lanes):
            # The masks, which change nothing, tell LLVM that these are products of 32 bits by 32.
            product0 = _MULTIPLIER_0 * (words[0, lane] & _MASK)
            product1 = _MULTIPLIER_1 * (words[2, lane] & _MASK)
            words[0, lane] = (product1 >> _HALF) ^ words[1, lane] ^ k0
            words[1, lane] = product1 & _MASK
            words[2, lane] = (product0 >> _HALF) ^ words[3, lane] ^ k1
            words[3, lane] = product0 & _MASK
        k0 = (k0 + _WEYL_0) & _MASK
        k1 = (k1 + _WEYL_1) & _MASK


@jit()
def minibatch_counts(
    k0: np.uint64,
    k1: np.uint64,
    network: np.uint64,
    limits: NDArray[np.uint64],
    size: int,
    first_step: int,
    counts: Counts,
) -> None:
    """Fill counts (D, steps) with how often each point stands in the minibatch of each step.

    A minibatch is ``size`` draws, at most 255; four come from one Philox block of 4 x 32 bits.

    A 32-bit word u falls on the first point j with u < limits[j]; limits (D) are the cumulative
    point weights times 2^32. Counter words: step (low, high), network in block, quarter.
    """
    wide_vectors()
    points, steps = counts.shape
    words = np.empty((4, steps), dtype=np.uint64)
    counts[:] = 0
    for quarter in range((size + 3) // 4):
        for s in range(steps):
            step = np.uint64(first_step) + np.uint64(s)
            words[0, s], words[1, s], words[2, s], words[3, s] = philox4x32(
                step & _MASK, step >> _HALF, network, np.uint64(quarter), k0, k1
            )
        for j in range(points):
            for word in range(min(4, size - 4 * quarter)):
                for s in range(steps):
                    counts[j, s] += words[word, s] < limits[j]
    for j in range(points - 1, 0, -1):
        for s in range(steps):
            counts[j, s] -= counts[j - 1, s]
