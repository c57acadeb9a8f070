"""Rays of a point set, and the loss of the best function that is affine on each of them.

A network whose kinks all pass between the origin and the data is affine along every ray, so its
loss cannot fall below this threshold (docs/method.md 4).

Glossary
--------
ray : the points of one direction x / |x|; in one dimension the two signs
r : |x|, the place of a point on its ray
D : number of points
m : number of samples
"""

from __future__ import annotations

import numpy as np

from mcrelu.types import Floats, Ints

SAME_DIRECTION = 1e-6  # distance of unit vectors, above what single precision rounds
FREE_POINTS = 2  # so many on a ray are on some affine function


def rays(x: Floats) -> Ints:
    """Number of the ray that each point is on, (D, d) -> (D,), counted from 0 as they appear.

    The origin has no direction and is by itself.
    """
    radius = np.linalg.norm(x, axis=1, keepdims=True)
    unit = np.divide(x, radius, out=np.zeros_like(x), where=radius > 0.0)
    # Point by point: all differences at once would be D D d numbers.
    apart = (np.linalg.norm(unit - own, axis=1) for own in unit)
    first = np.array([(distance <= SAME_DIRECTION).argmax() for distance in apart])
    return np.unique(first, return_inverse=True)[1]


def affine_threshold(x: Floats, y: Floats, p: Floats) -> Floats:
    """1/2 sum over rays of the p-weighted squared error of the best affine fit along the ray.

    x (D, d), y (D,), p (m, D) -> (m,). Points with p = 0 count nothing, and a ray with at most two
    others has error zero.
    """
    ray = rays(x)
    order = np.argsort(ray, kind="stable")
    ray, p = ray[order], p[:, order]
    r, y = np.linalg.norm(x, axis=1)[order], y[order]
    starts = np.flatnonzero(np.diff(ray, prepend=-1))

    # Not by a matrix product: the result of a network must not depend on how many there are.
    def sums(values: Floats) -> Floats:
        return np.add.reduceat(values, starts, axis=1)

    weight = sums(p)
    weight[weight == 0.0] = 1.0  # an empty ray: all its sums are zero
    dr = r - (sums(p * r) / weight)[:, ray]
    dy = y - (sums(p * y) / weight)[:, ray]
    variance = sums(p * dr**2)
    variance[variance == 0.0] = 1.0
    slope = sums(p * dr * dy) / variance
    error = sums(p * (dy - slope[:, ray] * dr) ** 2)
    error[sums((p > 0.0).astype(np.float64)) <= FREE_POINTS] = 0.0
    return 0.5 * error.sum(axis=1)
