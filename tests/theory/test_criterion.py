"""The sufficient criterion against summed series, random motions, loops and long simulations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import criterion_oracle
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from one_d_problems import select, standard_problem
from one_d_states import (
    Snapshot,
    check_steps,
    disturbed,
    snapshots,
    take,
    well_posed,
    with_a_neuron_at_the_edge,
)

from mcrelu.engines.one_d.dense import DenseEngine
from mcrelu.engines.one_d.grouped import GroupedEngine
from mcrelu.engines.one_d.protocol import AnyEngine
from mcrelu.problems.one_d import Barrier, Problem, Weights
from mcrelu.theory import criterion as cr
from mcrelu.theory import criterion_kernels as kernels
from mcrelu.theory import sigma as sg
from mcrelu.theory.criterion import Form
from mcrelu.types import Bools, Floats, Ints

UNIT = Barrier(1.0, 1.0)  # of the six points
SEEDS = st.integers(0, 2**32 - 1)
quick = settings(deadline=None, derandomize=True, max_examples=100)
SCALAR = (Form.SHARP, Form.PUBLISHED)
ROUNDING = 1 + 1e-12  # of sums of a few thousand positive numbers

# ---------------------------------------------------------------------- series of residuals


class Decay(NamedTuple):
    """Eigenpairs of 1 - h M^(1/2) A_ref M^(1/2): how a step shrinks the residuals."""

    mu: Floats  # (m, 4)
    vectors: Floats  # (m, 4, 4), columns


def random_decay(rng: np.random.Generator, low: float, high: float) -> Decay:
    """One network with random eigenvectors and mu in (low, high)."""
    vectors = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    return Decay(mu=rng.uniform(low, high, (1, 4)), vectors=vectors[None])


def summed_residuals(decay: Decay, psi: Floats, h: float, steps: int = 4000) -> float:
    """sum_k h ||(1 - h T)^k psi||_inf, term by term; with |mu| <= 0.99 the rest is below 1e-16."""
    vectors, mu = decay.vectors[0], decay.mu[0]
    powers = mu ** np.arange(steps)[:, None]
    return float(h * np.abs((powers * (vectors.T @ psi)) @ vectors.T).max(axis=1).sum())


def summed_operators(decay: Decay, h: float, steps: int = 4000) -> float:
    """sum_k h ||(1 - h T)^k||_inf, term by term."""
    vectors, mu = decay.vectors[0], decay.mu[0]
    powers = mu ** np.arange(steps)[:, None]
    matrices = np.einsum("ij,kj,lj->kil", vectors, powers, vectors)
    return float(h * np.abs(matrices).sum(axis=2).max(axis=1).sum())


def bound(decay: Decay, psi: Floats, h: float, form: Form) -> float:
    return float(kernels.residual_sum(*decay, psi[None], np.array([h]), form is Form.PUBLISHED)[0])


@given(SEEDS)
@quick
def test_sharp_residual_sum_bounds_the_series(seed: int) -> None:
    rng = np.random.default_rng(seed)
    decay, psi, h = random_decay(rng, -0.99, 0.99), rng.standard_normal(4), rng.uniform(0.01, 2)
    assert summed_residuals(decay, psi, h) <= bound(decay, psi, h, Form.SHARP) * ROUNDING


@given(SEEDS)
@quick
def test_published_residual_sum_bounds_the_series_while_mu_is_positive(seed: int) -> None:
    rng = np.random.default_rng(seed)
    decay, psi, h = random_decay(rng, 0.0, 0.99), rng.standard_normal(4), rng.uniform(0.01, 2)
    published = bound(decay, psi, h, Form.PUBLISHED)
    assert summed_residuals(decay, psi, h) <= published * ROUNDING
    assert bound(decay, psi, h, Form.SHARP) <= published * ROUNDING


def test_published_residual_sum_may_be_too_small_for_negative_mu() -> None:
    """Allowed: the original's form takes h / |1 - mu| for a series that sums to h / (1 - |mu|).

    It happens only for h > 1 / lambda_max; the step sizes of the experiment start at or below it.
    """
    rng = np.random.default_rng(0)
    decay, psi = random_decay(rng, -0.99, -0.9), rng.standard_normal(4)
    assert bound(decay, psi, 0.1, Form.PUBLISHED) < 0.5 * summed_residuals(decay, psi, 0.1)
    assert bound(decay, psi, 0.1, Form.SHARP) >= summed_residuals(decay, psi, 0.1)


@pytest.mark.parametrize("i", range(4))
@pytest.mark.parametrize("low", [-0.99, 0.0])
def test_sharp_residual_sum_is_exact_for_an_eigenvector(i: int, low: float) -> None:
    decay = random_decay(np.random.default_rng(i), low, low + 0.99)
    psi = 3.0 * decay.vectors[0][:, i]
    exact = summed_residuals(decay, psi, 0.7)
    # The series is cut where it is 1e-16 of the sum; psi has the others at rounding level.
    assert bound(decay, psi, 0.7, Form.SHARP) == pytest.approx(exact, rel=1e-11)


@given(SEEDS)
@quick
def test_operator_sum_bounds_the_series_by_at_most_a_factor_of_two(seed: int) -> None:
    """||T||_2 <= ||T||_inf <= 2 ||T||_2 for symmetric 4x4 matrices."""
    rng = np.random.default_rng(seed)
    decay, h = random_decay(rng, -0.99, 0.99), rng.uniform(0.01, 2)
    summed, bounded = summed_operators(decay, h), kernels.operator_sum(decay.mu, np.array([h]))[0]
    assert bounded / 2 <= summed * ROUNDING
    assert summed <= bounded * ROUNDING


# ------------------------------------------------------------------------ motion of neurons


def random_updates(rng: np.random.Generator, kappa: float) -> Floats:
    """A sequence of (u, v) whose |u| and whose |v| sum to kappa each, (steps, 2).

    Half of them push always in one direction, some u and v in turns: the worst cases.
    """
    steps = int(rng.integers(1, 40))
    updates = rng.standard_normal((steps, 2))
    if rng.random() < 0.5:
        updates = np.abs(updates)
    if rng.random() < 0.3 and steps > 1:
        updates[: steps // 2, 0] = 0.0
        updates[steps // 2 :, 1] = 0.0
    return kappa * updates / np.abs(updates).sum(axis=0)


def motions(thetas: Floats, updates: Floats) -> Iterator[Floats]:
    """theta <- (I + [[0, 0, u], [0, 0, v], [u, v, 0]]) theta for every update; thetas (n, 3)."""
    for u, v in updates:
        thetas = thetas @ (np.eye(3) + np.array([[0, 0, u], [0, 0, v], [u, v, 0]])).T
        yield thetas


def random_thetas(rng: np.random.Generator) -> Floats:
    """Neurons of one side, a > |b|, of different sizes."""
    n = int(rng.integers(1, 20))
    a = np.abs(rng.standard_normal(n)) * 10 ** rng.uniform(-1, 1)
    w = rng.standard_normal(n) * 10 ** rng.uniform(-1, 1)
    return np.stack([a, 0.9 * a * np.tanh(rng.standard_normal(n)), w], axis=1)


def sigma_change(thetas: Floats, kappa: float) -> Floats:
    sigma = np.stack([thetas.T @ thetas, np.zeros((3, 3))])[None]
    return kernels.sigma_change(sigma, np.array([kappa]))[0, 0]


@given(SEEDS, st.floats(1e-6, 0.5))
@settings(deadline=None, derandomize=True, max_examples=300)
def test_sigma_change_bounds_every_motion(seed: int, kappa: float) -> None:
    rng = np.random.default_rng(seed)
    thetas = random_thetas(rng)
    before, allowed = thetas.T @ thetas, sigma_change(thetas, kappa)
    for moved in motions(thetas, random_updates(rng, kappa)):
        change = np.abs(moved.T @ moved - before)
        # The difference of two sums has the rounding of the sums.
        assert (change <= allowed + 1e-14 * np.trace(before)).all()


@given(SEEDS, st.floats(0.0, 0.5))
@quick
def test_sigma_change_is_the_formula(seed: int, kappa: float) -> None:
    """Also where kappa is so large that its higher orders count."""
    thetas = random_thetas(np.random.default_rng(seed)) * np.array([1.0, 1.0, -1.0])
    expected = criterion_oracle.moments_change(thetas.T @ thetas, kappa)
    np.testing.assert_allclose(sigma_change(thetas, kappa), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_sigma_change_is_sharp_to_first_order(seed: int) -> None:
    """A bound for nine tenths of the motion is violated by pushes in one direction."""
    thetas, kappa = np.abs(random_thetas(np.random.default_rng(seed))), 1e-5
    moved = list(motions(thetas, np.full((10, 2), kappa / 10)))[-1]
    change = np.abs(moved.T @ moved - thetas.T @ thetas)
    assert (change <= sigma_change(thetas, kappa)).all()
    assert (change > sigma_change(thetas, 0.9 * kappa)).any()


def stays(thetas: Floats, kappa: float) -> bool:
    a, b, w = thetas.T[:, None]
    return bool(
        cr.neurons_stay(Weights(a, b, np.zeros(1), w), np.array([kappa]), Form.PUBLISHED, UNIT)[0]
    )


def crosses(thetas: Floats, updates: Floats) -> bool:
    """Whether some kink reaches |x| = 1 on the way."""
    return any((np.abs(moved[:, 1]) >= moved[:, 0]).any() for moved in motions(thetas, updates))


def test_neurons_that_stay_survive_every_motion() -> None:
    rng = np.random.default_rng(7)
    certified, moved_out = 0, 0
    for _ in range(3000):
        thetas, kappa = random_thetas(rng)[:3], 10 ** rng.uniform(-3, -0.4)
        crossed = crosses(thetas, random_updates(rng, kappa))
        moved_out += crossed
        if stays(thetas, kappa):
            certified += 1
            assert not crossed
    # Neither side of the implication may be empty.
    assert certified > 500
    assert moved_out > 100


@given(SEEDS, st.floats(1e-6, 0.2))
@quick
def test_neurons_stay_up_to_exactly_the_formula(seed: int, kappa: float) -> None:
    """The largest |b| allowed is |a| - 2 E, from either side."""
    rng = np.random.default_rng(seed)
    a, w = rng.standard_normal(2)
    motion = criterion_oracle.motion_of_neuron(a, 0.0, w, kappa)[0]
    edge = (abs(a) - 2 * motion) * rng.choice([-1.0, 1.0])
    assume(abs(edge) > 1e-3 and abs(a) > 2 * motion)
    below, above = (np.array([[a, edge * factor, w]]) for factor in (1 - 1e-9, 1 + 1e-9))
    assert stays(below, kappa)
    assert not stays(above, kappa)


def test_neurons_that_only_stay_now_do_not_survive() -> None:
    """Negative control: kappa = 0 takes all safety from the bound."""
    rng = np.random.default_rng(7)
    fooled = 0
    for _ in range(300):
        thetas = random_thetas(rng)[:3]
        fooled += stays(thetas, 0.0) and crosses(thetas, random_updates(rng, 0.3))
    assert fooled > 30


# --------------------------------------------------------------------- states along training


class Verdicts(NamedTuple):
    """The criterion's answer on m networks."""

    bounded: Bools
    kappa: Floats
    converged: Bools


