"""Point sets in R^d: their geometry, and their names."""

from __future__ import annotations

import numpy as np
import pytest

from mcrelu.data import is_point_set, point_set
from mcrelu.errors import UserError
from mcrelu.theory.rays import rays

FIXED = ("standard", "cross", "double_cross", "star-1", "star-7", "star-11")
RANDOM = ("random_with_line", "multi_axis_1", "multi_axis_3")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("name", "shape", "number_of_rays"),
    [
        ("standard", (6, 1), 2),
        ("cross", (12, 2), 4),
        ("double_cross", (24, 2), 8),
        ("star-7", (21, 2), 7),
        ("star-11", (33, 2), 11),
        ("random_with_line", (12, 2), 8),
        ("multi_axis_1", (5, 1), 1),
        ("multi_axis_3", (15, 3), 3),
    ],
)
def test_shapes_and_rays(name: str, shape: tuple[int, int], number_of_rays: int) -> None:
    x, y = point_set(name, rng())
    assert (x.shape, y.shape) == (shape, shape[:1])
    assert len(np.unique(rays(x))) == number_of_rays
    assert len(np.unique(x.round(9), axis=0)) == len(x)


def test_star() -> None:
    x, y = point_set("star-7", rng())
    radius = np.linalg.norm(x, axis=1)
    np.testing.assert_allclose(radius, np.tile([0.9, 1.0, 1.1], 7), rtol=1e-14)
    angle = np.arctan2(x[:, 1], x[:, 0]) % (2 * np.pi)
    np.testing.assert_allclose(angle[::3], 2 * np.pi * np.arange(7) / 7, atol=1e-14)
    np.testing.assert_array_equal(y, np.tile([1.0, -2.0, 1.0], 7))


@pytest.mark.parametrize("name", ["standard", "cross", "double_cross"])
def test_lines_carry_the_six_points(name: str) -> None:
    x, y = point_set(name, rng())
    place = {-3.0: -1.0, -2.0: 2.0, -1.0: -1.0, 1.0: 1.0, 2.0: -2.0, 3.0: 1.0}
    side = np.where(x[:, 0] + 1e-9 * x[:, -1] > 0, 1.0, -1.0)
    np.testing.assert_array_equal(
        [place[float(r)] for r in (side * np.linalg.norm(x, axis=1)).round(9)], y
    )


def test_affine_fits_of_multiple_axes_meet_in_the_origin() -> None:
    x, y = point_set("multi_axis_3", rng())
    for axis in range(3):
        on = x[:, axis] != 0
        assert on.sum() == 5
        assert ((x[on, axis] >= 1) & (x[on, axis] <= 2)).all()
        slope, intercept = np.polyfit(x[on, axis], y[on], 1)
        assert abs(intercept) < 1e-12
        assert np.abs(y[on] - slope * x[on, axis]).max() > 0.01


@pytest.mark.parametrize("name", FIXED + RANDOM)
def test_only_random_sets_draw(name: str) -> None:
    one, same, other = (point_set(name, rng(seed)) for seed in (1, 1, 2))
    assert all((u == v).all() for u, v in zip(one, same, strict=True))
    assert is_point_set(name)
    assert (name in RANDOM) == (not np.array_equal(one.y, other.y))


@pytest.mark.parametrize(
    "name", ["", "Star-11", "star", "star-", "star-0", "star-011", "star-1.5", "multi_axis_-1", "x"]
)
def test_unknown_names(name: str) -> None:
    assert not is_point_set(name)
    with pytest.raises(UserError, match="known are standard, cross") as caught:
        point_set(name, rng())
    assert "\n" not in str(caught.value)
