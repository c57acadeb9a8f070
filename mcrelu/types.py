"""Array types and point sets: what every layer speaks of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.uint8]


class PointSet(NamedTuple):
    """Distinct data points with their targets."""

    x: Floats  # (D,) in one dimension, (D, d) in R^d
    y: Floats  # (D,)