def verdicts(snapshot: Snapshot, form: Form) -> Verdicts:
    problem, net = snapshot.problem, snapshot.net
    rest = sg.u_hat(problem.points, problem.p, snapshot.outputs)
    moments = sg.data_moments(problem.points, problem.p)
    motion = cr.motion_bound(
        net.sums.sigma, moments, rest, problem.step_size, form, problem.leaky_slope
    )
    converged = motion.holds.copy()
    kept = Weights(*(part[motion.holds] for part in net))
    converged[motion.holds] = cr.neurons_stay(kept, motion.kappa[motion.holds], form, UNIT)
    return Verdicts(motion.holds, motion.kappa, converged)


STEPS = (0, 1, 10, 100, 1000, 3000, 10_000, 50_000)


@pytest.mark.parametrize("form", SCALAR)
@pytest.mark.parametrize(
    ("width", "factor", "leaky_slope"),
    [
        (4, 1.0, 0.0),
        (16, 1.0, 0.0),
        (16, 1.9, 0.0),
        (64, 1.5, 0.0),
        (16, 1.0, 0.3),
        (16, 1.5, 0.01),
    ],
)
def test_agrees_with_the_loops_over_one_network(
    form: Form, width: int, factor: float, leaky_slope: float
) -> None:
    seen: Counter[str] = Counter()
    problem = standard_problem(5, 40, width, factor, leaky_slope)
    for snapshot in snapshots(problem, STEPS):
        for state in (snapshot, disturbed(snapshot, snapshot.step)):
            seen += compare_with_oracle(state, form)
            seen += compare_with_oracle(with_a_neuron_at_the_edge(state), form)
    # Every stage of the criterion must have decided somewhere.
    for stage in ("kappa", "delta", "neurons", "converged"):
        assert seen[stage] > 0, f"no network was decided by {stage}: {seen}"


