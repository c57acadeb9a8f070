"""Sigma, A_ref, M, u_hat and step size against plain numpy networks and numpy.linalg."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import one_d_oracle as oracle
import pytest
import scipy.linalg
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from one_d_problems import (
    random_net,
    random_point_weights,
    random_points,
    with_kinks_inside,
    without_biases,
)

from mcrelu.data import standard_points
from mcrelu.problems.one_d import Weights
from mcrelu.theory import matrices
from mcrelu.theory import sigma as sg
from mcrelu.types import Floats, PointSet

SEEDS = st.integers(0, 2**32 - 1)
ALPHAS = (0.0, 0.01, 0.3, 0.9)
quick = settings(deadline=None, derandomize=True, max_examples=60)

# Sums of a few dozen products of order one: some hundred roundings of 1.1e-16.
ROUNDING = 1e-13


def first(net: Weights) -> Weights:
    return Weights(*(part[0] for part in net))


def inside_problem(seed: int, width: int = 12) -> tuple[Weights, PointSet, Floats]:
    """A batch of one network whose kinks lie between the points; every point has weight."""
    rng = np.random.default_rng(seed)
    points = random_points(rng, 6)
    net = with_kinks_inside(random_net(rng, 1, width), np.abs(points.x).min())
    return net, points, rng.dirichlet(np.ones(6), size=1)


class TestOracle:
    """The oracle must itself be right."""

    @given(SEEDS, st.integers(1, 12), st.sampled_from(ALPHAS))
    @quick
    def test_gradient_is_the_finite_difference(self, seed: int, width: int, alpha: float) -> None:
        rng = np.random.default_rng(seed)
        points = random_points(rng, 5)
        net, p = first(random_net(rng, 1, width)), rng.dirichlet(np.ones(5))
        step = 1e-5
        # A kink within the step: the loss has no derivative there.
        assume(np.abs(oracle.preactivations(net, points.x)).min() > 1e-4)

        def loss(net: Weights) -> Floats:
            return oracle.loss(net, *points, p, alpha)

        exact = oracle.gradient(net, *points, p, alpha)
        numeric = central_differences(loss, net, step)
        # The loss is quadratic in each parameter, so only rounding, eps * loss / step, is left.
        tolerance = 1e-15 * (1 + loss(net)) / step * 10
        for got, expected in zip(exact, numeric, strict=True):
            np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance.item())

    def test_finite_differences_tell_a_wrong_gradient(self) -> None:
        rng = np.random.default_rng(3)
        points, p = random_points(rng, 5), rng.dirichlet(np.ones(5))
        net = first(random_net(rng, 1, 4))
        numeric = central_differences(lambda v: oracle.loss(v, *points, p), net, 1e-5)
        wrong = oracle.gradient(net, *points, p, alpha=0.1)
        assert np.abs(wrong.a - numeric.a).max() > 1e-3

    def test_outputs_are_the_network_function(self) -> None:
        net = Weights(np.array([1.0, -2.0]), np.array([0.5, 1.0]), np.array(0.25), np.array([3, 5]))
        # x = 1: 3 (1.5) + 0; x = -1: 0 + 5 (3); leaky slopes 0.1 on the inactive ones.
        np.testing.assert_allclose(oracle.outputs(net, np.array([1.0, -1.0])), [4.75, 15.25])
        leaky = oracle.outputs(net, np.array([1.0, -1.0]), alpha=0.1)
        np.testing.assert_allclose(leaky, [4.25, 15.1])


def central_differences(loss: Callable[[Weights], Floats], net: Weights, step: float) -> Weights:
    """(loss(v + step) - loss(v - step)) / (2 step) for every parameter v."""

    def moved(name: str, i: int, by: float) -> Weights:
        part = np.array(getattr(net, name))
        part.flat[i] += by
        return net._replace(**{name: part})

    parts = {name: np.zeros_like(part) for name, part in net._asdict().items()}
    for name, part in parts.items():
        for i in range(part.size):
            rise = loss(moved(name, i, step)) - loss(moved(name, i, -step))
            part.flat[i] = rise / (2 * step)
    return Weights(**parts)


class TestMoments:
    """Sums written out with loops."""

    @given(SEEDS, st.integers(1, 30))
    @quick
    def test_sigma(self, seed: int, width: int) -> None:
        net = random_net(np.random.default_rng(seed), 3, width)
        expected = np.zeros((3, 2, 3, 3))
        for k in range(3):
            for i in range(width):
                theta = np.array([net.a[k, i], net.b[k, i], net.w[k, i]])
                expected[k, 0 if theta[0] > 0 else 1] += np.outer(theta, theta)
        size = np.abs(expected).max()
        np.testing.assert_allclose(net.sums.sigma, expected, rtol=0, atol=ROUNDING * size)

    @given(SEEDS)
    @quick
    def test_data_moments_and_residual_sums(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        points, p, f = random_points(rng, 7), rng.dirichlet(np.ones(7), 2), rng.normal(size=(2, 7))
        moments, sums = np.zeros((2, 2, 2, 2)), np.zeros((2, 2, 2))
        for k in range(2):
            for x, y, pj, fj in zip(*points, p[k], f[k], strict=True):
                side = 0 if x > 0 else 1
                moments[k, side] += pj * np.array([[x * x, x], [x, 1.0]])
                sums[k, side] += pj * (y - fj) * np.array([x, 1.0])
        np.testing.assert_allclose(sg.data_moments(points, p), moments, rtol=ROUNDING)
        np.testing.assert_allclose(sg.u_hat(points, p, f), sums, rtol=0, atol=100 * ROUNDING)

    def test_a_ref_entry_by_entry(self) -> None:
        """A_ref = C + diag(G_+, G_-) as reference section 2 writes it."""
        sigma = random_net(np.random.default_rng(0), 1, 9).sums.sigma
        g = [sigma[0, s, :2, :2] + sigma[0, s, 2, 2] * np.eye(2) for s in (0, 1)]
        expected = scipy.linalg.block_diag(*g)
        for i, j in ((1, 1), (1, 3), (3, 1), (3, 3)):
            expected[i, j] += 1.0
        np.testing.assert_allclose(sg.a_ref(sigma)[0], expected, rtol=ROUNDING)


def affine_functions(net: Weights, x: Floats, alpha: float) -> Floats:
    """(slope+, intercept+, slope-, intercept-) of the network outside its kinks."""
    out = []
    for side in (1.0, -1.0):
        near, far = side * np.abs(x).min(), side * np.abs(x).max() + side
        f = oracle.outputs(net, np.array([near, far]), alpha)[0]
        slope = (f[1] - f[0]) / (far - near)
        out += [slope, f[0] - slope * near]
    return np.array(out)


RATES: Floats = np.array([2.0**-k for k in range(2, 12)])


def linearisation_errors(
    net: Weights, points: PointSet, p: Floats, alpha: float, a_ref: Floats
) -> Floats:
    """|change of the affine functions in one step - h A_ref u_hat| for every h in RATES."""
    rest = sg.u_hat(points, p, oracle.outputs(net, points.x, alpha)).reshape(4)
    slope = oracle.gradient(net, *points, p, alpha)
    errors = []
    for h in RATES:
        moved = Weights(*(part - h * g for part, g in zip(net, slope, strict=True)))
        change = change_of_affine_functions(net, moved, alpha)
        errors.append(np.abs(change - h * a_ref @ rest).max())
    return np.array(errors)


def change_of_affine_functions(before: Weights, after: Weights, alpha: float) -> Floats:
    """Change of (slope+, intercept+, slope-, intercept-); neurons keep the side of their old a."""
    right, bias = before.a[0] > 0, (after.c - before.c)[0]
    changes = []
    for active in (right, ~right):
        slopes = np.where(active, 1.0, alpha)
        changes.append((slopes * (after.w * after.a - before.w * before.a)[0]).sum())
        changes.append((slopes * (after.w * after.b - before.w * before.b)[0]).sum() + bias)
    return np.array(changes)


def log_log_slope(rates: Floats, errors: Floats) -> float:
    return float(np.polyfit(np.log(rates), np.log(errors), 1)[0])


class TestLinearDynamics:
    """While no kink crosses, one step is v <- v + h A_ref u_hat up to O(h^2)."""

    @pytest.mark.parametrize("alpha", ALPHAS)
    @pytest.mark.parametrize("seed", range(5))
    def test_error_is_of_second_order(self, alpha: float, seed: int) -> None:
        net, points, p = inside_problem(seed)
        a_ref = sg.a_ref(net.sums.sigma, alpha)[0]
        errors = linearisation_errors(net, points, p, alpha, a_ref)
        # w a is a product of two functions affine in h: the remainder is exactly quadratic.
        assert log_log_slope(RATES, errors) == pytest.approx(2.0, abs=1e-4)

    @pytest.mark.parametrize("alpha", ALPHAS)
    def test_a_matrix_without_the_output_bias_is_of_first_order_only(self, alpha: float) -> None:
        net, points, p = inside_problem(0)
        intercepts = np.array([0.0, 1.0, 0.0, 1.0])
        wrong = sg.a_ref(net.sums.sigma, alpha)[0] - np.outer(intercepts, intercepts)
        errors = linearisation_errors(net, points, p, alpha, wrong)
        assert log_log_slope(RATES, errors) < 1.5

    def test_wrong_slope_of_the_activation_is_of_first_order_only(self) -> None:
        net, points, p = inside_problem(0)
        wrong = sg.a_ref(net.sums.sigma, 0.1)[0]
        assert log_log_slope(RATES, linearisation_errors(net, points, p, 0.3, wrong)) < 1.5

    def test_gradient_flow_in_a_real_step(self) -> None:
        """The same from outputs alone: a step so small that no kink leaves its interval."""
        net, points, p = inside_problem(11)
        h = 1e-5
        slope = oracle.gradient(net, *points, p)
        moved = Weights(*(part - h * g for part, g in zip(net, slope, strict=True)))
        rest = sg.u_hat(points, p, oracle.outputs(net, points.x)).reshape(4)
        change = affine_functions(moved, points.x, 0.0) - affine_functions(net, points.x, 0.0)
        linear = h * sg.a_ref(net.sums.sigma)[0] @ rest
        # The remainder is h times smaller than the change, times second moments of some ten.
        np.testing.assert_allclose(change, linear, rtol=0, atol=100 * h * np.abs(linear).max())


class TestTangentKernel:
    """A_ref M has the eigenvalues of the empirical NTK at the weighted data."""

    @pytest.mark.parametrize("alpha", ALPHAS)
    @pytest.mark.parametrize("biases", ["zero", "inside"])
    @given(seed=SEEDS, width=st.integers(1, 40))
    @settings(deadline=None, derandomize=True, max_examples=15)
    def test_eigenvalues(self, alpha: float, biases: str, seed: int, width: int) -> None:
        net, points, p = inside_problem(seed, width)
        net = without_biases(net) if biases == "zero" else net
        gram = oracle.tangent_gram(first(net), points.x, p[0], alpha)
        expected = np.linalg.eigvalsh(gram)[::-1]
        sigma, moments = net.sums.sigma, sg.data_moments(points, p)
        product = sg.a_ref(sigma, alpha)[0] @ scipy.linalg.block_diag(*moments[0])
        tolerance = 1e-12 * expected[0]  # eigenvalues of symmetric matrices: eps * norm
        symmetric = np.linalg.eigvalsh(sg.training_matrix(sigma, moments, alpha)[0])[::-1]
        np.testing.assert_allclose(symmetric, expected[:4], rtol=0, atol=tolerance)
        np.testing.assert_allclose(expected[4:], 0.0, rtol=0, atol=tolerance)
        # The product is not symmetric: its eigenvalues are worse conditioned, by the root of M.
        plain = np.sort(np.linalg.eigvals(product).real)[::-1]
        np.testing.assert_allclose(plain, expected[:4], rtol=0, atol=1e3 * tolerance)
        step = sg.inv_lambda_max(net, points, p, alpha)
        np.testing.assert_allclose(step, 1.0 / expected[0], rtol=1e-12)

    def test_kernel_of_another_slope_differs(self) -> None:
        net, points, p = inside_problem(5)
        gram = oracle.tangent_gram(first(net), points.x, p[0], 0.3)
        step = sg.inv_lambda_max(net, points, p, 0.2)
        assert abs(step[0] * np.linalg.eigvalsh(gram)[-1] - 1.0) > 1e-3


def with_spectrum(rng: np.random.Generator, eigenvalues: Floats) -> Floats:
    vectors = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    matrix = vectors @ np.diag(eigenvalues) @ vectors.T
    return (matrix + matrix.T) / 2


def scaled(rng: np.random.Generator, scales: Floats) -> Floats:
    root = rng.standard_normal((4, 4))
    return np.diag(scales) @ root @ root.T @ np.diag(scales)


# Symmetric matrices by kind: rng -> (4, 4).
SPECTRA: dict[str, Callable[[np.random.Generator], Floats]] = {
    "usual": lambda rng: scaled(rng, np.ones(4)),
    "wide": lambda rng: with_spectrum(rng, 10 ** rng.uniform(-15, 3, 4)),
    "graded": lambda rng: scaled(rng, 10 ** rng.uniform(-6, 6, 4)),
    "nearly equal": lambda rng: with_spectrum(rng, 3.0 + 1e-10 * rng.standard_normal(4)),
    "pairs": lambda rng: with_spectrum(rng, np.array([1.0, 1.0, 2.0, 2.0])),
    "singular": lambda rng: with_spectrum(rng, np.array([0.0, 0.0, 1e-5, 1.0])),
    "indefinite": lambda rng: with_spectrum(rng, rng.standard_normal(4)),
    "blocks": lambda rng: scipy.linalg.block_diag(*full_moments()[:2]),
    "diagonal": lambda rng: np.diag(rng.standard_normal(4)),
    "zero": lambda rng: np.zeros((4, 4)),
}


class TestEigensolver:
    """Our own, so that rows do not depend on LAPACK, against LAPACK."""

    @pytest.mark.parametrize("kind", SPECTRA)
    def test_eigenpairs(self, kind: str) -> None:
        rng = np.random.default_rng(6)
        matrix = np.array([SPECTRA[kind](rng) for _ in range(500)])
        values, vectors = matrices.eigh_4x4(matrix)
        expected = np.linalg.eigvalsh(matrix)
        # Backward stable: eps times the norm, times some dozen rotations.
        allowed = 1e-14 * np.abs(expected).max(axis=1)
        assert (np.abs(values - expected).max(axis=1) <= allowed).all()
        residual = matrix @ vectors - vectors * values[:, None, :]
        assert (np.abs(residual).max(axis=(1, 2)) <= allowed).all()
        unit = vectors.swapaxes(1, 2) @ vectors
        np.testing.assert_allclose(unit, np.broadcast_to(np.eye(4), unit.shape), atol=1e-14)

    @pytest.mark.parametrize("size", [1, 15, 16, 17, 40])
    def test_does_not_depend_on_lane_neighbours_or_batch(self, size: int) -> None:
        rng = np.random.default_rng(size)
        matrix = np.array([SPECTRA["wide"](rng) for _ in range(40)])
        matrix[5] = np.nan
        rows = np.append(rng.permutation(np.delete(np.arange(40), 5))[: size - 1], 0)
        for part, whole in zip(
            matrices.eigh_4x4(matrix[rows]), matrices.eigh_4x4(matrix), strict=True
        ):
            np.testing.assert_array_equal(part, whole[rows])


class TestStepSize:
    def test_frobenius_norm_where_there_is_no_eigenvalue(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And only for the network that has none."""
        rng = np.random.default_rng(0)
        points, net, p = standard_points(), random_net(rng, 3, 16), random_point_weights(rng, 3, 6)
        usual = sg.inv_lambda_max(net, points, p)
        matrix = sg.training_matrix(net.sums.sigma, sg.data_moments(points, p))

        def fail(matrix: Floats) -> tuple[Floats, Floats]:
            values, vectors = np.linalg.eigh(matrix)
            values[1] = np.nan
            return values, vectors

        monkeypatch.setattr("mcrelu.theory.matrices.eigh_4x4", fail)
        got = sg.inv_lambda_max(net, points, p)
        np.testing.assert_allclose(got[[0, 2]], usual[[0, 2]], rtol=1e-13)
        assert got[1] == pytest.approx(1.0 / np.sqrt((matrix[1] ** 2).sum()), rel=1e-13)

    def test_does_not_depend_on_the_batch(self) -> None:
        rng = np.random.default_rng(0)
        points, net = standard_points(), random_net(rng, 40, 16)
        p = random_point_weights(rng, 40, 6)
        whole = sg.inv_lambda_max(net, points, p)
        for k in range(40):
            alone = sg.inv_lambda_max(
                Weights(*(part[k : k + 1] for part in net)), points, p[k : k + 1]
            )
            assert alone[0] == whole[k]


