"""Thresholds against least squares by numpy, and against the original's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcrelu.data import point_set
from mcrelu.theory.rays import affine_threshold, rays
from mcrelu.types import Floats, Ints

GOLDEN = Path(__file__).parent.parent / "golden"


def by_least_squares(x: Floats, y: Floats, p: Floats, ray: Ints) -> float:
    """The threshold of one sample, ray by ray."""
    total = 0.0
    for number in np.unique(ray):
        on = (ray == number) & (p > 0.0)
        root = np.sqrt(p[on])
        r = np.linalg.norm(x[on], axis=1)
        design = np.stack([r, np.ones_like(r)], axis=1) * root[:, None]
        best = np.linalg.lstsq(design, y[on] * root, rcond=None)[0]
        total += ((design @ best - y[on] * root) ** 2).sum()
    return 0.5 * total


@pytest.mark.parametrize("name", ["star-11", "double_cross", "standard", "multi_axis_3"])
def test_equals_least_squares(name: str) -> None:
    rng = np.random.default_rng(3)
    x, y = point_set(name, rng)
    p = rng.multinomial(16, np.full(len(x), 1 / len(x)), size=20) / 16  # some points get none
    assert (p == 0.0).any()
    order = rng.permutation(len(x))  # rays need not lie one after the other
    x, y = x[order], y[order]
    expected = [by_least_squares(x, y, one, rays(x)) for one in p]
    found = affine_threshold(x, y, p)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    assert (np.abs(affine_threshold(x, y, p[::-1]) - expected) > 1e-3).any()


@pytest.mark.parametrize("name", ["star11_n128", "default_3layer_n16"])
def test_equals_the_originals(name: str) -> None:
    golden = np.load(GOLDEN / f"{name}.npz")
    found = affine_threshold(golden["x"], golden["y"], golden["sample_weights"])
    np.testing.assert_allclose(found, golden["lin_thresholds"], rtol=1e-6)


def test_rays_are_directions() -> None:
    x = np.array([[2.0, 1.0], [-2.0, -1.0], [0.0, 0.0], [0.6, 0.3], [0.0, 1.0]])
    np.testing.assert_array_equal(rays(x), [0, 1, 2, 0, 3])


def test_rays_of_one_dimension_are_the_signs() -> None:
    np.testing.assert_array_equal(rays(np.array([[-3.0], [1.0], [-0.5], [2.0]])), [0, 1, 0, 1])


@pytest.mark.parametrize(("name", "number"), [("star-7", 7), ("cross", 4), ("double_cross", 8)])
def test_rays_survive_rounding(name: str, number: int) -> None:
    """Directions of points in single precision differ by some 1e-7."""
    x, _ = point_set(name, np.random.default_rng(0))
    assert rays(x).max() == rays(x.astype(np.float32)).max() == number - 1


def test_two_points_on_a_ray_cost_nothing() -> None:
    x, y = point_set("star-7", np.random.default_rng(0))
    p = np.full((1, len(x)), 1 / 14)
    p[0, 1::3] = 0.0
    assert affine_threshold(x, y, p) == 0.0
    assert affine_threshold(x, y, np.full_like(p, 1 / 21)) > 0.9


def test_a_network_does_not_see_its_neighbours() -> None:
    rng = np.random.default_rng(1)
    x, y = point_set("star-11", rng)
    p = rng.dirichlet(np.ones(33), size=200)
    np.testing.assert_array_equal(affine_threshold(x, y, p)[7:10], affine_threshold(x, y, p[7:10]))