def compare_with_oracle(state: Snapshot, form: Form) -> Counter[str]:
    got, problem = verdicts(state, form), state.problem
    seen: Counter[str] = Counter()
    for k in well_posed(state):
        net = Weights(*(part[k] for part in state.net))
        expected = criterion_oracle.judge(
            net,
            problem.points,
            problem.p[k],
            problem.step_size[k],
            form.value,
            problem.leaky_slope,
        )
        assert got.bounded[k] == expected.bounded
        assert got.converged[k] == expected.converged
        if expected.contracts:
            # Residuals carry the rounding of the outputs, 1e-16 times h / (1 - |mu|) of some 1e3.
            assert got.kappa[k] == pytest.approx(expected.kappa, rel=1e-10, abs=1e-12)
        seen[stage_of(expected)] += 1
    return seen


def stage_of(verdict: criterion_oracle.Verdict) -> str:
    """The stage that decided."""
    if not verdict.contracts:
        return "mu"
    if verdict.kappa >= 0.5:
        return "kappa"
    if not verdict.bounded:
        return "delta"
    return "converged" if verdict.converged else "neurons"


@pytest.mark.parametrize("width", [4, 16, 64])
def test_step_sizes_beyond_stability_are_never_certified(width: int) -> None:
    problem = standard_problem(seed=1, networks=100, width=width, factor=1.0)
    trained = list(snapshots(problem, (0, 50_000)))[-1]
    assert verdicts(trained, Form.SHARP).converged.sum() > 5
    # |mu| >= 1 for h >= 2 / lambda_max, whatever the residuals.
    large = trained.problem._replace(step_size=2.5 * sg.inv_lambda_max(
        trained.net, trained.problem.points, trained.problem.p
    ))  # fmt: skip
    assert not verdicts(trained._replace(problem=large), Form.SHARP).converged.any()


