"""Initialisation of networks from standard normal draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np

from mcrelu.memory import chunks
from mcrelu.problems.neuron_sums import NeuronSums, joined, scaled_sums
from mcrelu.problems.one_d import Weights
from mcrelu.problems.r_d import Layer, Layers
from mcrelu.rng import Normals
from mcrelu.types import Floats, Ints


@dataclass(frozen=True)
class Initializer:
    """Independent normal weights, biases zero: standard deviations as functions of the width."""

    a_scale: Callable[[int], float]
    w_scale: Callable[[int], float]

    def scaled(self, a: float, w: float) -> Initializer:
        """With standard deviations of a and of w times these factors."""
        return Initializer(lambda n: a * self.a_scale(n), lambda n: w * self.w_scale(n))

    def __call__(self, a_normals: Floats, w_normals: Floats) -> Weights:
        """Weights (m, n) from standard normals (m, n)."""
        m, n = a_normals.shape
        return Weights(
            a=self.a_scale(n) * a_normals,
            b=np.zeros((m, n)),
            c=np.zeros(m),
            w=self.w_scale(n) * w_normals,
        )


# He initialisation, a ~ N(0, 2) and w ~ N(0, 2/n), and that with the two variances exchanged
he = Initializer(lambda n: sqrt(2.0), lambda n: sqrt(2.0 / n))
swapped = Initializer(lambda n: sqrt(2.0 / n), lambda n: sqrt(2.0))
INITIALIZERS = {"he": he, "swapped": swapped}


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

    @cached_property
    def sums(self) -> NeuronSums:
        """Moments and extremes over the neurons of each network, drawn piece by piece."""
        m, n = self.shape
        scales = self._initializer.a_scale(n), self._initializer.w_scale(n)
        return joined(
            [scaled_sums(self._a.rows(k), self._w.rows(k), *scales) for k in chunks(m, n)]
        )

    def rows(self, index: Ints) -> Weights:
        """The weights of some networks, rows ascending, (len(index), n)."""
        return self._initializer(self._a.rows(index), self._w.rows(index))
