"""Packing of networks into lanes: (m, k) rows to (groups, k * LANES) flat groups and back.

The last group is filled up with copies of zero rows; what kernels compute there is dropped.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcrelu.engines.kernels import LANES
from mcrelu.types import Ints

Array = NDArray[Any]


def groups_of(m: int) -> int:
    """Number of lane groups that m networks fill."""
    return -(-m // LANES)


def pack(rows: Array) -> Array:
    """Lay out (m, ...) as (groups, k * LANES), k the product of the other lengths."""
    m = len(rows)
    flat = rows.reshape(m, prod(rows.shape[1:]))
    padded = np.zeros((groups_of(m) * LANES, flat.shape[1]), dtype=rows.dtype)
    padded[:m] = flat
    lanes_last = padded.reshape(groups_of(m), LANES, flat.shape[1]).swapaxes(1, 2)
    return np.ascontiguousarray(lanes_last).reshape(groups_of(m), flat.shape[1] * LANES)


def unpack(groups: Array, m: int) -> Array:
    """The first m rows of a packed array, (m, k)."""
    k = groups.shape[1] // LANES
    rows = groups.reshape(len(groups), k, LANES).swapaxes(1, 2)
    return np.ascontiguousarray(rows).reshape(len(groups) * LANES, k)[:m]


def take(groups: Array, rows: Ints) -> Array:
    """Some rows of a packed array, (len(rows), k), without unpacking the others."""
    lanes_last = groups.reshape(len(groups), groups.shape[1] // LANES, LANES)
    return lanes_last[rows // LANES, :, rows % LANES]
