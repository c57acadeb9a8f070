"""Distributions of data against closed forms and integrals; five standard errors everywhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from mcrelu.distributions import MAX_INPUTS, Draw, draw, family, inputs_of, is_distribution
from mcrelu.types import Array, Floats

POINTS = 200_000
FALSE_ALARM = 1e-4  # seeds are fixed: how unlucky a fresh seed would have to be
ROOT_3 = np.sqrt(3.0)

SCALE = {"ex": 1.0 / np.sqrt(105.0 / 196.0), "ex-old": 4.0}  # largest |x|
NOISE = {"ex": 0.1 / 0.727, "ex-old": 0.3}  # its deviation
ON_A_LINE = tuple(SCALE)
IN_SPACE = ("radial-1", "radial-2", "radial-5", "rbf-1", "rbf-2", "rbf-5")


def ex(x: Array) -> Array:
    return (np.cos(7 * np.pi * (x - x / np.sqrt(1 + x**2))) + 0.2 * x**2 + 0.074) / 0.727


def ex_old(x: Array) -> Array:
    return np.exp(x / 2) - x * np.sin(1.5 * np.pi * x) + np.where(x < 0, 1.205, 3.136)


CURVES: dict[str, Callable[[Array], Array]] = {"ex": ex, "ex-old": ex_old}


def drawn(name: str, points: int = POINTS, seed: int = 1) -> Draw:
    return draw(name, np.random.default_rng(seed), points)


def errors_from(values: Floats, mean: float) -> float:
    """How many standard errors the mean of some values is away from what it should be."""
    return float(abs(values.mean() - mean) / (values.std(ddof=1) / np.sqrt(len(values))))


def over_beta(f: Callable[[Array], Array]) -> float:
    """E f(B), B ~ Beta(5, 2), whose density is 30 b^4 (1 - b)."""
    return float(quad(lambda b: f(b) * 30.0 * b**4 * (1.0 - b), 0.0, 1.0, limit=400)[0])


def expected(name: str, g: Callable[[Array, Array], Array], signs: tuple[int, ...]) -> float:
    """E g(x, E[y | x]) where the sign of x is uniform among some."""
    curve, scale = CURVES[name], SCALE[name]
    sides = [over_beta(lambda b, s=s: g(s * scale * b, curve(s * scale * b))) for s in signs]  # type: ignore[misc]
    return float(np.mean(sides))


# ------------------------------------------------------------------------------ on a line


@pytest.mark.parametrize("name", ON_A_LINE)
def test_x_on_a_line_is_a_beta_variable_on_both_sides(name: str) -> None:
    x = drawn(name).x[:, 0]
    assert np.abs(x).max() < SCALE[name]
    beta = np.abs(x) / SCALE[name]
    assert scipy.stats.kstest(beta, "beta", args=(5, 2)).pvalue > FALSE_ALARM
    assert scipy.stats.kstest(beta, "beta", args=(5, 2.05)).pvalue < FALSE_ALARM  # would show
    assert errors_from(np.sign(x), 0.0) < 5
    assert errors_from(np.sign(x) * beta, 0.0) < 5  # the sign is independent of the size


def test_x_of_ex_has_deviation_one() -> None:
    x = drawn("ex").x[:, 0]
    assert errors_from(x**2, 1.0) < 5
    assert errors_from(drawn("ex-old").x[:, 0] ** 2, 16 * 105 / 196) < 5


@pytest.mark.parametrize("name", ON_A_LINE)
def test_y_on_a_line_has_the_moments_of_its_curve_and_noise(name: str) -> None:
    y, both = drawn(name).y, (-1, 1)
    first = expected(name, lambda _, f: f, both)
    second = expected(name, lambda _, f: f**2, both)
    assert errors_from(y, first) < 5
    assert errors_from(y**2, second + NOISE[name] ** 2) < 5
    assert errors_from(y - drawn(name).noise, first) < 5


@pytest.mark.parametrize("name", ON_A_LINE)
def test_noise_is_what_is_added_to_the_curve(name: str) -> None:
    found = drawn(name)
    assert np.abs(found.y - found.noise - CURVES[name](found.x[:, 0])).max() < 1e-12
    normal = scipy.stats.norm(0.0, NOISE[name])
    assert scipy.stats.kstest(found.noise, normal.cdf).pvalue > FALSE_ALARM
    wider = scipy.stats.norm(0.0, 1.05 * NOISE[name])
    assert scipy.stats.kstest(found.noise, wider.cdf).pvalue < FALSE_ALARM
    assert errors_from(found.noise * found.x[:, 0], 0.0) < 5


def affine_fit(x: Floats, y: Floats) -> tuple[float, float]:
    """Intercept and its standard error, from residuals that need not be alike (White 1980)."""
    design = np.stack([np.ones_like(x), x], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    fit = inverse @ design.T @ y
    meat = (design * (y - design @ fit)[:, None] ** 2).T @ design
    return float(fit[0]), float(np.sqrt((inverse @ meat @ inverse)[0, 0]))


@pytest.mark.parametrize("name", ON_A_LINE)
@pytest.mark.parametrize("sign", [-1, 1])
def test_affine_fits_on_both_sides_pass_near_the_origin(name: str, sign: int) -> None:
    """Within 0.005 exactly, and within the errors of a sample; without the constants they do not.

    The constants are at least 0.1, 20 times as much.
    """
    moment = [expected(name, g, (sign,)) for g in (
        lambda x, _: x, lambda _, f: f, lambda x, _: x**2, lambda x, f: x * f,
    )]  # fmt: skip
    slope = (moment[3] - moment[0] * moment[1]) / (moment[2] - moment[0] ** 2)
    exactly = moment[1] - slope * moment[0]
    assert abs(exactly) < 0.005
    found = drawn(name)
    x = found.x[:, 0]
    side = np.sign(x) == sign
    intercept, error = affine_fit(x[side], found.y[side])
    assert abs(intercept - exactly) < 5 * error
    constant = {"ex": 0.074 / 0.727}.get(name, 1.205 if sign < 0 else 3.136)
    without, error = affine_fit(x[side], found.y[side] - constant)
    assert abs(without) > 5 * error + 0.005


# -------------------------------------------------------------------------------- in R^d


def lengths(found: Draw) -> Floats:
    return np.asarray(np.linalg.norm(found.x, axis=1))


@pytest.mark.parametrize("name", IN_SPACE)
def test_lengths_in_space_are_uniform(name: str) -> None:
    r = lengths(drawn(name))
    assert scipy.stats.kstest(r, "uniform", args=(0, ROOT_3)).pvalue > FALSE_ALARM
    assert scipy.stats.kstest(r**1.02, "uniform", args=(0, ROOT_3)).pvalue < FALSE_ALARM
    assert errors_from(r**2, 1.0) < 5


@pytest.mark.parametrize("name", IN_SPACE)
def test_directions_are_uniform(name: str) -> None:
    """First and second moments in any dimension; the law of a coordinate, which is a beta's."""
    found, d = drawn(name), inputs_of(name)
    v = found.x / lengths(found)[:, None]
    for k in range(d):
        assert errors_from(v[:, k], 0.0) < 5
        for other in range(k):
            assert errors_from(v[:, k] * v[:, other], 0.0) < 5
        if d > 1:
            assert errors_from(v[:, k] ** 2, 1.0 / d) < 5
            law = scipy.stats.beta(0.5, (d - 1) / 2)
            assert scipy.stats.kstest(v[:, k] ** 2, law.cdf).pvalue > FALSE_ALARM
    assert errors_from(v[:, 0] * lengths(found), 0.0) < 5  # independent of the length


