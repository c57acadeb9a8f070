"""What every engine must do, whichever it is: the same tests for all, with no branching on it.

Networks start as they are initialised (b = c = 0) or with biases; steps are tiny, stable or wild.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import one_d_oracle as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_d_problems import (
    at_initialisation,
    minibatches_for,
    random_minibatches,
    random_problem,
    select,
    weights_of,
    with_steps,
)

from mcrelu.engines.one_d.protocol import AnyEngine
from mcrelu.engines.one_d.registry import ENGINES, get_engine
from mcrelu.problems.one_d import Problem, Weights
from mcrelu.types import Bools, Counts, Floats, Ints, PointSet

STEPS = 200
CASES = [
    pytest.param(name, optimizer, id=f"{name}-{optimizer}")
    for name, engine in ENGINES.items()
    for optimizer in sorted(engine.optimizers)
]
each_case = pytest.mark.parametrize(("name", "optimizer"), CASES)

# Divergence: parameters beyond this are compared no more.
LARGE = 1e6


def scale(net: Weights) -> Floats:
    """Largest parameter of each network, (m,)."""
    return np.max([np.abs(part).reshape(len(net.c), -1).max(axis=1) for part in net], axis=0)


def distance(net: Weights, other: Weights) -> Floats:
    """Largest difference of two networks' parameters, (m,)."""
    pairs = zip(net, other, strict=True)
    return np.max([np.abs(u - v).reshape(len(net.c), -1).max(axis=1) for u, v in pairs], axis=0)


def window(minibatches: Counts | None, first: int, last: int) -> Counts | None:
    return None if minibatches is None else minibatches[:, :, first:last]


def own_steps(
    engine: AnyEngine, problem: Problem, minibatches: Counts | None, steps: int
) -> Iterator[Any]:
    """The engine's state after each of its steps."""
    state = engine.init(problem)
    for k in range(steps):
        state = engine.advance(state, 1, window(minibatches, k, k + 1))
        yield state


# ---------------------------------------------------------------------------- trajectories


def nudged(problem: Problem, seed: int) -> Problem:
    """The same problem with every parameter moved by some dozen roundings, as many steps add."""
    rng = np.random.default_rng(seed)
    parts = [
        part * (1 + 1e-14 * rng.choice([-2, -1, 1, 2], part.shape)) for part in weights_of(problem)
    ]
    return problem._replace(weights=Weights(*parts))


def compare_with_oracle(
    engine: AnyEngine,
    problem: Problem,
    minibatches: Counts | None,
    update: oracle.Update | None = None,
) -> float:
    """Assert equal parameters to 1e-9 after every step; the fraction of steps that was compared.

    Where a twin of the oracle that starts some roundings away has left it by 1e-11, the problem
    itself amplifies roundings (a saddle, chaos, an activation that flips), and no two programs
    agree.
    """
    ours = own_steps(engine, problem, minibatches, STEPS)
    theirs = oracle.trajectory(problem, minibatches, STEPS, update)
    twins = oracle.trajectory(nudged(problem, 0), minibatches, STEPS, update)
    alive = np.ones(len(problem.p), dtype=bool)
    determined = alive.copy()
    compared, possible = 0, 0
    with np.errstate(over="ignore", invalid="ignore"):
        for state, net, twin in zip(ours, theirs, twins, strict=True):
            size = scale(net)
            alive &= size < LARGE
            determined &= alive & (distance(net, twin) <= 1e-11 * size)
            error = distance(engine.neurons(state), net) / size
            assert (error[determined] <= 1e-9).all()
            compared, possible = compared + determined.sum(), possible + alive.sum()
            if not alive.any():
                break
    return compared / max(possible, 1)


def with_output_bias(problem: Problem) -> Problem:
    """b = 0 as at initialisation, c not."""
    weights = weights_of(problem)
    return problem._replace(weights=weights._replace(b=0.0 * weights.b))


STARTS: dict[str, Callable[[Problem], Problem]] = {
    "at-initialisation": at_initialisation,
    "with-output-bias": with_output_bias,
    "with-biases": lambda problem: problem,
}


