"""The grouped engine in R^d against the oracle, and what makes it exact."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import r_d_oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from r_d_problems import POINTS, he, problem_on, with_biases, with_zeros

from mcrelu.engines.r_d import grouped
from mcrelu.engines.r_d.activation_patterns import Points
from mcrelu.engines.r_d.descent import Segment, descend
from mcrelu.engines.r_d.grouped import GroupedEngine
from mcrelu.engines.r_d.network import Network
from mcrelu.problems.r_d import Info, Layer, Layers, Problem, State
from mcrelu.types import Floats

EPOCHS = 2000
LARGE = 1e6  # parameters beyond this have diverged


class Determined(NamedTuple):
    """The oracle's descent of one network up to where roundings begin to decide."""

    state: State
    losses: Floats  # (epochs + 1,)
    changes: int  # of patterns, counted as neurons and epochs


def nudged(layers: Layers, seed: int) -> Layers:
    """Every parameter moved by some dozen roundings."""
    rng = np.random.default_rng(seed)
    return tuple(
        Layer(*(part * (1 + 1e-14 * rng.choice([-2, -1, 1, 2], part.shape)) for part in layer))
        for layer in layers
    )


def determined(problem: Problem, state: State, epochs: int) -> list[Determined]:
    """For each network the longest descent that its twin, some roundings away, does not leave.

    Where a twin leaves by 1e-11 or has another pattern, or parameters diverged, the problem
    amplifies roundings, and no two programs agree.
    """
    m = len(problem.p)
    both = np.concatenate([np.arange(m)] * 2)
    twins = [
        Layer(*(np.concatenate(parts) for parts in zip(layer, twin, strict=True)))
        for layer, twin in zip(state.layers, nudged(state.layers, 0), strict=True)
    ]
    doubled = state.rows(both)._replace(layers=tuple(twins))
    alive = np.ones(m, dtype=bool)
    found: dict[int, tuple[State, int, int]] = {}
    losses: list[Floats] = []
    changes, before = np.zeros(m, dtype=int), None
    with np.errstate(over="ignore", invalid="ignore"):
        for now, loss, pattern in r_d_oracle.trajectory(problem.rows(both), doubled):
            theta, twin = np.split(r_d_oracle.flat(now.layers), 2)
            size = np.abs(theta).max(axis=1)
            close = np.abs(theta - twin).max(axis=1) <= 1e-11 * size
            same = (pattern[:m] == pattern[m:]).all(axis=(1, 2))
            crossed = now.info.first_loss_crossing[:m] == now.info.first_loss_crossing[m:]
            alive &= (size < LARGE) & close & same & crossed
            if before is not None:
                changes = changes + (pattern[:m] != before).any(axis=1).sum(axis=1)
            losses, before = [*losses, loss[:m]], pattern[:m]
            for k in np.flatnonzero(alive).tolist():
                found[k] = (now.rows(np.array([k])), now.epoch, int(changes[k]))
            if now.epoch == state.epoch + epochs or not alive.any():
                break
    table = np.array(losses).T
    return [
        Determined(end, table[k, : epoch - state.epoch + 1], count)
        for k, (end, epoch, count) in sorted(found.items())
    ]


def compare(problem: Problem, state: State, epochs: int = EPOCHS) -> tuple[float, int]:
    """Assert what the oracle says; the fraction of epochs compared and the pattern changes."""
    compared, changes = 0, 0
    for k, expected in enumerate(determined(problem, state, epochs)):
        one = np.array([k])
        last = expected.state.epoch - state.epoch
        got, losses = GroupedEngine().advance(problem.rows(one), state.rows(one), last)
        right = r_d_oracle.flat(expected.state.layers)
        error = np.abs(r_d_oracle.flat(got.layers) - right).max() / np.abs(right).max()
        assert error <= 1e-9
        kept = expected.losses[1000::1000]
        assert (np.abs(losses[0] - kept) <= 1e-9 * expected.losses.max()).all()
        assert got.epoch == expected.state.epoch
        assert got.info.first_kink_change == expected.state.info.first_kink_change
        assert got.info.first_loss_crossing == expected.state.info.first_loss_crossing
        compared, changes = compared + last, changes + expected.changes
    return compared / (epochs * len(problem.p)), changes


