"""Distributions of regression data, by name.

============  ====================================================================================
``ex``        x = s B / sqrt(15/28), s = -1 or 1, B ~ Beta(5, 2), so that E x^2 = 1;
              y = (cos(7 pi (x - x / sqrt(1 + x^2))) + 0.2 x^2 + 0.074 + N(0, 0.01)) / 0.727
``radial-d``  x = sqrt(3) U v in R^d, U ~ U(0, 1), v uniform on the sphere; y = cos(2 pi U)
``rbf-d``     x = R v, R ~ U(-sqrt(3), sqrt(3)), v uniform on the sphere; y = exp(-R^2)
``ex-old``    x = 4 s B;
              y = exp(x/2) - x sin(1.5 pi x) + 1.205 [x < 0] + 3.136 [x > 0] + N(0, 0.09)
============  ====================================================================================

The constants of the first and the last make the intercepts of the best affine fits on both sides of
zero about zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mcrelu.types import Floats

MAX_INPUTS = 1024
KNOWN = f"ex, ex-old, radial-d or rbf-d with d = 1..{MAX_INPUTS} inputs, such as radial-4"

_IN_R_D = re.compile(r"(radial|rbf)-([1-9]\d*)")


class Draw(NamedTuple):
    """Points of a distribution."""

    x: Floats  # (N, d)
    y: Floats  # (N,)
    noise: Floats  # (N,) what of y no function of x can explain


def is_distribution(name: str) -> bool:
    """Whether there is a distribution of this name."""
    found = _IN_R_D.fullmatch(name)
    return name in _ON_A_LINE or (found is not None and int(found[2]) <= MAX_INPUTS)


def family(name: str) -> str:
    """The name without the number of inputs: ``radial`` of ``radial-4``."""
    found = _IN_R_D.fullmatch(name)
    return found[1] if found else name


def inputs_of(name: str) -> int:
    """Its number of inputs d."""
    found = _IN_R_D.fullmatch(name)
    return int(found[2]) if found else 1


def draw(name: str, generator: np.random.Generator, points: int) -> Draw:
    """Independent points of a distribution."""
    if name in _ON_A_LINE:
        return _ON_A_LINE[name](generator, points)
    return _IN_SPACE[family(name)](generator, points, inputs_of(name))


def _ex(generator: np.random.Generator, points: int) -> Draw:
    x = _two_sided_beta(generator, points) / np.sqrt(105.0 / 196.0)
    noise = 0.1 / 0.727 * generator.standard_normal(points)
    y = (np.cos(7.0 * np.pi * (x - x / np.sqrt(1.0 + x**2))) + 0.2 * x**2 + 0.074) / 0.727
    return Draw(x[:, None], y + noise, noise)


def _ex_old(generator: np.random.Generator, points: int) -> Draw:
    x = 4.0 * _two_sided_beta(generator, points)
    noise = 0.3 * generator.standard_normal(points)
    y = np.exp(0.5 * x) - x * np.sin(1.5 * np.pi * x)
    y += np.where(x < 0, 1.205, 3.136)
    return Draw(x[:, None], y + noise, noise)


def _two_sided_beta(generator: np.random.Generator, points: int) -> Floats:
    """Points s B, s = -1 or 1 with equal probability, B ~ Beta(5, 2)."""
    size = generator.beta(5.0, 2.0, points)
    return size * (2.0 * generator.integers(0, 2, points) - 1.0)


def _radial(generator: np.random.Generator, points: int, inputs: int) -> Draw:
    part = generator.uniform(0.0, 1.0, points)
    x = np.sqrt(3.0) * part[:, None] * _directions(generator, points, inputs)
    return Draw(x, np.cos(2.0 * np.pi * part), np.zeros(points))


def _rbf(generator: np.random.Generator, points: int, inputs: int) -> Draw:
    radius = generator.uniform(-np.sqrt(3.0), np.sqrt(3.0), points)
    x = radius[:, None] * _directions(generator, points, inputs)
    return Draw(x, np.exp(-(radius**2)), np.zeros(points))


def _directions(generator: np.random.Generator, points: int, inputs: int) -> Floats:
    """Uniform on the sphere, (points, inputs)."""
    normals = generator.standard_normal((points, inputs))
    return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))


_ON_A_LINE: dict[str, Callable[[np.random.Generator, int], Draw]] = {"ex": _ex, "ex-old": _ex_old}
_IN_SPACE: dict[str, Callable[[np.random.Generator, int, int], Draw]] = {
    "radial": _radial,
    "rbf": _rbf,
}
