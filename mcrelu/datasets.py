"""Point sets in R^d by name: what networks with several inputs are trained on (docs/method.md 4).

Glossary
--------
d : number of inputs
D : number of points
ray : the points of one direction as seen from the origin
the six points : the standard data of one dimension, (-3, -1), (-2, 2), (-1, -1) and their
    point reflections (x, y) -> (-x, -y)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mcrelu.errors import UserError
from mcrelu.types import Floats

STANDARD_X = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)
STANDARD_Y = (-1.0, 2.0, -1.0, 1.0, -2.0, 1.0)
STAR_SPACING = 0.1  # between the three points of a ray, whose middle one has radius 1
STAR_Y = (1.0, -2.0, 1.0)
AXIS_POINTS = 5  # per axis of multi_axis_d

KNOWN = (
    "standard, cross, double_cross, star-K (K rays, e.g. star-11), random_with_line, "
    "multi_axis_D (D axes, e.g. multi_axis_3)"
)


class LabelledPoints(NamedTuple):
    """Distinct data points with their targets."""

    x: Floats  # (D, d)
    y: Floats  # (D,)


def labelled_points(name: str, rng: np.random.Generator) -> LabelledPoints:
    """The point set called ``name``; only the random ones draw from ``rng``.

    Raises
    ------
    UserError
        If there is no such point set; the message lists those that there are.
    """
    if name in _FIXED:
        return _FIXED[name]()
    if name in _RANDOM:
        return _RANDOM[name](rng)
    family, size = _family(name)
    if family == "star-":
        return star(size)
    if family == "multi_axis_":
        return multi_axis(size, rng)
    raise UserError(f"no point set {name!r}; known are {KNOWN}")


def is_point_set(name: str) -> bool:
    """Whether :func:`labelled_points` knows the name."""
    return name in _FIXED or name in _RANDOM or _family(name)[1] > 0


def is_random(name: str) -> bool:
    """Whether the points of a known name depend on the generator."""
    return name in _RANDOM or _family(name)[0] == "multi_axis_"


def star(rays: int) -> LabelledPoints:
    """Three points on each of ``rays`` rays at angles 2 pi i / rays, ray by ray, d = 2."""
    angle = 2.0 * np.pi * np.arange(rays) / rays
    directions = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    radii = np.array([1.0 - STAR_SPACING, 1.0, 1.0 + STAR_SPACING])
    return LabelledPoints(_on_lines(directions, radii), np.tile(STAR_Y, rays))


def multi_axis(axes: int, rng: np.random.Generator) -> LabelledPoints:
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
    return LabelledPoints(x, targets.ravel())


def random_with_line(rng: np.random.Generator) -> LabelledPoints:
    """The six points on the second axis, then six with standard normal x and y; d = 2."""
    line = _lines([[0.0, 1.0]])
    x = np.concatenate([line.x, rng.standard_normal((6, 2))])
    return LabelledPoints(x, np.concatenate([line.y, rng.standard_normal(6)]))


def _lines(directions: list[list[float]]) -> LabelledPoints:
    """The six points on each of some lines through the origin with unit directions."""
    x = _on_lines(np.array(directions), np.array(STANDARD_X))
    return LabelledPoints(x, np.tile(STANDARD_Y, len(directions)))


def _on_lines(directions: Floats, places: Floats) -> Floats:
    """All places on all lines, line by line: (k, d), (r,) -> (k r, d)."""
    return (directions[:, None, :] * places[:, None]).reshape(-1, directions.shape[1])


_DIAGONAL = float(np.sqrt(0.5))

_FIXED: dict[str, Callable[[], LabelledPoints]] = {
    "standard": lambda: _lines([[1.0]]),
    "cross": lambda: _lines([[1.0, 0.0], [0.0, 1.0]]),
    "double_cross": lambda: _lines(
        [[1.0, 0.0], [0.0, 1.0], [_DIAGONAL, _DIAGONAL], [_DIAGONAL, -_DIAGONAL]]
    ),
}
_RANDOM: dict[str, Callable[[np.random.Generator], LabelledPoints]] = {
    "random_with_line": random_with_line
}


def _family(name: str) -> tuple[str, int]:
    """Prefix and size of a name with a number of one to three digits; else ("", 0)."""
    found = re.fullmatch(r"(star-|multi_axis_)([1-9][0-9]{0,2})", name)
    return (found[1], int(found[2])) if found else ("", 0)


def inputs_of(name: str) -> int:
    """Number of inputs d of a known point set."""
    return labelled_points(name, np.random.Generator(np.random.Philox(0))).x.shape[1]
