"""What every engine for minibatches must do: the same tests for all, with no branching on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minibatch_problems import (
    chosen,
    distance,
    gradient,
    mean_squares,
    random_problem,
    train,
    with_rule,
)

from mcrelu.engines.minibatch.protocol import AnyEngine
from mcrelu.engines.minibatch.registry import SEMANTICS, get_engine
from mcrelu.problems.regression import Networks, Optimizer, Problem, Rule, Sample, Samples
from mcrelu.types import Floats

RULES: tuple[Rule, ...] = ("sgd", "momentum", "adam")
RATES: dict[Rule, float] = {"sgd": 0.02, "momentum": 0.005, "adam": 0.003}
INPUTS = {"piecewise": (1,), "fused": (1, 3, 4, 9), "torch": (1, 3)}
CASES = [
    pytest.param(name, inputs, id=f"{name}-{inputs}")
    for name in SEMANTICS
    for inputs in INPUTS[name]
]
each_case = pytest.mark.parametrize(("name", "inputs"), CASES)
each_engine = pytest.mark.parametrize("name", SEMANTICS)
each_rule = pytest.mark.parametrize("rule", RULES)


def engine_of(name: str) -> AnyEngine:
    """In double precision."""
    if name == "torch":
        pytest.importorskip("torch")
    return get_engine(name, precision="float64")


def trained(engine: AnyEngine, problem: Problem, nets: Networks, *windows: int) -> Any:
    state = engine.init(problem, nets)
    for epochs in windows:
        state = engine.advance(state, epochs)
    return state


# -------------------------------------------------------------------------------- gradients


def slope_of(engine: AnyEngine, problem: Problem, nets: Networks) -> Networks:
    """The gradient, from one step of descent at rate 1."""
    problem = with_rule(problem, "sgd", 1.0)
    after = engine.networks(trained(engine, problem, nets, 1))
    return Networks(*(u - v for u, v in zip(nets, after, strict=True)))


@each_case
def test_gradients_are_those_of_finite_differences(name: str, inputs: int) -> None:
    problem, nets = random_problem(1, inputs=inputs)
    slope = slope_of(engine_of(name), problem, nets)
    h = 1e-6
    for k, part in enumerate(nets):
        for place in list(np.ndindex(part.shape[1:]))[:20]:
            moved = []
            for sign in (1, -1):
                changed = part.copy()
                changed[(slice(None), *place)] += sign * h
                moved.append(mean_squares(_with(nets, k, changed), problem.samples.train))
            difference = (moved[0] - moved[1]) / (2 * h)
            assert np.allclose(slope[k][(slice(None), *place)], difference, rtol=1e-6, atol=1e-8)


def _with(nets: Networks, k: int, part: Floats) -> Networks:
    parts = list(nets)
    parts[k] = part
    return Networks(*parts)


@each_case
def test_gradients_are_those_of_autograd(name: str, inputs: int) -> None:
    torch = pytest.importorskip("torch")
    problem, nets = random_problem(2, inputs=inputs)
    slope = slope_of(engine_of(name), problem, nets)
    a, b, w, c = (torch.tensor(part, requires_grad=True) for part in nets)
    x, y = (torch.tensor(part) for part in problem.samples.train)
    f = torch.bmm(torch.relu(torch.bmm(x, a) + b[:, None]), w[:, :, None])[:, :, 0] + c[:, None]
    ((f - y) ** 2).mean(dim=1).sum().backward()
    for own, other in zip(slope, (a, b, w, c), strict=True):
        assert np.abs(own - other.grad.numpy()).max() < 1e-10


@each_case
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), width=st.integers(1, 40), points=st.integers(2, 30))
def test_gradients_at_any_size(name: str, inputs: int, seed: int, width: int, points: int) -> None:
    problem, nets = random_problem(seed, inputs=inputs, width=width, points=points)
    slope = slope_of(engine_of(name), problem, nets)
    assert distance(slope, gradient(nets, problem.samples.train)).max() < 1e-10


# ------------------------------------------------------------------------------------- ties

# Numbers that sums and products keep exactly, so that a tie is a tie in every engine.
X = np.array([-2.0, -1.0, -1.0, 0.0, 0.5, 0.5, 1.0, 3.0])
TIES = {
    "kinks on points": ([1.0, -1.0, 2.0, -2.0], [1.0, 1.0, -1.0, -1.0], [0.5, -0.5, 1.0, 0.25]),
    "a kink on two points": ([1.0, -1.0, 1.0, -1.0], [-0.5, 0.5, 1.0, -1.0], [1.0, 1.0, -1.0, 2.0]),
    "zero biases, a point at zero": ([1.0, -1.0, 0.5, -2.0], [0.0] * 4, [1.0, -1.0, 2.0, 0.5]),
    "no slope": ([0.0, 0.0, 0.0, 1.0], [1.0, -1.0, 0.0, 0.0], [1.0, 2.0, 0.5, -1.0]),
    "all dead": ([1.0, -1.0, 0.0, 0.0], [-8.0, -8.0, -1.0, 0.0], [1.0, -1.0, 1.0, 2.0]),
    "all active": ([1.0, -1.0, 0.5, 0.0], [8.0, 8.0, 8.0, 1.0], [1.0, -1.0, 0.5, 0.25]),
}


def tied(case: str) -> tuple[Problem, Networks]:
    a, b, w = (np.array([part]) for part in TIES[case])
    y = np.array([[1.0, -1.0, 2.0, 0.5, 0.0, 1.0, -2.0, 1.0]])
    sample = Sample(X[None, :, None], y)
    problem, _ = random_problem(0, networks=1)
    problem = problem._replace(samples=Samples(sample, sample, sample), batch=len(X))
    return problem, Networks(a[:, None], b, w, np.array([0.25]))


@each_engine
@pytest.mark.parametrize("case", TIES)
def test_ties_are_inactive(name: str, case: str) -> None:
    problem, nets = tied(case)
    slope = slope_of(engine_of(name), problem, nets)
    assert distance(slope, gradient(nets, problem.samples.train)).max() < 1e-14


def test_ties_would_show() -> None:
    """Negative control: with z >= 0 for active, the gradients of all tied cases are others."""
    for case in ("kinks on points", "a kink on two points", "zero biases, a point at zero"):
        problem, nets = tied(case)
        wrong = nets._replace(b=nets.b + 1e-9)
        right = gradient(nets, problem.samples.train)
        assert distance(gradient(wrong, problem.samples.train), right).max() > 1e-2


@each_engine
def test_slopes_that_change_sign(name: str) -> None:
    """A neuron's side changes as its a passes zero, wherever its kink is then."""
    problem, nets = random_problem(3, points=16, width=8)
    nets = nets._replace(a=0.003 * np.sign(nets.a), b=np.abs(nets.b))
    problem = with_rule(problem, "sgd", 0.1)
    expected = train(problem, nets, 40)
    assert (np.sign(expected.a) != np.sign(nets.a)).any(axis=(1, 2)).all()
    found = engine_of(name).networks(trained(engine_of(name), problem, nets, 40))
    assert distance(found, expected).max() < 1e-11


