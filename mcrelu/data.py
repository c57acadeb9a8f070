"""Point sets by name, in one dimension and in R^d, and samples of them (docs/method.md 1 and 4).

Glossary
--------
d : number of inputs
D : number of distinct points
m : number of networks
N : number of samples, drawn from the points with replacement
ray : the points of one direction as seen from the origin
the six points : the paper's data in one dimension, (-1, -1), (-2, 2), (-3, -1) and their point
    reflections (x, y) -> (-x, -y)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mcrelu.errors import UserError
from mcrelu.types import Floats, Ints, PointSet

# The six points in the order in which the original draws their counts.
STANDARD_X = (-1.0, -2.0, -3.0, 1.0, 2.0, 3.0)
STANDARD_Y = (-1.0, 2.0, -1.0, 1.0, -2.0, 1.0)
STAR_SPACING = 0.1  # between the three points of a ray, whose middle one has radius 1
STAR_Y = (1.0, -2.0, 1.0)
AXIS_POINTS = 5  # per axis of multi_axis_d

KNOWN = (
    "standard, cross, double_cross, star-K (K rays, e.g. star-11), random_with_line, "
    "multi_axis_D (D axes, e.g. multi_axis_3)"
)


def standard_points(offset: float = 0.0) -> PointSet:
    """The six points in one dimension, x (6,), targets raised by ``offset``."""
    return PointSet(np.array(STANDARD_X), np.array(STANDARD_Y) + offset)


@dataclass(frozen=True)
class OwnPoints:
    """Points of the user's own; in one dimension none of them is 0."""

    x: tuple[Any, ...]  # D numbers, or D tuples of d
    y: tuple[float, ...]

    def with_offset(self, offset: float) -> PointSet:
        """The points with their targets raised by ``offset``."""
        return PointSet(np.array(self.x), np.array(self.y) + offset)

    @cached_property
    def digest(self) -> str:
        """A stable hash of the points in their order, 16 hexadecimal digits."""
        content = [np.array(part, dtype="<f8").tobytes() for part in (self.x, self.y)]
        return hashlib.blake2b(b"".join(content), digest_size=8).hexdigest()

    def __str__(self) -> str:
        return describe_points(len(self.x), self.digest)


def describe_points(points: int, digest: str) -> str:
    """A name for points that have none."""
    return f"{points} points ({digest[:6]})"


@dataclass(frozen=True)
class SampleRule:
    """The sample of a network of width n: factor n^power points drawn with replacement.

    Or, with ``each``, each point once.
    """

    factor: float = 1.0
    power: float = 2.0
    each: bool = False

    def size(self, width: int) -> int | None:
        """The number N of samples, at least 1; None for each point once."""
        return None if self.each else max(1, round(self.factor * width**self.power))

    def __str__(self) -> str:
        if self.each:
            return "each point once"
        factor = "" if self.factor == 1.0 and self.power else f"{self.factor:g}"
        power = f"n^{self.power:g}" if self.power else ""
        return " ".join(part for part in (factor, power) if part)


SQUARED = SampleRule()  # N = n^2, as in the paper


def sample_size(width: int) -> int:
    """Number of samples N = n^2 that a network of width n is trained on in the paper."""
    return width * width


def point_weights(counts: Ints) -> Floats:
    """Weight p_j = count_j / N of each point; counts (m, D) -> (m, D)."""
    return counts / counts.sum(axis=1, keepdims=True)


def point_set(name: str, rng: np.random.Generator) -> PointSet:
    """The points in R^d called ``name``, x (D, d); only the random ones draw from ``rng``.

    Raises
    ------
    UserError
        If there is no such point set; the message lists those that there are.
    """
    if name in _BY_NAME:
        return _BY_NAME[name](rng)
    family, size = _family(name)
    if family == "star-":
        return star(size)
    if family == "multi_axis_":
        return multi_axis(size, rng)
    raise UserError(f"no point set {name!r}; known are {KNOWN}")


def is_point_set(name: str) -> bool:
    """Whether :func:`point_set` knows the name."""
    return name in _BY_NAME or _family(name)[1] > 0


def inputs_of(name: str) -> int:
    """Number of inputs d of a known point set."""
    return point_set(name, np.random.Generator(np.random.Philox(0))).x.shape[1]


def star(rays: int) -> PointSet:
    """Three points on each of ``rays`` rays at angles 2 pi i / rays, ray by ray, d = 2."""
    angle = 2.0 * np.pi * np.arange(rays) / rays
    directions = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    radii = np.array([1.0 - STAR_SPACING, 1.0, 1.0 + STAR_SPACING])
    return PointSet(_on_lines(directions, radii), np.tile(STAR_Y, rays))


def multi_axis(axes: int, rng: np.random.Generator) -> PointSet:
    """Five points with coordinate U(1, 2) on each of d = ``axes`` half-axes.

    Targets are U(-1, 1) less the intercept of their affine fit, so that the best affine functions
    of all rays meet in the origin.
    """
    coordinates = rng.uniform(1.0, 2.0, (axes, AXIS_POINTS))
    targets = rng.uniform(-1.0, 1.0, (axes, AXIS_POINTS))
    centred = coordinates - coordinates.mean(axis=1, keepdims=True)
    slopes = (centred * targets).sum(axis=1) / (centred**2).sum(axis=1)
    targets -= (targets.mean(axis=1) - slopes * coordinates.mean(axis=1))[:, None]
    x = (np.eye(axes)[:, None, :] * coordinates[:, :, None]).reshape(-1, axes)
    return PointSet(x, targets.ravel())


def random_with_line(rng: np.random.Generator) -> PointSet:
    """The six points on the second axis, then six with standard normal x and y; d = 2."""
    line = six_points_on([[0.0, 1.0]])
    x = np.concatenate([line.x, rng.standard_normal((6, 2))])
    return PointSet(x, np.concatenate([line.y, rng.standard_normal(6)]))


def six_points_on(directions: list[list[float]]) -> PointSet:
    """The six points, in the order of their x, on each of some lines with unit directions."""
    order = np.argsort(STANDARD_X)
    x = _on_lines(np.array(directions), np.array(STANDARD_X)[order])
    return PointSet(x, np.tile(np.array(STANDARD_Y)[order], len(directions)))


def _on_lines(directions: Floats, places: Floats) -> Floats:
    """All places on all lines, line by line: (k, d), (r,) -> (k r, d)."""
    return (directions[:, None, :] * places[:, None]).reshape(-1, directions.shape[1])


_AXES = [[1.0, 0.0], [0.0, 1.0]]
_DIAGONAL = float(np.sqrt(0.5))
_DIAGONALS = [[_DIAGONAL, _DIAGONAL], [_DIAGONAL, -_DIAGONAL]]

_BY_NAME: dict[str, Callable[[np.random.Generator], PointSet]] = {
    "standard": lambda rng: six_points_on([[1.0]]),
    "cross": lambda rng: six_points_on(_AXES),
    "double_cross": lambda rng: six_points_on(_AXES + _DIAGONALS),
    "random_with_line": random_with_line,
}


def _family(name: str) -> tuple[str, int]:
    """Prefix and size of a name with a number of one to three digits; else ("", 0)."""
    found = re.fullmatch(r"(star-|multi_axis_)([1-9][0-9]{0,2})", name)
    return (found[1], int(found[2])) if found else ("", 0)
