"""Initialisation of networks from standard normal draws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcrelu.problems.one_d import Weights
from mcrelu.problems.r_d import Layer, Layers
from mcrelu.rng import Normals
from mcrelu.types import Floats, Ints

Initializer = Callable[[Floats, Floats], Weights]


def he(a_normals: Floats, w_normals: Floats) -> Weights:
    """He initialisation: a ~ N(0, 2), w ~ N(0, 2/n), biases zero; (m, n) -> weights (m, n)."""
    n = a_normals.shape[1]
    return _scaled(a_normals, np.sqrt(2.0), w_normals, np.sqrt(2.0 / n))


def swapped(a_normals: Floats, w_normals: Floats) -> Weights:
    """He initialisation with the two variances exchanged: a ~ N(0, 2/n), w ~ N(0, 2)."""
    n = a_normals.shape[1]
    return _scaled(a_normals, np.sqrt(2.0 / n), w_normals, np.sqrt(2.0))


def _scaled(a_normals: Floats, a_scale: float, w_normals: Floats, w_scale: float) -> Weights:
    m = a_normals.shape[0]
    return Weights(
        a=a_scale * a_normals, b=np.zeros_like(a_normals), c=np.zeros(m), w=w_scale * w_normals
    )


INITIALIZERS: dict[str, Initializer] = {"he": he, "swapped": swapped}


def he_layers(normals: Layers, random_bias: bool = False) -> Layers:
    """He initialisation of layered networks: N(0, 2 / inputs of the layer).

    Biases are zero, or, with ``random_bias``, drawn like the weights.
    """
    layers = []
    for weight, bias in normals:
        scale = np.sqrt(2.0 / weight.shape[1])
        layers.append(Layer(scale * weight, scale * bias if random_bias else np.zeros_like(bias)))
    return tuple(layers)


class DrawnWeights:
    """Initial weights that are made of their draws whenever they are asked for."""

    def __init__(self, initializer: Initializer, a: Normals, w: Normals) -> None:
        self._initializer, self._a, self._w = initializer, a, w

    @property
    def shape(self) -> tuple[int, int]:
        """Number of networks and width (m, n)."""
        return self._a.shape

    def rows(self, index: Ints) -> Weights:
        """The weights of some networks, rows ascending, (len(index), n)."""
        return self._initializer(self._a.rows(index), self._w.rows(index))
