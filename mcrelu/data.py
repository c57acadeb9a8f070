"""Point sets of the one-dimensional experiment."""

from __future__ import annotations

import numpy as np

from mcrelu.types import Floats, Ints, PointSet

X = (-1.0, -2.0, -3.0, 1.0, 2.0, 3.0)
Y = (-1.0, 2.0, -1.0, 1.0, -2.0, 1.0)


def standard_points(offset: float = 0.0) -> PointSet:
    """The paper's six points, targets raised by ``offset`` (docs/method.md 1).

    The order is the one in which the original draws their counts.
    """
    return PointSet(np.array(X), np.array(Y) + offset)


def sample_size(width: int) -> int:
    """Number of samples N = n^2 that a network of width n is trained on."""
    return width * width


def point_weights(counts: Ints) -> Floats:
    """Weight p_j = count_j / N of each point; counts (m, D) -> (m, D)."""
    return counts / counts.sum(axis=1, keepdims=True)
