"""Where the kinks of a network start, by name.

===============  =================================================================================
``zero``         all at 0, as in sweeps
``places``       each at one of five places, drawn at random: 0, and a quarter and half of the way
                 to the outermost points on either side
``equidistant``  evenly between the outermost points
``points``       each at a data point, drawn at random
===============  =================================================================================
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcrelu.types import Floats

PLACES = (-0.5, -0.25, 0.0, 0.25, 0.5)  # in units of the largest |x|

Starts = Callable[[np.random.Generator, Floats, int], Floats]


def _zero(_: np.random.Generator, x: Floats, neurons: int) -> Floats:  # noqa: ARG001
    return np.zeros(neurons)


def _places(generator: np.random.Generator, x: Floats, neurons: int) -> Floats:
    return np.abs(x).max() * generator.choice(PLACES, neurons)


def _equidistant(_: np.random.Generator, x: Floats, neurons: int) -> Floats:
    return np.linspace(x.min(), x.max(), neurons)


def _points(generator: np.random.Generator, x: Floats, neurons: int) -> Floats:
    return generator.choice(x, neurons)


KINKS: dict[str, Starts] = {
    "zero": _zero,
    "places": _places,
    "equidistant": _equidistant,
    "points": _points,
}