@pytest.mark.parametrize("width", [4, 16, 64])
def test_sharp_certifies_a_superset_of_published(width: int) -> None:
    problem = standard_problem(seed=3, networks=150, width=width, factor=1.0)
    more = 0
    for snapshot in snapshots(problem, (0, *(round(10 ** (k / 4)) for k in range(8, 20)))):
        sharp, published = verdicts(snapshot, Form.SHARP), verdicts(snapshot, Form.PUBLISHED)
        assert not (published.converged & ~sharp.converged).any()
        more += int((sharp.converged & ~published.converged).sum())
    assert more > 0


# ------------------------------------------------------------------------------ simulations


class Simulation(NamedTuple):
    """What came of networks that were trained on, whatever the criterion said."""

    certified: dict[Form, Bools]  # (m,) declared LOCALLY_CONVERGED at some check before crossing
    naive: Bools  # (m,) had all |a_i| > |b_i| after some training, before crossing
    crossed: Bools  # (m,)


def simulate(engine: AnyEngine, problem: Problem, steps: int) -> Simulation:
    """Check often, never stop; the motion of certified neurons is measured along the way.

    Networks that crossed are dropped: nothing more can be learnt from them.
    """
    state, done = engine.init(problem), 0
    rows, m = np.arange(len(problem.p)), len(problem.p)
    crossed, naive = np.zeros(m, dtype=bool), np.zeros(m, dtype=bool)
    certificates = {form: Certificates.none(problem.weights.shape) for form in SCALAR}
    for step in check_steps(steps):
        state, done = engine.advance(state, step - done), step
        inside = engine.info(state).first_crossing == 0
        crossed[rows[~inside]] = True
        rows, state = rows[inside], engine.keep(state, inside)
        net, outputs = engine.neurons(state), engine.outputs(state)
        naive[rows] |= cr.neurons_stay(net, np.zeros(len(rows)), Form.PUBLISHED, UNIT)
        for form, issued in certificates.items():
            issued.check(net, rows)
            open_ = np.flatnonzero(~issued.there[rows])
            snapshot = Snapshot(
                step, select(problem, rows[open_]), take(net, open_), outputs[open_]
            )
            verdict = verdicts(snapshot, form)
            new = open_[verdict.converged]
            issued.issue(take(net, new), rows[new], verdict.kappa[verdict.converged])
    certified = {form: issued.there for form, issued in certificates.items()}
    return Simulation(certified, naive, crossed)


