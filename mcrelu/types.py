"""Array types and point sets: what every layer speaks of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.uint8]


class PointSet(NamedTuple):
    """Distinct data points with their targets."""

    x: Floats  # (D,)
    y: Floats  # (D,)