@each_case
@pytest.mark.parametrize("start", STARTS)
@given(
    seed=st.integers(0, 2**32 - 1),
    networks=st.integers(1, 20),
    width=st.integers(1, 40),
    points=st.sampled_from((2, 6)),  # each number of points is compiled anew
    factor=st.sampled_from((0.01, 0.3, 1.0, 3.0, 5.0, 10.0, 100.0)),
    leaky_slope=st.sampled_from((0.0, 0.01, 0.3, 0.9)),
)
@settings(deadline=None, derandomize=True, max_examples=20)
def test_trajectory_equals_the_oracle(
    name: str,
    optimizer: str,
    start: str,
    seed: int,
    networks: int,
    width: int,
    points: int,
    factor: float,
    leaky_slope: float,
) -> None:
    rng = np.random.default_rng(seed)
    problem = with_steps(random_problem(rng, optimizer, networks, width, points), factor)
    problem = STARTS[start](problem)._replace(leaky_slope=leaky_slope)
    minibatches = minibatches_for(problem, rng, STEPS)
    compare_with_oracle(get_engine(name), problem, minibatches)


@each_case
def test_hardly_any_step_escapes_the_comparison(name: str, optimizer: str) -> None:
    """The exemption of chaotic problems must not empty the test above."""
    for factor, at_least in ((0.3, 1.0), (1.0, 1.0), (3.0, 0.9), (10.0, 0.9)):
        rng = np.random.default_rng(17)
        problem = with_steps(random_problem(rng, optimizer, 16, 12, 6), factor)
        minibatches = minibatches_for(problem, rng, STEPS)
        assert compare_with_oracle(get_engine(name), problem, minibatches) >= at_least


@each_case
def test_outputs_of_leaky_networks(name: str, optimizer: str) -> None:
    rng = np.random.default_rng(6)
    problem = random_problem(rng, optimizer, 20, 10, 6)._replace(leaky_slope=0.3)
    for start in STARTS.values():
        problem = start(problem)
        engine = get_engine(name)
        state = trained(engine, problem, minibatches_for(problem, rng, 20), 20)
        expected = oracle.outputs(engine.neurons(state), problem.points.x, 0.3)
        np.testing.assert_allclose(engine.outputs(state), expected, rtol=1e-9, atol=1e-12)


@each_case
def test_outermost_neurons_speak_for_all(name: str, optimizer: str) -> None:
    """The smallest slack of a homogeneous concave condition is theirs, with and without loose."""
    engine, rng = get_engine(name), np.random.default_rng(9)
    problem = at_initialisation(random_problem(rng, optimizer, 60, 4, 6))
    state = trained(engine, problem, minibatches_for(problem, rng, 5), 5)
    rows = np.array([k for k in range(60) if k % 7])
    some, every = engine.outermost(state, rows), engine.neurons(state, rows)
    passed = []
    for kappa in (0.0, 0.1, 0.3):
        expected = (relative_slack(every, kappa) > 0).all(axis=1)
        np.testing.assert_array_equal((relative_slack(some, kappa) > 0).all(axis=1), expected)
        passed.append(expected.mean())
    assert passed[0] > 0.1
    assert len(set(passed)) == len(passed)  # every kappa decides about some networks


def relative_slack(net: Weights, kappa: float) -> Floats:
    """The slack of neurons_stay over |a|, (m, k)."""
    size = np.abs(np.stack([net.a, net.b, net.w]))
    motion = kappa * size[2] + 2 * kappa**2 * np.exp(2 * kappa) * size.max(axis=0)
    return (size[0] - size[1] - 2 * motion) / size[0]


@each_case
def test_whole_sample_without_minibatches(name: str, optimizer: str) -> None:
    problem = random_problem(np.random.default_rng(5), optimizer, 8, 10, 6)
    assert compare_with_oracle(get_engine(name), problem, None) == 1.0


def one_after_the_other(training: oracle.Training, problem: Problem, p: Floats) -> oracle.Training:
    """Wrong: w moves along the gradient at the already moved a, b and c."""
    moved = oracle.descend(training, problem, p).net._replace(w=training.net.w)
    second = oracle.descend(training._replace(net=moved), problem, p)
    return second._replace(net=moved._replace(w=second.net.w))


def without_bias_correction(
    training: oracle.Training, problem: Problem, p: Floats
) -> oracle.Training:
    """Wrong: Adam that believes to have made many steps."""
    late = oracle.adam(training._replace(steps=10**6), problem, p)
    return late._replace(steps=training.steps + 1)


def stale_moments(training: oracle.Training, problem: Problem, p: Floats) -> oracle.Training:
    """Wrong: a step of Adam that forgets the square of the gradient."""
    fresh = training._replace(square=oracle.start(training.net).square)
    return oracle.adam(fresh, problem, p)


WRONG_UPDATES = {
    "gd": [one_after_the_other],
    "sgd": [one_after_the_other],
    "adam": [without_bias_correction, stale_moments],
}