def random_problem(
    seed: int, inputs: int, points: int, width: int, factor: float, biases: bool, zeros: float
) -> tuple[Problem, State]:
    rng = np.random.default_rng(seed)
    layers = with_zeros(rng, he(rng, 2, [inputs, width, 1]), zeros)
    layers = with_biases(rng, layers) if biases else layers
    where = rng.standard_normal((points, inputs)), rng.standard_normal(points)
    return problem_on(rng, where, layers, factor, rng.uniform(0.1, 1.0))


PROBLEMS = {
    "seed": st.integers(0, 2**32 - 1),
    "inputs": st.integers(1, 4),
    "points": st.integers(1, 80),
    "width": st.integers(1, 60),
    "factor": st.floats(0.3, 2.5),
    "biases": st.booleans(),
    "zeros": st.sampled_from((0.0, 0.3)),
}


@given(**PROBLEMS)
@settings(deadline=None, derandomize=True, max_examples=4)
def test_grouped_is_the_oracle(**values: Any) -> None:
    compare(*random_problem(**values))


@pytest.mark.slow
@given(**PROBLEMS)
@settings(deadline=None, derandomize=True, max_examples=150)
def test_grouped_is_the_oracle_on_many_problems(**values: Any) -> None:
    compare(*random_problem(**values))


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.3, 1.0, 2.0, 2.5])
@pytest.mark.parametrize("name", POINTS)
def test_grouped_is_the_oracle_on_the_paper_s_points(name: str, factor: float) -> None:
    problem, state = problem_on(generator(3), POINTS[name], he(generator(4), 8, [2, 60, 1]), factor)
    compared, changes = compare(problem, state)
    assert compared >= 0.9
    assert changes > 10_000


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def star_problem(networks: int = 3) -> tuple[Problem, State]:
    layers = he(generator(1), networks, [2, 30, 1])
    return problem_on(generator(2), POINTS["star"], layers, 1.0, 0.8)


def test_the_exemption_does_not_empty_the_comparison() -> None:
    """What amplifies roundings is hardly anything, and thousands of patterns change."""
    compared, changes = compare(*star_problem(), 1000)
    assert compared == 1.0
    assert changes > 1000


def without_checks(
    net: Network, points: Points, segment: Segment, losses: Floats
) -> tuple[int, int]:
    """A descent whose points give no reason to check: all are infinitely far from every kink."""
    far = points._replace(inverse_norm=np.full_like(points.inverse_norm, np.inf))
    return descend(net, far, segment, losses)


