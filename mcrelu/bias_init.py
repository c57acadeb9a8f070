"""Initial biases of the hidden layer, by name; a (d, n) are its weights, factors included.

=====================  ============================================================================
``zero``               0
``normal``             g N(0, 1)
``uniform``            g U(-sqrt(3), sqrt(3)); ``pos-unif`` and ``neg-unif``: its halves
``unif``               g U(-r, r), r = sqrt(6), which is sqrt(3) times the deviation of a x where
                       E x_k^2 = 1; ``unif-pos`` and ``unif-neg``: its halves
``pytorch``            g U(-1/sqrt(d), 1/sqrt(d))
``kink-unif``          g |a_i| U(-sqrt(3), sqrt(3)): distances of kinks from the origin are uniform;
                       ``kink-neg-unif``: its negative half
``he+k``               minus a convex combination of a_i x at k random training points
``kink_uniform``       minus a uniform point between the least and the largest a_i x
``kink-neg-point``     -|a_i x| at a random training point; the weights' sign is changed where
                       a_i x < 0, so that the kink lies there
``mean``               minus the mean of a_i x
=====================  ============================================================================

g is the gain, which those that depend on the data do not have. The weights of convex combinations
are independent exponential variables, normalised.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mcrelu.types import Floats

_HE = re.compile(r"he\+([1-9]\d{0,3})")
_ROOT_3, _ROOT_6 = np.sqrt(3.0), np.sqrt(6.0)


class InnerLayer(NamedTuple):
    """Weights and biases of the hidden layer of one network."""

    a: Floats  # (d, n)
    b: Floats  # (n,)


def is_bias_init(name: str) -> bool:
    """Whether there is an initialisation of this name."""
    return name in _FREE or name in _FROM_DATA or _HE.fullmatch(name) is not None


def has_gain(name: str) -> bool:
    """Whether a gain makes a difference to it."""
    return name in _FREE and name != "zero"


def initial_biases(
    name: str, gain: float, generator: np.random.Generator, a: Floats, x: Floats
) -> InnerLayer:
    """The hidden layer with biases; x (N, d) are the training points.

    Raises
    ------
    KeyError
        If there is no such initialisation.
    """
    if name in _FREE:
        return InnerLayer(a, gain * _FREE[name](generator, a))
    combined = _HE.fullmatch(name)
    if combined:
        return InnerLayer(a, -_combinations(generator, x @ a, int(combined[1])))
    return _FROM_DATA[name](generator, a, x)


def _uniform(low: float, high: float) -> Callable[[np.random.Generator, Floats], Floats]:
    return lambda generator, a: np.asarray(generator.uniform(low, high, a.shape[1]))


def _kinks(low: float, high: float) -> Callable[[np.random.Generator, Floats], Floats]:
    uniform = _uniform(low, high)
    return lambda generator, a: uniform(generator, a) * np.linalg.norm(a, axis=0)


def _pytorch(generator: np.random.Generator, a: Floats) -> Floats:
    bound = 1.0 / np.sqrt(len(a))
    return np.asarray(generator.uniform(-bound, bound, a.shape[1]))


_FREE: dict[str, Callable[[np.random.Generator, Floats], Floats]] = {
    "zero": lambda _, a: np.zeros(a.shape[1]),
    "normal": lambda generator, a: np.asarray(generator.standard_normal(a.shape[1])),
    "uniform": _uniform(-_ROOT_3, _ROOT_3),
    "pos-unif": _uniform(0.0, _ROOT_3),
    "neg-unif": _uniform(-_ROOT_3, 0.0),
    "unif": _uniform(-_ROOT_6, _ROOT_6),
    "unif-pos": _uniform(0.0, _ROOT_6),
    "unif-neg": _uniform(-_ROOT_6, 0.0),
    "pytorch": _pytorch,
    "kink-unif": _kinks(-_ROOT_3, _ROOT_3),
    "kink-neg-unif": _kinks(-_ROOT_3, 0.0),
}


def _combinations(generator: np.random.Generator, z: Floats, terms: int) -> Floats:
    """Random convex combinations of ``terms`` of the outputs z (N, n) of each neuron, (n,)."""
    points, width = z.shape
    weights = generator.standard_exponential((terms, width))
    chosen = generator.integers(0, points, (terms, width))
    return np.asarray((z[chosen, np.arange(width)] * weights / weights.sum(axis=0)).sum(axis=0))


def _between_extremes(generator: np.random.Generator, a: Floats, x: Floats) -> InnerLayer:
    z = x @ a
    low, high = z.min(axis=0), z.max(axis=0)
    return InnerLayer(a, -(low + (high - low) * generator.uniform(0.0, 1.0, a.shape[1])))


def _at_points(generator: np.random.Generator, a: Floats, x: Floats) -> InnerLayer:
    width = a.shape[1]
    chosen = generator.integers(0, len(x), width)
    z = (x @ a)[chosen, np.arange(width)]
    return InnerLayer(np.where(z < 0.0, -a, a), -np.abs(z))


def _centred(_: np.random.Generator, a: Floats, x: Floats) -> InnerLayer:
    return InnerLayer(a, -(x @ a).mean(axis=0))


_FROM_DATA: dict[str, Callable[[np.random.Generator, Floats, Floats], InnerLayer]] = {
    "kink_uniform": _between_extremes,
    "kink-neg-point": _at_points,
    "mean": _centred,
}

KNOWN = f"{', '.join([*_FREE, *_FROM_DATA])} or he+k with k terms, such as he+5"
