"""Counter-based standard normals: any of a stream, at any time.

Two words of Philox4x32-10 make two normals by Box and Muller's transform (Annals of Mathematical
Statistics 29, 1958). No library function is called, and no operation is used that CPUs round
differently, so a stream is the same everywhere to the last bit.

A change of this module that changes a normal is a new ``rng`` name: streams are part of what a
block is, and nothing else records which these were.

The radius has 32 bits: no normal is beyond 6.77, where 1e-11 of them should be.

Glossary
--------
tile : 4 * LANES normals of LANES blocks of four words, computed in lockstep
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from mcrelu.jit import jit, wide_vectors
from mcrelu.philox import philox_words
from mcrelu.types import Floats, Ints

LANES = 32
TILE = 4 * LANES

_LOG_2 = 0.6931471805599453
_SQRT_HALF_BITS = np.int64(0x3FE6A09E667F3BCD)  # of the double sqrt(1/2)
_MANTISSA = np.int64(52)  # bits
_FRACTION = np.uint64(0x3FFFFFFF)  # of a quarter turn
_STEP = 0.5 * pi / 2.0**30


@jit()
def standard_normals(k0: np.uint64, k1: np.uint64, first: int, normals: Floats) -> None:
    """Fill normals (n) with numbers ``first`` to ``first + n - 1`` of the stream with key (k0, k1).

    Keys are 32 bits in uint64; number 4 LANES t + LANES q + l is the q-th of block LANES t + l.
    """
    words, tile = np.empty((4, LANES), dtype=np.uint64), np.empty((4, LANES))
    flat = tile.ravel()
    end = first + len(normals)
    for t in range(first // TILE, (end - 1) // TILE + 1):
        philox_words(words, k0, k1, np.uint64(t) * np.uint64(LANES))
        box_muller(words[0], words[1], tile[0], tile[1])
        box_muller(words[2], words[3], tile[2], tile[3])
        start = t * TILE - first
        for i in range(max(0, -start), min(TILE, end - t * TILE)):
            normals[start + i] = flat[i]


@jit()
def normal_rows(k0: np.uint64, k1: np.uint64, index: Ints, normals: Floats) -> None:
    """Fill normals (len(index), n) with rows of the stream, row k being numbers k n to k n + n - 1.

    Runs of neighbouring rows are drawn at once.
    """
    n = normals.shape[1]
    flat = normals.reshape(-1)
    begin = 0
    for k in range(1, len(index) + 1):
        if k == len(index) or index[k] != index[k - 1] + 1:
            standard_normals(k0, k1, index[begin] * n, flat[begin * n : k * n])
            begin = k


@jit()
def box_muller(
    radius_words: NDArray[np.uint64], angle_words: NDArray[np.uint64], first: Floats, second: Floats
) -> None:
    """Radius sqrt(-2 log u) and angle of two words each -> two normals each, (LANES)."""
    wide_vectors()
    for lane in range(LANES):
        u = np.float64(np.int64(radius_words[lane])) + 0.5  # times 2^-32
        radius = sqrt(2.0 * (32.0 * _LOG_2 - _log(u)))
        word = angle_words[lane]
        quarter = word >> np.uint64(30)
        # Within an eighth of a turn of a multiple of a quarter
        turn = (np.float64(np.int64(word & _FRACTION)) + 0.5) * _STEP - 0.25 * pi
        sine, cosine = _sine(turn), _cosine(turn)
        odd = (quarter & np.uint64(1)) != 0
        x, y = (sine, cosine) if odd else (cosine, sine)
        # cos is negative in quarters 1 and 2, sin in 2 and 3
        left = ((quarter + np.uint64(1)) >> np.uint64(1)) & np.uint64(1)
        first[lane] = radius * x * (1.0 - 2.0 * np.float64(np.int64(left)))
        second[lane] = radius * y * (1.0 - 2.0 * np.float64(np.int64(quarter >> np.uint64(1))))


@jit(inline="always")
def _log(x: float) -> float:
    """The natural logarithm of a positive normal number, by 2 atanh((m - 1) / (m + 1))."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits - _SQRT_HALF_BITS) >> _MANTISSA
    m = np.int64(bits - (exponent << _MANTISSA)).view(np.float64)  # in [sqrt(1/2), sqrt 2)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = 2.0 / 15.0 + z * (2.0 / 17.0 + z * (2.0 / 19.0 + z * (2.0 / 21.0)))
    p = 2.0 / 7.0 + z * (2.0 / 9.0 + z * (2.0 / 11.0 + z * (2.0 / 13.0 + z * p)))
    p = 2.0 + z * (2.0 / 3.0 + z * (2.0 / 5.0 + z * p))
    return exponent * _LOG_2 + s * p


@jit(inline="always")
def _sine(x: float) -> float:
    """The sine for |x| <= pi / 4, by its series."""
    z = x * x
    p = 1.0 / 362880.0 + z * (-1.0 / 39916800.0 + z * (1.0 / 6227020800.0 - z / 1307674368000.0))
    return x * (1.0 + z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z * p))))


@jit(inline="always")
def _cosine(x: float) -> float:
    """The cosine for |x| <= pi / 4, by its series."""
    z = x * x
    p = 1.0 / 40320.0 + z * (-1.0 / 3628800.0 + z * (1.0 / 479001600.0 - z / 87178291200.0))
    return 1.0 + z * (-0.5 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * p)))