def test_a_descent_without_checks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: nobody leaves a group."""
    monkeypatch.setattr(grouped, "descend", without_checks)
    with pytest.raises(AssertionError):
        compare(*star_problem(), 1000)


def test_a_wrong_step_size_is_told() -> None:
    """Negative control of the comparison itself."""
    problem, state = star_problem()
    end, _ = GroupedEngine().advance(problem, state, 50)
    other = problem._replace(step_size=problem.step_size * (1 + 1e-6))
    wrong, _ = r_d_oracle.advance(other, state, 50)
    right, _ = r_d_oracle.advance(problem, state, 50)
    theta = [r_d_oracle.flat(part.layers) for part in (end, right, wrong)]
    np.testing.assert_allclose(theta[0], theta[1], rtol=1e-9, atol=1e-12)
    assert (np.abs(theta[0] - theta[2]).max(axis=1) > 1e-9).all()


# --------------------------------------------------------------------------- segments and batches


def assert_same(got: tuple[State, Floats], expected: tuple[State, Floats]) -> None:
    """Bit for bit (two NaN are the same)."""
    np.testing.assert_array_equal(
        r_d_oracle.flat(got[0].layers), r_d_oracle.flat(expected[0].layers)
    )
    for record, right in zip(got[0].info, expected[0].info, strict=True):
        np.testing.assert_array_equal(record, right)
    np.testing.assert_array_equal(got[1], expected[1])


def test_a_segment_depends_on_plain_arrays_only() -> None:
    problem, state = star_problem()
    engine = GroupedEngine()
    middle, _ = engine.advance(problem, state, 1000)
    layers = tuple(Layer(*(part.copy() for part in layer)) for layer in middle.layers)
    copied = middle._replace(
        layers=layers,
        info=Info(*(part.copy() for part in middle.info)),
    )
    once = engine.advance(problem, middle, 1500)
    assert once[1].shape == (3, 1)
    assert_same(GroupedEngine().advance(problem, copied, 1500), once)
    assert_same(engine.advance(problem, middle, 1500), once)  # the state is as it was


def test_neighbours_do_not_matter() -> None:
    problem, state = star_problem()
    state.layers[0].weight[1] *= 1e30  # one diverges
    end, losses = GroupedEngine().advance(problem, state, 1000)
    for k in range(3):
        one = np.array([k])
        alone = GroupedEngine().advance(problem.rows(one), state.rows(one), 1000)
        assert_same(alone, (end.rows(one), losses[one]))
    assert np.isfinite(losses[[0, 2]]).all()


# ----------------------------------------------------------------------------------- extremes


@pytest.mark.parametrize("factor", [1e2, 1e10, 1e100, 1e300])
def test_divergence_is_a_result(factor: float) -> None:
    """What overflows ends as NaN, as the oracle's does, with the same epochs on record."""
    layers = he(generator(1), 4, [2, 20, 1])
    problem, state = problem_on(generator(2), POINTS["star"], layers, factor, 1e-3)
    with np.errstate(over="ignore", invalid="ignore"):
        expected, right = r_d_oracle.advance(problem, state, 2000)
    got, losses = GroupedEngine().advance(problem, state, 2000)
    np.testing.assert_array_equal(got.info.first_kink_change, expected.info.first_kink_change)
    np.testing.assert_array_equal(got.info.first_loss_crossing, expected.info.first_loss_crossing)
    np.testing.assert_array_equal(np.isnan(losses), np.isnan(right))
    assert np.isnan(losses).any()


def test_a_group_that_all_have_left_does_no_harm() -> None:
    """The only neuron dies while its point still forces: its old matrix would overflow."""
    problem, state = random_problem(2, 1, 2, 1, 2.0, biases=False, zeros=0.0)
    compared, changes = compare(problem, state)
    assert compared == 1.0
    assert changes > 0


def test_dead_networks_are_frozen() -> None:
    """Active nowhere: only the output bias moves."""
    layers = he(generator(1), 2, [2, 5, 1])
    layers[0].bias[:] = -100.0
    problem, state = problem_on(generator(2), POINTS["cross"], layers, 0.5)
    assert compare(problem, state) == (1.0, 0)


def test_a_frozen_network_is_done_at_once() -> None:
    """A step that changes no bit is the last; otherwise 10^9 epochs would take minutes."""
    layers = he(generator(1), 1, [2, 5, 1])
    layers[0].bias[:] = -100.0
    problem, state = problem_on(generator(2), POINTS["cross"], layers, 0.5)
    short, early = GroupedEngine().advance(problem, state, 10_000)
    end, losses = GroupedEngine().advance(problem, state, 10**9)
    np.testing.assert_array_equal(r_d_oracle.flat(end.layers), r_d_oracle.flat(short.layers))
    assert (losses == early[0, -1]).mean() > 0.99


def test_other_networks_are_refused() -> None:
    problem, state = star_problem(1)
    with pytest.raises(ValueError, match="two layers with relu, not 2 with tanh"):
        GroupedEngine().advance(problem._replace(activation="tanh"), state, 1)
    deep = state._replace(layers=he(generator(1), 1, [2, 4, 4, 1]))
    with pytest.raises(ValueError, match="not 3 with relu"):
        GroupedEngine().advance(problem, deep, 1)
