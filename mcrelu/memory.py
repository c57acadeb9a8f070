"""How many neurons are in memory at once, where not all need be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mcrelu.types import Ints

# Networks are drawn so many neurons at a time, which fit in a core's cache, and again whenever
# they are needed.
NEURONS_AT_ONCE = 2**14


def chunks(networks: int, width: int) -> Iterator[Ints]:
    """Row numbers in runs of at most NEURONS_AT_ONCE neurons, or of one network."""
    size = max(1, NEURONS_AT_ONCE // width)
    for first in range(0, networks, size):
        yield np.arange(first, min(first + size, networks))