# --------------------------------------------------------------------------------- training


@each_case
@each_rule
def test_2000_steps_are_those_of_the_plain_method(name: str, inputs: int, rule: Rule) -> None:
    problem, nets = random_problem(7, inputs=inputs)
    problem = with_rule(problem, rule, RATES[rule])
    engine = engine_of(name)
    found = engine.networks(trained(engine, problem, nets, 2000))
    assert distance(found, train(problem, nets, 2000)).max() < 1e-7
    assert (mean_squares(found, problem.samples.train) < 0.2).all()


@each_rule
def test_an_error_would_show_in_2000_steps(rule: Rule) -> None:
    """Negative control: a rate that is off by 1e-4."""
    problem, nets = random_problem(7)
    right = train(with_rule(problem, rule, RATES[rule]), nets, 2000)
    wrong = train(with_rule(problem, rule, RATES[rule] * (1 + 1e-4)), nets, 2000)
    assert (distance(right, wrong) > 1e-7).all()


@each_case
@each_rule
def test_minibatches_are_taken_without_replacement(name: str, inputs: int, rule: Rule) -> None:
    problem, nets = random_problem(8, inputs=inputs, points=24, batch=6)
    problem = with_rule(problem, rule, RATES[rule])
    engine = engine_of(name)
    found = engine.networks(trained(engine, problem, nets, 30))
    assert distance(found, train(problem, nets, 30)).max() < 1e-10
    whole = train(problem._replace(batch=24), nets, 30)
    assert (distance(found, whole) > 1e-3).all()


