"""The grouped engine in R^d against the oracle, and what makes it exact."""

from __future__ import annotations

from typing import NamedTuple

import mlp_oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regressions import POINTS, he, problem_on, rows, with_biases, with_zeros

from mcrelu.engines.patterned import PatternedEngine
from mcrelu.mlp import Descent, Layer, Layers, Regression
from mcrelu.types import Floats

EPOCHS = 2000
LARGE = 1e6  # parameters beyond this have diverged


class Determined(NamedTuple):
    """The oracle's descent of one network up to where roundings begin to decide."""

    state: Descent
    losses: Floats  # (epochs + 1,)
    changes: int  # of patterns, counted as neurons and epochs


def nudged(layers: Layers, seed: int) -> Layers:
    """Every parameter moved by some dozen roundings."""
    rng = np.random.default_rng(seed)
    return tuple(
        Layer(*(part * (1 + 1e-14 * rng.choice([-2, -1, 1, 2], part.shape)) for part in layer))
        for layer in layers
    )


def determined(problem: Regression, state: Descent, epochs: int) -> list[Determined]:
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
    doubled = rows(state, both)._replace(layers=tuple(twins))
    alive, found = np.ones(m, dtype=bool), [None] * m
    losses, changes, before = [], np.zeros(m, dtype=int), None
    with np.errstate(over="ignore", invalid="ignore"):
        for now, loss, pattern in mlp_oracle.trajectory(problem.rows(both), doubled):
            theta, twin = np.split(mlp_oracle.flat(now.layers), 2)
            size = np.abs(theta).max(axis=1)
            close = np.abs(theta - twin).max(axis=1) <= 1e-11 * size
            same = (pattern[:m] == pattern[m:]).all(axis=(1, 2))
            crossed = now.first_loss_crossing[:m] == now.first_loss_crossing[m:]
            alive &= (size < LARGE) & close & same & crossed
            if before is not None:
                changes = changes + (pattern[:m] != before).any(axis=1).sum(axis=1)
            losses, before = [*losses, loss[:m]], pattern[:m]
            for k in np.flatnonzero(alive):
                found[k] = (rows(now, np.array([k])), now.epoch, int(changes[k]))
            if now.epoch == state.epoch + epochs or not alive.any():
                break
    table = np.array(losses).T
    return [
        Determined(end, table[k, : epoch - state.epoch + 1], count)
        for k, (end, epoch, count) in enumerate(found)
    ]


def compare(problem: Regression, state: Descent, epochs: int = EPOCHS) -> tuple[float, int]:
    """Assert what the oracle says; the fraction of epochs compared and the pattern changes."""
    compared, changes = 0, 0
    for k, expected in enumerate(determined(problem, state, epochs)):
        one = np.array([k])
        last = expected.state.epoch - state.epoch
        got, losses = PatternedEngine().advance(problem.rows(one), rows(state, one), last)
        right = mlp_oracle.flat(expected.state.layers)
        error = np.abs(mlp_oracle.flat(got.layers) - right).max() / np.abs(right).max()
        assert error <= 1e-9
        kept = expected.losses[1000::1000]
        assert (np.abs(losses[0] - kept) <= 1e-9 * expected.losses.max()).all()
        assert got.epoch == expected.state.epoch
        assert got.first_kink_change == expected.state.first_kink_change
        assert got.first_loss_crossing == expected.state.first_loss_crossing
        compared, changes = compared + last, changes + expected.changes
    return compared / (epochs * len(problem.p)), changes


def random_problem(
    seed: int, inputs: int, points: int, width: int, factor: float, biases: bool, zeros: float
) -> tuple[Regression, Descent]:
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