class Certificates(NamedTuple):
    """Neurons as they were when certified, and how far they may move at most, E_i."""

    there: Bools  # (m,)
    start: Floats  # (m, n, 3)
    allowed: Floats  # (m, n, 3)

    @classmethod
    def none(cls, shape: tuple[int, int]) -> Certificates:
        return cls(np.zeros(shape[0], dtype=bool), np.zeros((*shape, 3)), np.zeros((*shape, 3)))

    def issue(self, net: Weights, rows: Ints, kappa: Floats) -> None:
        """Certify the networks ``net``, which are ``rows`` of the problem."""
        theta = np.stack([net.a, net.b, net.w], axis=-1)
        size, k = np.abs(theta), kappa[:, None, None]
        rest = 2 * k**2 * np.exp(2 * k) * size.max(axis=2, keepdims=True)
        self.there[rows], self.start[rows] = True, theta
        self.allowed[rows] = k * size @ criterion_oracle.Q + rest

    def check(self, net: Weights, rows: Ints) -> None:
        """No neuron of a certified network is farther away than it may be."""
        there = self.there[rows]
        theta = np.stack([net.a, net.b, net.w], axis=-1)[there]
        moved = np.abs(theta - self.start[rows[there]])
        # Over 10^6 steps roundings of 1e-16 add up to 1e-10 at most.
        assert (moved <= self.allowed[rows[there]] + 1e-10 * (1 + np.abs(theta))).all()


def assert_certificates_hold(simulation: Simulation, forms: Iterable[Form], least: int) -> None:
    assert simulation.crossed.any()
    for form in forms:
        assert simulation.certified[form].sum() >= least
        assert not (simulation.certified[form] & simulation.crossed).any()


# The published form is a proof only up to steps of 1 / lambda_max.
CERTIFIED = pytest.mark.parametrize(
    ("factor", "leaky_slope", "forms"),
    [(1.0, 0.0, list(SCALAR)), (1.9, 0.0, [Form.SHARP]), (1.0, 0.3, [Form.SHARP])],
)


@CERTIFIED
def test_no_certified_network_crosses(factor: float, leaky_slope: float, forms: list[Form]) -> None:
    problem = standard_problem(11, 60, 16, factor, leaky_slope)
    assert_certificates_hold(simulate(DenseEngine(), problem, 200_000), forms, least=20)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "networks"), [(4, 1000), (16, 1000), (64, 300)])
@CERTIFIED
def test_no_certified_network_crosses_in_a_million_steps(
    factor: float, leaky_slope: float, forms: list[Form], width: int, networks: int
) -> None:
    problem = standard_problem(12, networks, width, factor, leaky_slope)
    simulation = simulate(GroupedEngine(), problem, 1_000_000)
    assert_certificates_hold(simulation, forms, least=networks // 10)


def test_kinks_inside_now_are_no_proof() -> None:
    """Negative control: without its safety terms the test declares networks that cross later."""
    problem = standard_problem(seed=11, networks=60, width=16, factor=1.0)
    simulation = simulate(DenseEngine(), problem, 200_000)
    assert (simulation.naive & simulation.crossed).sum() > 5
