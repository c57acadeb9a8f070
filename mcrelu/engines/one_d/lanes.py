"""Packing of networks into lanes: (m, k) rows to (groups, k * lanes) flat groups and back.

The last group is filled up with zero rows; what kernels compute there is dropped.
"""

from __future__ import annotations

from math import prod

import numpy as np

from mcrelu.types import Array, Counts, Floats, Ints


def groups_of(m: int, lanes: int) -> int:
    """Number of lane groups that m networks fill."""
    return -(-m // lanes)


def pack(rows: Array, lanes: int) -> Array:
    """Lay out (m, ...) as (groups, k * lanes), k the product of the other lengths."""
    m, k, groups = len(rows), prod(rows.shape[1:]), groups_of(len(rows), lanes)
    padded = np.zeros((groups * lanes, k), dtype=rows.dtype)
    padded[:m] = rows.reshape(m, k)
    lanes_last = padded.reshape(groups, lanes, k).swapaxes(1, 2)
    return np.ascontiguousarray(lanes_last).reshape(groups, k * lanes)


def unpack(groups: Array, m: int, lanes: int) -> Array:
    """The first m rows of a packed array, (m, k)."""
    k = groups.shape[1] // lanes
    rows = groups.reshape(len(groups), k, lanes).swapaxes(1, 2)
    return np.ascontiguousarray(rows).reshape(len(groups) * lanes, k)[:m]


def take(groups: Array, rows: Ints, lanes: int) -> Array:
    """Some rows of a packed array, (len(rows), k), without unpacking the others."""
    lanes_last = groups.reshape(len(groups), groups.shape[1] // lanes, lanes)
    return lanes_last[rows // lanes, :, rows % lanes]


def lanes_last(counts: Counts, lanes: int) -> Counts:
    """Minibatches of at most ``lanes`` networks: counts (m, D, steps) -> (steps, D, lanes)."""
    m, points, steps = counts.shape
    result = np.zeros((steps, points, lanes), dtype=counts.dtype)
    result[:, :, :m] = counts.transpose(2, 1, 0)
    return result


def minibatch_weights(counts: Counts, lanes: int) -> Floats:
    """Weights of the points at each step: counts (m, D, steps), m <= lanes -> (steps, D, lanes)."""
    return lanes_last(counts, lanes) / max(int(counts[0, :, 0].sum()), 1)
