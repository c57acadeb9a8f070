"""The grouped engine against the dense one over thousands of steps, and what makes it exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_d_problems import (
    at_initialisation,
    minibatches_for,
    random_problem,
    standard_problem,
    weights_of,
    with_steps,
)

from mcrelu import memory
from mcrelu.engines.one_d import group_state
from mcrelu.engines.one_d.dense import DenseEngine
from mcrelu.engines.one_d.grouped import GroupedEngine
from mcrelu.engines.one_d.protocol import AnyEngine
from mcrelu.problems.one_d import Barrier, Problem, Weights
from mcrelu.types import Counts, Floats, Ints

STEPS = 3000
LARGE = 1e6  # parameters beyond this have diverged


class Step(NamedTuple):
    """Networks after a step."""

    theta: Floats  # (m, 3 n + 1)
    crossing: Ints  # (m,)


def steps_of(engine: AnyEngine, problem: Problem, minibatches: Counts | None) -> Iterator[Step]:
    state = engine.init(problem)
    for k in range(STEPS):
        window = None if minibatches is None else minibatches[:, :, k : k + 1]
        state = engine.advance(state, 1, window)
        net = engine.neurons(state)
        theta = np.concatenate([net.a, net.b, net.w, net.c[:, None]], axis=1)
        yield Step(theta, engine.info(state).first_crossing)


def nudged(problem: Problem, seed: int) -> Problem:
    """The same problem with weights moved by some dozen roundings."""
    rng = np.random.default_rng(seed)
    moved = (p * (1 + 1e-14 * rng.choice([-2, -1, 1, 2], p.shape)) for p in weights_of(problem))
    return problem._replace(weights=Weights(*moved))


def compare(problem: Problem, minibatches: Counts | None) -> float:
    """Assert equal parameters and crossings at every step; the fraction of steps compared.

    Where the dense engine itself leaves its own path by 1e-11 if it starts some roundings away,
    the problem amplifies roundings, and no two programs agree.
    """
    m = len(problem.p)
    alive, determined = np.ones(m, dtype=bool), np.ones(m, dtype=bool)
    compared, possible = 0, 0
    runs = (
        steps_of(GroupedEngine(), problem, minibatches),
        steps_of(DenseEngine(), problem, minibatches),
        steps_of(DenseEngine(), nudged(problem, 0), minibatches),
    )
    with np.errstate(over="ignore", invalid="ignore"):
        for ours, theirs, twin in zip(*runs, strict=True):
            size = np.abs(theirs.theta).max(axis=1)
            alive &= size < LARGE
            close = np.abs(theirs.theta - twin.theta).max(axis=1) <= 1e-11 * size
            determined &= alive & close & (theirs.crossing == twin.crossing)
            error = np.abs(ours.theta - theirs.theta).max(axis=1) / size
            assert (error[determined] <= 1e-9).all()
            assert (ours.crossing == theirs.crossing)[determined].all()
            compared, possible = compared + determined.sum(), possible + alive.sum()
            if not determined.any():
                break
    return compared / max(possible, 1)


PROBLEMS = {
    "seed": st.integers(0, 2**32 - 1),
    "optimizer": st.sampled_from(("gd", "sgd")),
    "networks": st.integers(1, 6),
    "width": st.integers(1, 40),
    "factor": st.sampled_from((0.1, 1.0, 3.0, 10.0, 100.0)),
    "leaky_slope": st.sampled_from((0.0, 0.01, 0.5, 0.99)),
    "biases": st.booleans(),
}


def problem_of(
    seed: int, optimizer: str, networks: int, width: int, points: int,
    factor: float, leaky_slope: float, biases: bool,
) -> tuple[Problem, Counts | None]:  # fmt: skip
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, optimizer, networks, width, points)
    problem = with_steps(problem, factor)._replace(leaky_slope=leaky_slope)
    problem = problem if biases else at_initialisation(problem)
    return problem, minibatches_for(problem, rng, STEPS)


@given(**PROBLEMS)
@settings(deadline=None, derandomize=True, max_examples=6)
def test_grouped_is_dense_step_by_step(**values: Any) -> None:
    compare(*problem_of(points=6, **values))


@pytest.mark.slow
@given(points=st.sampled_from((1, 2, 3, 5, 6, 9)), **PROBLEMS)
@settings(deadline=None, derandomize=True, max_examples=120)
def test_grouped_is_dense_step_by_step_at_any_points(**values: Any) -> None:
    compare(*problem_of(**values))


def test_most_steps_are_compared() -> None:
    """The exemption of what amplifies roundings must not empty the tests above."""
    for factor, at_least in ((1.0, 0.9), (3.0, 0.5)):
        arguments = (3, "gd", 16, 12, 6, factor, 0.0, False)
        assert compare(*problem_of(*arguments)) >= at_least


@pytest.mark.parametrize("leaky_slope", [0.0, 0.3])
def test_a_kernel_without_ejection_is_told(
    leaky_slope: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: neurons that stay in their group whatever their kinks do."""
    problem, _ = problem_of(3, "gd", 16, 12, 6, 1.0, leaky_slope, False)
    monkeypatch.setattr(group_state, "barrier_of", lambda points: Barrier(0.0, 0.0))
    with pytest.raises(AssertionError):
        compare(problem, None)


def test_wide_networks_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many neurons are in memory at once changes nothing."""
    problem = standard_problem(1, 40, 64)
    whole = GroupedEngine().advance(GroupedEngine().init(problem), 500)
    monkeypatch.setattr(memory, "NEURONS_AT_ONCE", 5 * 64)
    engine = GroupedEngine()
    parts = engine.advance(engine.init(problem), 500)
    for one, other in zip(engine.neurons(whole), engine.neurons(parts), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (engine.info(whole).first_crossing > 0).any()