@each_case
def test_comparison_tells_a_wrong_update(name: str, optimizer: str) -> None:
    """Negative control of the comparison itself."""
    rng = np.random.default_rng(1)
    problem = with_steps(random_problem(rng, optimizer, 4, 8, 6), 0.01)
    minibatches = minibatches_for(problem, rng, STEPS)
    for update in WRONG_UPDATES[optimizer]:
        with pytest.raises(AssertionError):
            compare_with_oracle(get_engine(name), problem, minibatches, update)


@each_case
def test_comparison_tells_minibatches_in_another_order(name: str, optimizer: str) -> None:
    rng = np.random.default_rng(1)
    problem = random_problem(rng, optimizer, 4, 8, 6)
    minibatches = random_minibatches(rng, problem.p, STEPS)
    engine, reversed_order = get_engine(name), minibatches[:, :, ::-1].copy()
    state = engine.advance(engine.init(problem), STEPS, reversed_order)
    *_, last = oracle.trajectory(problem, minibatches, STEPS)
    assert (distance(engine.neurons(state), last) > 1e-6 * scale(last)).all()


@each_case
def test_a_neuron_with_its_kink_on_a_point_is_active_there(name: str, optimizer: str) -> None:
    """a x + b = 0 exactly: the neuron learns from the point although it adds nothing to it."""
    points = PointSet(x=np.array([1.0, -2.0]), y=np.array([1.0, -1.0]))
    net = Weights(np.array([[1.0]]), np.array([[-1.0]]), np.zeros(1), np.array([[0.5]]))
    problem = Problem(points, np.array([[0.5, 0.5]]), net, np.array([0.125]), optimizer)
    engine = get_engine(name)
    moved = engine.neurons(engine.advance(engine.init(problem), 1))
    expected = next(oracle.trajectory(problem, None, 1))
    for got, right in zip(moved, expected, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-12)
    assert moved.a[0, 0] != 1.0


# ----------------------------------------------------------------------------------- kinks


@each_case
def test_kinks_are_those_of_the_trajectory(name: str, optimizer: str) -> None:
    """How far out kinks truly were and the exact first step, whatever the windows."""
    engine, rng = get_engine(name), np.random.default_rng(2)
    problem = at_initialisation(random_problem(rng, optimizer, 40, 8, 6))
    minibatches = minibatches_for(problem, rng, STEPS)
    largest, first = np.zeros(40), np.zeros(40, dtype=int)
    x = problem.points.x
    assert -x[x < 0].max() != x[x > 0].min()  # the two sides are told apart
    for k, state in enumerate(own_steps(engine, problem, minibatches, STEPS)):
        largest = np.maximum(largest, oracle.outermost_kink(engine.neurons(state), x))
        first[(first == 0) & (largest >= 1.0)] = k + 1
        got = engine.info(state)
        # The neurons may be materialised by other formulas than the kinks: some roundings.
        np.testing.assert_allclose(got.max_kink, largest, rtol=1e-9)
        np.testing.assert_array_equal(got.first_crossing, first)
    assert_in_one_go(engine, problem, minibatches, state)
    # The problem must have both kinds, and crossings at more than the first step.
    assert (first == 0).any()
    assert len(np.unique(first)) > 3


def assert_in_one_go(
    engine: AnyEngine, problem: Problem, minibatches: Counts | None, stepwise: Any
) -> None:
    """The same record from windows of 37 and the rest."""
    state = engine.advance(engine.init(problem), 37, window(minibatches, 0, 37))
    state = engine.advance(state, STEPS - 37, window(minibatches, 37, STEPS))
    for got, expected in zip(engine.info(state), engine.info(stepwise), strict=True):
        np.testing.assert_array_equal(got, expected)


@each_case
def test_crossings_are_those_of_the_oracle(name: str, optimizer: str) -> None:
    engine, rng = get_engine(name), np.random.default_rng(3)
    problem = at_initialisation(random_problem(rng, optimizer, 40, 8, 6))
    minibatches = minibatches_for(problem, rng, STEPS)
    x = problem.points.x
    nets = oracle.trajectory(problem, minibatches, STEPS)
    kinks = [oracle.outermost_kink(net, x) for net in nets]
    over = np.array(kinks) >= 1.0
    first = np.where(over.any(axis=0), over.argmax(axis=0) + 1, 0)
    record = engine.info(engine.advance(engine.init(problem), STEPS, minibatches))
    np.testing.assert_array_equal(record.first_crossing, first)
    np.testing.assert_allclose(record.max_kink, np.max(kinks, axis=0), rtol=1e-6)


@each_case
def test_there_are_no_kinks_before_the_first_step(name: str, optimizer: str) -> None:
    engine = get_engine(name)
    problem = at_initialisation(random_problem(np.random.default_rng(0), optimizer, 3, 5, 6))
    record = engine.info(engine.init(problem))
    np.testing.assert_array_equal(record.max_kink, np.zeros(3))
    np.testing.assert_array_equal(record.first_crossing, np.zeros(3))


