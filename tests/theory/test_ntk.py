"""The tangent kernel against gradients one by one, step sizes against one step, and golden ones."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import deep_oracle as oracle
import numpy as np
import pytest

from mcrelu.data import point_set
from mcrelu.init import he_layers
from mcrelu.problems.r_d import Activation, Layer, Layers
from mcrelu.rng import layered_draws
from mcrelu.theory import ntk
from mcrelu.types import Floats

GOLDEN = Path(__file__).parent.parent / "golden"
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
SIZES = ([2, 9, 1], [2, 6, 5, 1], [2, 5, 4, 6, 1])
each_kind = pytest.mark.parametrize(
    ("sizes", "activation"),
    [(sizes, activation) for sizes in SIZES for activation in ACTIVATIONS],
    ids=str,
)


def random_problem(sizes: list[int], networks: int = 5) -> tuple[Layers, Floats, Floats, Floats]:
    x, y = point_set("star-7", np.random.default_rng(0))
    draws = layered_draws(1, 2, 3, networks, sizes, len(x), 100)
    return he_layers(draws.normals, random_bias=True), x, y, draws.counts / 100


def jacobian(net: oracle.Net, x: Floats, activation: str) -> Floats:
    """Gradient of the output at each point, (D, parameters)."""
    seen = oracle.forward(net, x, activation)
    rows = [oracle.backward(net, seen, unit, activation) for unit in np.eye(len(x))]
    return np.array(
        [np.concatenate([part.ravel() for layer in row for part in layer]) for row in rows]
    )


@each_kind
def test_the_oracle_knows_derivatives(sizes: list[int], activation: Activation) -> None:
    """Its gradient against central differences."""
    layers, x, y, p = random_problem(sizes, 1)
    net = oracle.network(layers, 0)
    seen = oracle.forward(net, x, activation)
    gradient = oracle.backward(net, seen, p[0] * (seen.outputs - y), activation)
    for layer in range(len(net)):
        for part in range(2):
            moved = [[np.array(w), np.array(b)] for w, b in net]
            entry = (0,) * moved[layer][part].ndim
            losses = []
            for shift in (1e-5, -2e-5):
                moved[layer][part][entry] += shift
                nearby = [(w, b) for w, b in moved]
                losses.append(oracle.loss(oracle.forward(nearby, x, activation), y, p[0]))
            slope = (losses[0] - losses[1]) / 2e-5
            assert slope == pytest.approx(gradient[layer][part][entry], rel=1e-5, abs=1e-8)


@each_kind
def test_kernel_is_the_gram_matrix_of_gradients(sizes: list[int], activation: Activation) -> None:
    layers, x, _, p = random_problem(sizes)
    kernel = ntk.tangent_kernel(layers, x, activation)
    largest = ntk.lambda_max(layers, x, p, activation)
    for k in range(len(p)):
        gradients = jacobian(oracle.network(layers, k), x, activation)
        np.testing.assert_allclose(kernel[k], gradients @ gradients.T, rtol=1e-12, atol=1e-13)
        scaled = np.sqrt(p[k])[:, None] * gradients
        assert largest[k] == pytest.approx(np.linalg.norm(scaled, 2) ** 2, rel=1e-12)
    other = ntk.lambda_max(layers, x, p, "relu" if activation == "tanh" else "tanh")
    assert (np.abs(other / largest - 1.0) > 1e-5).all()


@each_kind
def test_linear_step_is_the_largest(sizes: list[int], activation: Activation) -> None:
    layers, x, y, p = random_problem(sizes)
    found = ntk.linear_step_size(layers, x, y, p, activation)
    for k in range(len(p)):
        net = oracle.network(layers, k)
        seen = oracle.forward(net, x, activation)
        gradient = oracle.backward(net, seen, p[k] * (seen.outputs - y), activation)
        squared = sum((part**2).sum() for layer in gradient for part in layer)
        linear = []
        for h in np.logspace(-6, 0, 200):
            moved = oracle.step(net, seen, y, p[k], h, activation)
            after = oracle.loss(oracle.forward(moved, x, activation), y, p[k])
            change = after - oracle.loss(seen, y, p[k])
            linear.append(abs(change + h * squared) <= 0.1 * h * squared)
        expected = np.logspace(-6, 0, 200)[np.flatnonzero(linear)[-1]]
        assert found[k] == pytest.approx(expected, rel=1e-12)
        assert not all(linear)


@each_kind
def test_relative_decrease_is_that_of_a_small_step(
    sizes: list[int], activation: Activation
) -> None:
    layers, x, y, p = random_problem(sizes)
    found = ntk.relative_decrease(layers, x, y, p, activation)
    for k in range(len(p)):
        net, h = oracle.network(layers, k), 1e-7
        seen = oracle.forward(net, x, activation)
        before = oracle.loss(seen, y, p[k])
        moved = oracle.step(net, seen, y, p[k], h, activation)
        after = oracle.loss(oracle.forward(moved, x, activation), y, p[k])
        assert found[k] == pytest.approx((before - after) / before / h, rel=1e-4)


def test_doubled_step_halves_the_candidate() -> None:
    layers, x, y, p = random_problem([2, 30, 1], 20)
    once = ntk.linear_step_size(layers, x, y, p)
    twice = ntk.linear_step_size(layers, x, y, p, step_factor=2.0)
    np.testing.assert_allclose(once / twice, 2.0, rtol=0.08)  # candidates are 7 % apart


def test_no_candidate_is_linear() -> None:
    """A network of enormous weights: even 1e-6 is too far."""
    layers, x, y, p = random_problem([2, 9, 1])
    huge = tuple(Layer(1e4 * weight, bias) for weight, bias in layers)
    assert np.isnan(ntk.linear_step_size(huge, x, y, p)).all()


def test_a_network_does_not_see_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    layers, x, y, p = random_problem([2, 20, 10, 1], 23)
    every = ntk.lambda_max(layers, x, p), ntk.linear_step_size(layers, x, y, p)
    monkeypatch.setattr(ntk, "NUMBERS_AT_ONCE", 5 * len(x) * 20)
    np.testing.assert_array_equal(ntk.lambda_max(layers, x, p), every[0])
    np.testing.assert_array_equal(ntk.linear_step_size(layers, x, y, p), every[1])


# ------------------------------------------------------------------------ golden networks


def golden_problem(name: str) -> tuple[dict[str, Floats], Layers]:
    golden = dict(np.load(GOLDEN / f"{name}.npz"))
    layers = tuple(
        Layer(*(golden[f"init_{2 * layer + part}"].astype(float) for part in range(2)))
        for layer in range(len(golden["hidden"]) + 1)
    )
    return golden, layers


@pytest.mark.parametrize("name", ["star11_n128", "default_3layer_n16"])
def test_published_step_size_is_the_originals(name: str) -> None:
    golden, layers = golden_problem(name)
    published = 1.0 / ntk.published_lambda_max(layers)
    np.testing.assert_allclose(published, golden["lrs"], rtol=1e-6)
    ours = 1.0 / ntk.lambda_max(layers, golden["x"], golden["sample_weights"])
    assert (np.abs(ours / golden["lrs"] - 1.0) > 0.01).all()


@pytest.mark.parametrize("name", ["star11_n128", "default_3layer_n16"])
def test_linear_step_sizes_are_the_originals(name: str) -> None:
    """It tries doubled steps, with all points of equal weight."""
    golden, layers = golden_problem(name)
    x, y, p = (golden[key].astype(float) for key in ("x", "y", "sample_weights"))
    equal = np.full_like(p, 1.0 / len(x))
    found = ntk.linear_step_size(layers, x, y, equal, step_factor=2.0)
    np.testing.assert_allclose(found, golden["lin_lrs"], rtol=1e-6)
    other = ntk.linear_step_size(layers, x, y, equal, step_factor=1.0)
    assert (np.abs(other / golden["lin_lrs"] - 1.0) > 0.05).all()