class TestOptimalFunctions:
    """M^+ u_hat at f = 0 solves the weighted least squares problem of each side."""

    @staticmethod
    def optimal(points: PointSet, p: Floats) -> Floats:
        """Slope and intercept of the optimal affine function per side, (m, 2, 2)."""
        rest = sg.u_hat(points, p, np.zeros_like(p))
        return matrices.apply_2x2(pinv_2x2(sg.data_moments(points, p)), rest)

    @staticmethod
    def least_squares(points: PointSet, p: Floats) -> Floats:
        """Slope and intercept per side, the shortest solution where there are many."""
        solutions = []
        for side in (points.x > 0, points.x < 0):
            root, x, y = np.sqrt(p[side]), points.x[side], points.y[side]
            design = root[:, None] * np.stack([x, np.ones_like(x)], axis=1)
            solutions.append(np.linalg.lstsq(design, root * y, rcond=1e-10)[0])
        return np.array(solutions)

    @given(SEEDS)
    @quick
    def test_random_points(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        points, p = random_points(rng, 8), rng.dirichlet(np.ones(8), 3)
        got = self.optimal(points, p)
        for k in range(3):
            # Normal equations square the condition number: eps * cond(M).
            cond = max(np.linalg.cond(m) for m in sg.data_moments(points, p)[k])
            expected = self.least_squares(points, p[k])
            tolerance = 1e-14 * cond * (1 + np.abs(expected).max())
            np.testing.assert_allclose(got[k], expected, rtol=0, atol=tolerance)

    @given(SEEDS)
    @quick
    def test_small_samples_with_empty_sides_and_single_points(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        points = standard_points(0.1)
        counts = rng.multinomial(4, [1 / 6] * 6, size=5)
        got = self.optimal(points, counts / 4)
        for k in range(5):
            expected = self.least_squares(points, counts[k] / 4)
            np.testing.assert_allclose(got[k], expected, rtol=0, atol=1e-11)

    def test_is_where_the_residual_sums_vanish(self) -> None:
        rng = np.random.default_rng(1)
        points, p = standard_points(), rng.dirichlet(np.ones(6), 4)
        slope, intercept = np.moveaxis(self.optimal(points, p), -1, 0)
        side = np.where(points.x > 0, 0, 1)
        fitted = slope[:, side] * points.x + intercept[:, side]
        np.testing.assert_allclose(sg.u_hat(points, p, fitted), 0.0, rtol=0, atol=1e-12)


def sqrt_2x2(stack: Floats) -> Floats:
    """Of matrices (..., 2, 2)."""
    return matrices.sqrt_2x2(stack.reshape(-1, 2, 2)).reshape(stack.shape)


def pinv_2x2(stack: Floats) -> Floats:
    """Of matrices (..., 2, 2)."""
    return matrices.pinv_2x2(stack.reshape(-1, 2, 2)).reshape(stack.shape)


def degenerate_moments() -> list[Floats]:
    """M of one side: empty, a single point (at several places and weights), nearly nothing."""
    places = [1.0, -2.0, 3.0, 0.7, -1.3, 2.9]
    weights = [1.0, 1 / 6, 0.37, 1 / 256]
    single = [p * np.array([[x * x, x], [x, 1.0]]) for x in places for p in weights]
    return [np.zeros((2, 2)), *single]


def full_moments() -> list[Floats]:
    rng = np.random.default_rng(4)
    points, p = random_points(rng, 6), rng.dirichlet(np.ones(6), 20)
    return list(sg.data_moments(points, p).reshape(-1, 2, 2))


def symmetric_root(matrix: Floats) -> Floats:
    """Square root through the eigenvalues; those below rounding count as zero."""
    eigenvalues, vectors = np.linalg.eigh(matrix)
    eigenvalues = np.where(eigenvalues > 1e-14 * eigenvalues[-1], eigenvalues, 0.0)
    return vectors @ np.diag(np.sqrt(eigenvalues)) @ vectors.T


class TestTwoByTwo:
    """The closed forms against numpy.linalg and scipy.linalg."""

    @pytest.mark.parametrize("matrix", full_moments())
    def test_root_of_full_rank(self, matrix: Floats) -> None:
        root = sqrt_2x2(matrix)
        np.testing.assert_allclose(root @ root, matrix, rtol=0, atol=1e-14 * np.trace(matrix))
        np.testing.assert_allclose(root, scipy.linalg.sqrtm(matrix), rtol=0, atol=1e-12)

    def test_root_of_low_rank(self) -> None:
        for matrix in degenerate_moments():
            expected = symmetric_root(matrix)
            np.testing.assert_allclose(sqrt_2x2(matrix), expected, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("matrix", full_moments())
    def test_inverse_of_full_rank(self, matrix: Floats) -> None:
        cond = np.linalg.cond(matrix)
        np.testing.assert_allclose(
            pinv_2x2(matrix), np.linalg.inv(matrix), rtol=0, atol=1e-14 * cond**2
        )

    @pytest.mark.parametrize("matrix", degenerate_moments())
    def test_inverse_of_low_rank(self, matrix: Floats) -> None:
        expected = np.linalg.pinv(matrix, rcond=1e-10, hermitian=True)
        np.testing.assert_allclose(pinv_2x2(matrix), expected, rtol=1e-12)

    def test_inverse_of_the_root_of_low_rank(self) -> None:
        """As the criterion uses it, (M^(1/2))^+."""
        for matrix in degenerate_moments():
            expected = np.linalg.pinv(symmetric_root(matrix), rcond=1e-10, hermitian=True)
            got = pinv_2x2(sqrt_2x2(matrix))
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11 * (1 + expected.max()))

    def test_works_on_stacks(self) -> None:
        stack = np.array([*full_moments()[:3], *degenerate_moments()[:3]])
        for function in (sqrt_2x2, pinv_2x2):
            one_by_one = np.array([function(matrix) for matrix in stack])
            np.testing.assert_array_equal(function(stack), one_by_one)