# ---------------------------------------------------------------------- networks of a batch


def observed(engine: AnyEngine, state: Any) -> dict[str, np.ndarray]:
    """Everything that can be asked about a state; row k is network k."""
    parts = engine.neurons(state)._asdict() | engine.info(state)._asdict()
    own = {"outputs": engine.outputs(state), "moments": engine.moments(state)}
    return {key: np.array(value) for key, value in (parts | own).items()}


def assert_same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Bit for bit (two NaN are the same)."""
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(got[key], value, err_msg=key, strict=True)


def rows_of(seen: dict[str, np.ndarray], rows: Ints | Bools) -> dict[str, np.ndarray]:
    return {key: value[rows] for key, value in seen.items()}


BATCH = 70  # more than two vectors of any engine's lanes
SIZES = (1, 15, 16, 17, 31, 32, 33, 40, BATCH)


def mixed_problem(optimizer: str, networks: int = BATCH) -> tuple[Problem, Counts | None]:
    """Converging and diverging networks side by side."""
    rng = np.random.default_rng(8)
    problem = random_problem(rng, optimizer, networks, 9, 6)
    problem = with_steps(at_initialisation(problem), 10.0 ** rng.uniform(-2, 2, networks))
    return problem, minibatches_for(problem, rng, STEPS)


def trained(
    engine: AnyEngine, problem: Problem, minibatches: Counts | None, steps: int = STEPS
) -> Any:
    return engine.advance(engine.init(problem), steps, window(minibatches, 0, steps))


@each_case
@pytest.mark.parametrize("size", SIZES)
def test_result_does_not_depend_on_lane_neighbours_or_batch(
    name: str, optimizer: str, size: int
) -> None:
    engine = get_engine(name)
    problem, minibatches = mixed_problem(optimizer)
    whole = observed(engine, trained(engine, problem, minibatches))
    for seed in range(2):
        rows = np.random.default_rng(seed).permutation(BATCH)[:size]
        counts = None if minibatches is None else minibatches[rows]
        part = trained(engine, select(problem, rows), counts)
        assert_same(observed(engine, part), rows_of(whole, rows))


@each_case
def test_networks_of_the_batch_differ(name: str, optimizer: str) -> None:
    """Negative control: a row in the wrong place would be seen."""
    engine = get_engine(name)
    seen = observed(engine, trained(engine, *mixed_problem(optimizer), steps=2))
    for key in ("a", "b", "c", "w", "max_kink", "outputs", "moments"):
        flat = seen[key].reshape(BATCH, -1)
        assert len(np.unique(flat, axis=0)) == BATCH, key


@each_case
def test_ten_steps_are_ten_times_one_step(name: str, optimizer: str) -> None:
    engine = get_engine(name)
    problem, minibatches = mixed_problem(optimizer)
    start = trained(engine, problem, minibatches, 5)
    at_once = engine.advance(start, 10, window(minibatches, 5, 15))
    state = start
    for k in range(5, 15):
        state = engine.advance(state, 1, window(minibatches, k, k + 1))
    assert_same(observed(engine, state), observed(engine, at_once))


@each_case
def test_overflow_within_a_window_loses_no_crossing(name: str, optimizer: str) -> None:
    """Networks that cross at a step and overflow at the next have crossed all the same."""
    engine, rng = get_engine(name), np.random.default_rng(8)
    problem = at_initialisation(random_problem(rng, optimizer, BATCH, 3, 6))
    problem = with_steps(problem, 10.0 ** rng.uniform(0, 150, BATCH))
    minibatches = minibatches_for(problem, rng, 12)
    *_, stepwise = own_steps(engine, problem, minibatches, 12)
    expected = engine.info(stepwise)
    got = engine.info(trained(engine, problem, minibatches, 12))
    np.testing.assert_array_equal(got.first_crossing, expected.first_crossing)
    np.testing.assert_array_equal(got.max_kink, expected.max_kink)
    assert len(np.unique(expected.first_crossing)) > 1


@each_case
def test_overflow_is_no_warning(name: str, optimizer: str) -> None:
    """Diverging networks are results like others, on the way to infinity and after it."""
    engine, rng = get_engine(name), np.random.default_rng(8)
    problem = at_initialisation(random_problem(rng, optimizer, BATCH, 3, 6))
    problem = with_steps(problem, 10.0 ** rng.uniform(0, 10, BATCH))
    minibatches = minibatches_for(problem, rng, 12)
    for state in own_steps(engine, problem, minibatches, 12):
        observed(engine, state)


@each_case
def test_advance_leaves_the_given_state_alone(name: str, optimizer: str) -> None:
    engine = get_engine(name)
    problem, minibatches = mixed_problem(optimizer)
    state = trained(engine, problem, minibatches, 20)
    before = observed(engine, state)
    once = observed(engine, engine.advance(state, 30, window(minibatches, 20, 50)))
    assert_same(observed(engine, state), before)
    # What the state holds unseen, Adam's moments, must not have moved either.
    again = observed(engine, engine.advance(state, 30, window(minibatches, 20, 50)))
    assert_same(again, once)


@each_case
def test_engine_leaves_the_problem_alone(name: str, optimizer: str) -> None:
    engine = get_engine(name)
    problem, minibatches = mixed_problem(optimizer)
    original, _ = mixed_problem(optimizer)
    trained(engine, problem, minibatches)
    for got, expected in zip(weights_of(problem), weights_of(original), strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(problem.p, original.p)
    np.testing.assert_array_equal(problem.step_size, original.step_size)


MASKS = {
    "all": np.ones(BATCH, dtype=bool),
    "one": np.arange(BATCH) == 53,
    "every-third": np.arange(BATCH) % 3 == 0,
    "last-47": np.arange(BATCH) >= BATCH - 47,
}


@each_case
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_keep_commutes_with_advance(name: str, optimizer: str, mask: Bools) -> None:
    engine = get_engine(name)
    problem, minibatches = mixed_problem(optimizer)
    state = trained(engine, problem, minibatches, 20)
    rest = window(minibatches, 20, 60)
    kept_first = engine.advance(engine.keep(state, mask), 40, None if rest is None else rest[mask])
    kept_last = engine.keep(engine.advance(state, 40, rest), mask)
    assert_same(observed(engine, kept_first), observed(engine, kept_last))
    assert_same(observed(engine, engine.keep(state, mask)), rows_of(observed(engine, state), mask))


@each_case
def test_keep_nothing(name: str, optimizer: str) -> None:
    engine, none = get_engine(name), np.zeros(BATCH, dtype=bool)
    problem, minibatches = mixed_problem(optimizer)
    state = trained(engine, problem, minibatches, 20)
    empty = engine.keep(state, none)
    expected = rows_of(observed(engine, state), none)
    assert_same(observed(engine, empty), expected)
    rest = None if minibatches is None else minibatches[none]
    assert_same(observed(engine, engine.advance(empty, 10, window(rest, 20, 30))), expected)


# --------------------------------------------------------------------- what a state says


def stable_states(name: str, optimizer: str) -> Iterator[tuple[AnyEngine, Problem, Any]]:
    """States at the start, and after some and many steps."""
    engine, rng = get_engine(name), np.random.default_rng(4)
    for start in STARTS.values():
        problem = start(random_problem(rng, optimizer, 20, 30, 6))
        minibatches = minibatches_for(problem, rng, STEPS)
        for steps in (0, 7, STEPS):
            state = engine.init(problem)
            if steps:
                state = engine.advance(state, steps, window(minibatches, 0, steps))
            yield engine, problem, state


@each_case
def test_moments_are_those_of_the_neurons(name: str, optimizer: str) -> None:
    for engine, _, state in stable_states(name, optimizer):
        expected = engine.neurons(state).sums.sigma
        size = np.trace(expected.sum(axis=1), axis1=1, axis2=2)[:, None, None, None]
        # Mixed entries cancel: relative to the sum of the squares.
        assert (np.abs(engine.moments(state) - expected) <= 1e-12 * size).all()


@each_case
def test_outputs_are_those_of_the_neurons(name: str, optimizer: str) -> None:
    for engine, problem, state in stable_states(name, optimizer):
        net, x = engine.neurons(state), problem.points.x
        expected = oracle.outputs(net, x)
        sizes = Weights(*(np.abs(part) for part in net))
        terms = oracle.outputs(sizes, np.abs(x))  # what the roundings are relative to
        assert (np.abs(engine.outputs(state) - expected) <= 1e-12 * terms).all()


@each_case
def test_init_holds_the_problem(name: str, optimizer: str) -> None:
    problem, _ = mixed_problem(optimizer)
    engine = get_engine(name)
    for got, expected in zip(
        engine.neurons(engine.init(problem)), weights_of(problem), strict=True
    ):
        np.testing.assert_array_equal(got, expected, strict=True)


def test_names_are_those_of_the_engines() -> None:
    for name, engine in ENGINES.items():
        assert engine.name == name
        assert engine.semantics >= 1
        assert engine.optimizers <= oracle.UPDATES.keys()