@each_case
@each_rule
def test_factors_of_layers_are_rates(name: str, inputs: int, rule: Rule) -> None:
    """f = s_2 w max(0, s_1 a x + b) + c trained in a and w by torch's own optimisers."""
    torch = pytest.importorskip("torch")
    s1, s2 = 1.5, 0.25
    optimizer = Optimizer(rule, RATES[rule], s1, s2)
    problem, nets = random_problem(9, inputs=inputs, optimizer=optimizer)
    a, b, w, c = (
        torch.tensor(part / factor, requires_grad=True)
        for part, factor in zip(nets, (s1, 1.0, s2, 1.0), strict=True)
    )
    x, y = (torch.tensor(part) for part in problem.samples.train)
    kinds = {
        "sgd": lambda parts: torch.optim.SGD(parts, lr=RATES[rule]),
        "momentum": lambda parts: torch.optim.SGD(parts, lr=RATES[rule], momentum=0.9),
        "adam": lambda parts: torch.optim.Adam(parts, lr=RATES[rule]),
    }
    descent = kinds[rule]([a, b, w, c])
    for _ in range(200):
        descent.zero_grad()
        hidden = torch.relu(s1 * torch.bmm(x, a) + b[:, None])
        f = s2 * torch.bmm(hidden, w[:, :, None])[:, :, 0] + c[:, None]
        ((f - y) ** 2).mean(dim=1).sum().backward()
        descent.step()
    expected = Networks(
        *(
            factor * part.detach().numpy()
            for part, factor in zip((a, b, w, c), (s1, 1.0, s2, 1.0), strict=True)
        )
    )
    engine = engine_of(name)
    assert distance(engine.networks(trained(engine, problem, nets, 200)), expected).max() < 1e-9


# ------------------------------------------------------------------------------ invariances


def equal(one: Networks, other: Networks) -> bool:
    return all(np.array_equal(u, v) for u, v in zip(one, other, strict=True))


@each_case
@each_rule
def test_windows_do_not_matter(name: str, inputs: int, rule: Rule) -> None:
    problem, nets = random_problem(10, inputs=inputs, batch=10)
    problem = with_rule(problem, rule, RATES[rule])
    engine = engine_of(name)
    whole = trained(engine, problem, nets, 12)
    parts = trained(engine, problem, nets, 1, 4, 7)
    assert equal(engine.networks(whole), engine.networks(parts))
    for sample in ("train", "valid", "test"):
        found = engine.mean_squares(parts, sample)
        assert np.array_equal(engine.mean_squares(whole, sample), found)
        expected = mean_squares(engine.networks(parts), getattr(problem.samples, sample))
        assert np.allclose(found, expected, rtol=1e-12)


@each_case
@each_rule
def test_neighbours_do_not_matter(name: str, inputs: int, rule: Rule) -> None:
    problem, nets = random_problem(11, networks=7, inputs=inputs, batch=5)
    problem = with_rule(problem, rule, RATES[rule])
    engine = engine_of(name)
    all_of_them = engine.networks(trained(engine, problem, nets, 6))
    mask = np.array([False, True, False, False, True, True, False])
    kept = engine.keep(trained(engine, problem, nets, 2), mask)
    assert equal(
        engine.networks(engine.advance(kept, 4)), Networks(*(part[mask] for part in all_of_them))
    )
    alone = engine.networks(trained(engine, *chosen(problem, nets, mask), 6))
    assert equal(alone, Networks(*(part[mask] for part in all_of_them)))


@each_case
def test_a_state_is_not_changed(name: str, inputs: int) -> None:
    problem, nets = random_problem(12, inputs=inputs)
    problem = with_rule(problem, "adam", 0.01)
    engine = engine_of(name)
    state = trained(engine, problem, nets, 3)
    before = engine.networks(state)
    once, twice = engine.advance(state, 3), engine.advance(state, 3)
    assert equal(engine.networks(state), before)
    assert equal(engine.networks(once), engine.networks(twice))


@each_case
@each_rule
def test_a_network_that_diverges_disturbs_nobody(name: str, inputs: int, rule: Rule) -> None:
    problem, nets = random_problem(13, inputs=inputs)
    problem = with_rule(problem, rule, RATES[rule])
    wild = nets._replace(w=nets.w.copy())
    wild.w[1] = 1e200
    engine = engine_of(name)
    found = trained(engine, problem, wild, 20)
    assert list(np.isfinite(engine.mean_squares(found, "valid"))) == [True, False, True]
    rest = np.array([True, False, True])
    calm = engine.networks(trained(engine, problem, nets, 20))
    own = engine.networks(engine.keep(found, rest))
    assert equal(own, Networks(*(part[rest] for part in calm)))


@each_engine
def test_single_precision_is_that_of_the_original(name: str) -> None:
    """float32 is the default; where there is no choice, double precision is close to it, too."""
    if name == "torch":
        pytest.importorskip("torch")
    engine = get_engine(name)
    problem, nets = random_problem(14)
    found = engine.networks(trained(engine, problem, nets, 50))
    assert 0.0 <= distance(found, train(problem, nets, 50)).max() < 1e-5