def test_directions_of_a_cube_would_show() -> None:
    """Negative control: points of a cube have the same first and second moments."""
    cube = np.random.default_rng(2).uniform(-1.0, 1.0, (POINTS, 5))
    v = cube / np.linalg.norm(cube, axis=1, keepdims=True)
    assert errors_from(v[:, 0] ** 2, 0.2) < 5
    law = scipy.stats.beta(0.5, 2.0)
    assert scipy.stats.kstest(v[:, 0] ** 2, law.cdf).pvalue < FALSE_ALARM


@pytest.mark.parametrize("name", IN_SPACE)
def test_y_in_space_is_a_function_of_the_length_without_noise(name: str) -> None:
    found = drawn(name)
    r = lengths(found)
    curve = np.cos(2 * np.pi * r / ROOT_3) if family(name) == "radial" else np.exp(-(r**2))
    assert np.abs(found.y - curve).max() < 1e-12
    assert not found.noise.any()


@pytest.mark.parametrize("name", IN_SPACE)
def test_y_in_space_has_its_moments(name: str) -> None:
    y = drawn(name).y
    if family(name) == "radial":
        first, second = 0.0, 0.5
    else:  # integrals of exp(-r^2) and exp(-2 r^2) over (0, sqrt(3))
        first = float(quad(lambda r: np.exp(-(r**2)) / ROOT_3, 0, ROOT_3)[0])
        second = float(quad(lambda r: np.exp(-2 * r**2) / ROOT_3, 0, ROOT_3)[0])
    assert errors_from(y, first) < 5
    assert errors_from(y**2, second) < 5
    assert errors_from(y + 0.02, first) > 5  # would show


# ----------------------------------------------------------------------------- all of them


def test_draws_are_a_function_of_the_generator() -> None:
    for name in (*ON_A_LINE, *IN_SPACE):
        one, other, third = (drawn(name, 10, seed) for seed in (1, 1, 2))
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        assert not np.array_equal(one.x, third.x)


def test_points_differ() -> None:
    for name in (*ON_A_LINE, *IN_SPACE):
        assert len(np.unique(drawn(name, 1000).x[:, 0])) == 1000


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(ON_A_LINE)
    | st.tuples(st.sampled_from(["radial", "rbf"]), st.integers(1, 70)).map(
        lambda parts: f"{parts[0]}-{parts[1]}"
    ),
    points=st.integers(1, 60),
    seed=st.integers(0, 2**32),
)
def test_shapes_at_any_size(name: str, points: int, seed: int) -> None:
    assert is_distribution(name)
    found = drawn(name, points, seed)
    assert found.x.shape == (points, inputs_of(name))
    assert found.y.shape == found.noise.shape == (points,)
    assert all(np.isfinite(part).all() for part in found)


@pytest.mark.parametrize(
    ("name", "kind", "inputs"),
    [
        ("ex", "ex", 1), ("ex-old", "ex-old", 1), ("radial-1", "radial", 1),
        ("radial-64", "radial", 64), ("rbf-16", "rbf", 16),
        (f"rbf-{MAX_INPUTS}", "rbf", MAX_INPUTS),
    ],
)  # fmt: skip
def test_names_say_family_and_inputs(name: str, kind: str, inputs: int) -> None:
    assert is_distribution(name)
    assert (family(name), inputs_of(name)) == (kind, inputs)


@pytest.mark.parametrize(
    "name",
    [
        "", "Ex", "ex-1", "ex ", "exold", "radial", "radial-", "radial-0", "radial-01",
        "radial-2.5", "radial--2", "rbf 2", "cos-2", "ex\n", "radial-2\n", "radial-٢",
        f"radial-{MAX_INPUTS + 1}",
    ],
)  # fmt: skip
def test_other_names_are_refused(name: str) -> None:
    assert not is_distribution(name)
