"""Arrays that begin with a cache line.

A vector of 512 bits that lies across two lines is stored in two parts: kernels that work on other
arrays take up to three times as long.
"""

from __future__ import annotations

import numpy as np

from mcrelu.jit import jit
from mcrelu.types import Array

LINE = 64  # bytes


@jit()
def aligned(count: int, like: Array) -> Array:
    """A new vector of ``count`` zeros, of the type of ``like``."""
    kind = like.itemsize
    room = np.zeros(count + LINE // kind, dtype=like.dtype)
    start = (LINE - np.int64(room.ctypes.data) % LINE) % LINE // kind
    return room[start : start + count]


@jit()
def aligned_rows(values: Array) -> Array:
    """A copy of a matrix with rows that each begin with a line; they are longer for that."""
    rows, count = values.shape
    length = (count * values.itemsize + LINE - 1) // LINE * LINE // values.itemsize
    copy = aligned(rows * length, values).reshape(rows, length)
    for row in range(rows):
        copy[row, :count] = values[row]
    return copy


@jit()
def aligned_copy(values: Array) -> Array:
    """A copy of a vector."""
    copy = aligned(len(values), values)
    copy[:] = values
    return copy
