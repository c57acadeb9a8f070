"""States that training passes through, at which criteria are tested."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import one_d_oracle as oracle
from one_d_problems import select

from mcrelu.engines.one_d.dense import DenseEngine
from mcrelu.problems.one_d import Barrier, Problem, Weights
from mcrelu.theory import sigma as sg
from mcrelu.types import Floats, Ints


class Snapshot(NamedTuple):
    """Networks that have not crossed, at one step of their training."""

    step: int
    problem: Problem
    net: Weights
    outputs: Floats


def snapshots(problem: Problem, steps: tuple[int, ...]) -> Iterator[Snapshot]:
    engine = DenseEngine()
    state, done = engine.init(problem), 0
    for step in steps:
        if step > done:
            state, done = engine.advance(state, step - done), step
        inside = engine.info(state).first_crossing == 0
        state, problem = engine.keep(state, inside), select(problem, inside)
        yield Snapshot(step, problem, engine.neurons(state), engine.outputs(state))


def disturbed(snapshot: Snapshot, seed: int) -> Snapshot:
    """The state with its output bias moved: between the states that training passes through."""
    rng = np.random.default_rng(seed)
    push = 10.0 ** rng.uniform(-5, -1, len(snapshot.net.c))
    net = snapshot.net._replace(c=snapshot.net.c + push)
    return snapshot._replace(net=net, outputs=snapshot.outputs + push[:, None])


def with_a_neuron_at_the_edge(snapshot: Snapshot) -> Snapshot:
    """The state with one more neuron, so small that it moves no bound but is about to cross."""
    net, column = snapshot.net, np.ones((len(snapshot.net.c), 1))
    inside = 0.999e-6 / Barrier.of(snapshot.problem.points.x).left
    parts = zip((net.a, net.b, net.w), (1e-6, inside, 1e-2), strict=True)
    a, b, w = (np.concatenate([part, value * column], axis=1) for part, value in parts)
    larger = Weights(a, b, net.c, w)
    outputs = oracle.outputs(larger, snapshot.problem.points.x, snapshot.problem.leaky_slope)
    return snapshot._replace(net=larger, outputs=outputs)


def well_posed(snapshot: Snapshot) -> Ints:
    """Networks with two weighted points and a neuron on each side.

    Without them, or with none but the tiny one from above, M^(1/2) A_ref M^(1/2) is singular to
    rounding, and so is the oracle's kappa.
    """
    present = (snapshot.problem.p > 0).astype(int) @ sg.point_sides(snapshot.problem.points.x).T
    a = snapshot.net.a
    sides = (a > 1e-3).any(axis=1) & (a < -1e-3).any(axis=1)
    return np.flatnonzero((present >= 2).all(axis=1) & sides)


def check_steps(steps: int) -> list[int]:
    """Dense at the start, and at most 5 % apart later: certificates are issued when they can be."""
    return sorted({round(1.05**k) for k in range(int(np.log(steps) / np.log(1.05)))} | {steps})


def take(net: Weights, rows: Ints) -> Weights:
    return Weights(*(part[rows] for part in net))
