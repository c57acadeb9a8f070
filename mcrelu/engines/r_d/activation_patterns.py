"""Activation patterns of single neurons on the data points, and which rows are equal.

Glossary
--------
D, d, q : number of data points, of inputs, and of parameters of a neuron, q = d + 2
theta : (q,) parameters (a, b, w) of a neuron
z : pre-activation <(a, b), (x_j, 1)>; the neuron is active at x_j where z > 0
words : activation pattern of a neuron, one bit per point
clearance : min_j |z_j| / |(x_j, 1)|, the least motion of (a, b) that changes the pattern
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcrelu.engines.r_d.vectors import (
    LANES,
    fill,
    load,
    magnitude,
    multiply,
    multiply_add,
    positive_bits,
    smaller,
    smallest,
)
from mcrelu.jit import jit, wide_vectors
from mcrelu.types import Bools, Floats, Ints

Words = NDArray[np.uint64]


class Points(NamedTuple):
    """Data of one network; L is D rounded up to LANES, filled up with copies of the first point."""

    x: Floats  # ((d + 1) * L,) points (x_j, 1), component by component
    inverse_norm: Floats  # (L,) 1 / |(x_j, 1)|
    y: Floats  # (D,)
    weight: Floats  # (D,) p_j

    @classmethod
    def of(cls, x: Floats, y: Floats, weight: Floats) -> Points:
        """Points x (D, d), targets and weights (D,)."""
        x1 = np.column_stack([x, np.ones(len(x))])
        padded = np.concatenate([x1, np.repeat(x1[:1], -len(x1) % LANES, axis=0)])
        norms = np.sqrt((padded * padded).sum(axis=1))
        columns = np.ascontiguousarray(padded.T).ravel()
        return cls(
            columns, 1.0 / norms, *(np.array(part, dtype=np.float64) for part in (y, weight))
        )


@jit()
def observe(theta: Floats, i: int, points: Points, words: Words, k: int) -> None:
    """Write the pattern of neuron i to row k of ``words``."""
    wide_vectors()
    for word in range(words.shape[1]):
        words[k, word] = np.uint64(0)
    for at in range(0, len(points.inverse_norm), LANES):
        active = positive_bits(_preactivations(theta, i, points, at))
        words[k, at >> 6] |= active << np.uint64(at & 63)


@jit()
def clearance(theta: Floats, i: int, points: Points) -> float:
    """The least motion of (a, b) that changes the pattern of neuron i."""
    wide_vectors()
    least = fill(np.inf)
    for at in range(0, len(points.inverse_norm), LANES):
        size = magnitude(_preactivations(theta, i, points, at))
        least = smaller(multiply(size, load(points.inverse_norm, at)), least)
    return smallest(least)


@jit(inline="always")
def _preactivations(theta: Floats, i: int, points: Points, at: int) -> Any:
    """Z of neuron i at eight points."""
    lanes, inputs = len(points.inverse_norm), theta.shape[1] - 2
    z = fill(theta[i, inputs])
    for r in range(inputs):
        z = multiply_add(fill(theta[i, r]), load(points.x, r * lanes + at), z)
    return z


@jit()
def is_set(words: Words, i: int, j: int) -> bool:
    """Whether bit j of row i is set."""
    return (words[i, j >> 6] >> np.uint64(j & 63)) & np.uint64(1) != np.uint64(0)


@jit()
def same(first: Words, i: int, second: Words, k: int) -> bool:
    """Whether row i of one array of patterns equals row k of another."""
    for word in range(first.shape[1]):  # noqa: SIM110 - numba knows no all()
        if first[i, word] != second[k, word]:
            return False
    return True


@jit()
def equal_rows(words: Words, wanted: Bools) -> tuple[Ints, Ints, int]:
    """Number the distinct rows among the wanted ones in the order of their first occurrence.

    Returns the number of each row (-1 if it is not wanted), the first row of each number, and how
    many numbers there are.
    """
    rows, size = len(words), 2
    while size < 2 * rows:
        size *= 2
    table, number = np.full(size, -1, dtype=np.int64), np.full(rows, -1, dtype=np.int64)
    first, found = np.empty(rows, dtype=np.int64), 0
    for i in range(rows):
        if not wanted[i]:
            continue
        at = _hash(words, i) & (size - 1)
        while table[at] >= 0 and not same(words, first[table[at]], words, i):
            at = (at + 1) & (size - 1)
        if table[at] < 0:
            table[at] = found
            first[found] = i
            found += 1
        number[i] = table[at]
    return number, first, found


@jit()
def _hash(words: Words, i: int) -> np.int64:
    """The same non-negative number for equal rows, hardly ever for others."""
    mixed = np.uint64(0x9E3779B97F4A7C15)
    for k in range(words.shape[1]):
        mixed = (mixed ^ words[i, k]) * np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(29)
    return np.int64(mixed >> np.uint64(1))
