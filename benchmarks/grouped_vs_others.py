"""The grouped engine against the dense one, the original's method and jitted JAX; and its widths.

``python -m benchmarks.grouped_vs_others [--json]``
"""

from __future__ import annotations

import importlib.util
import os
import sys
from itertools import repeat
from statistics import median
from typing import Any

import numpy as np

from benchmarks.dense_vs_original import DenseRun, OriginalRun, difference
from benchmarks.interleaved import (
    Contestant,
    Times,
    arguments,
    medians,
    ratio,
    seconds_of,
    show,
    take_turns,
)
from benchmarks.original_method import batch_size
from benchmarks.problems import paper_problem
from mcrelu.engines.one_d.grouped import GroupedEngine
from mcrelu.problems.one_d import Problem

WINDOW = 1000  # steps from check to check, as in the paper
SLOW_STEPS = 20  # of methods that spend as much time in each step
SETTLED = 20_000  # steps after which nearly all networks that cross have done so
NETWORKS = 512
WIDTHS = [16, 256, 2048, 16384, 65536]  # of the grouped engine alone
JAX_BATCHES = (1, 4, 16, 64)
TRIALS = 5
AGREEMENT_NETWORKS, AGREEMENT_STEPS, TOLERANCE = 16, 60, 1e-9


def main() -> None:
    parser = arguments(__doc__ or "", rounds=7)
    parser.set_defaults(widths=[256, 2048])
    options = parser.parse_args()
    # One core for all: what XLA's threads do beside the calculation must not count against it.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if not has_jax():
        print("JAX is not installed (pip install jax): left out", file=sys.stderr)
    times, ratios = zip(*(rows_of(width, options.rounds) for width in options.widths), strict=True)
    tables = {
        "ns per network and step of gradient descent": times,
        "ratios": ratios,
        "grouped engine, ns per network and step": widths_table(options.rounds),
    }
    show(tables, options.json)


def has_jax() -> bool:
    """Whether JAX can be imported."""
    return importlib.util.find_spec("jax") is not None


class GroupedRun:
    """The windows after the first steps, over and over: those with all networks in their groups."""

    def __init__(self, problem: Problem) -> None:
        self._engine = GroupedEngine()
        state = self._engine.advance(self._engine.init(problem), SETTLED)
        inside = np.flatnonzero(self._engine.info(state).first_crossing == 0)
        mask = np.isin(np.arange(len(problem.p)), inside)
        self._state = self._engine.keep(state, mask)
        self.networks = len(inside)

    def advance(self) -> None:
        """Train by one window, from the same state each time."""
        self._engine.advance(self._state, WINDOW)


def rows_of(width: int, rounds: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Agreement first, then times and ratios at one width."""
    error = largest_difference(width)
    if not error < TOLERANCE:
        raise SystemExit(f"n={width}: methods differ by {error:.1e} (relative)")
    contestants = [grouped_contestant(width), *slow_contestants(width)]
    times = take_turns(contestants, rounds)
    nanoseconds = medians(times, 1e9)
    others = {
        f"{name} / grouped": ratio(times, name, "grouped") for name in times if name != "grouped"
    }
    return {"n": width, "error": f"{error:.0e}", **nanoseconds}, {"n": width, **others}


def grouped_contestant(width: int) -> Contestant:
    run = GroupedRun(paper_problem(NETWORKS, width, "gd").problem)
    return Contestant("grouped", run.advance, run.networks * WINDOW)


def slow_contestants(width: int) -> list[Contestant]:
    """Those whose cost grows with the width, each with a batch that suits it."""
    batch = batch_size(width)
    drawn = paper_problem(batch, width, "gd")
    dense = DenseRun(*drawn)
    original = OriginalRun(drawn.problem, "original")

    def original_steps() -> None:
        original.train(repeat(original.batch.p, SLOW_STEPS))

    found = [
        Contestant("dense", dense.advance, batch * WINDOW),
        Contestant("original", original_steps, batch * SLOW_STEPS),
    ]
    if has_jax():
        from benchmarks.jax_method import GRADIENTS

        found += [best_jax(width, how) for how in GRADIENTS]
    return found


def best_jax(width: int, how: str) -> Contestant:
    """One of JAX's ways with the batch that is fastest in a short trial."""
    from benchmarks.jax_method import JaxRun

    trials = []
    for batch in JAX_BATCHES:
        run = JaxRun(paper_problem(batch, width, "gd").problem, how, SLOW_STEPS)
        run.advance()  # compiles
        units = batch * SLOW_STEPS
        seconds = median(seconds_of(run.advance) for _ in range(TRIALS))
        trials.append((seconds / units, Contestant(f"jax {how}", run.advance, units)))
    return min(trials, key=lambda trial: trial[0])[1]


def largest_difference(width: int) -> float:
    """Largest difference of grouped from the others on a small batch, relative to the entries."""
    problem = paper_problem(AGREEMENT_NETWORKS, width, "gd").problem
    engine = GroupedEngine()
    ours = engine.neurons(engine.advance(engine.init(problem), AGREEMENT_STEPS))
    original = OriginalRun(problem, "original")
    original.train(repeat(original.batch.p, AGREEMENT_STEPS))
    others = [original.batch.weights()]
    if has_jax():
        from benchmarks.jax_method import GRADIENTS, JaxRun

        for how in GRADIENTS:
            run = JaxRun(problem, how, AGREEMENT_STEPS)
            run.advance()
            others.append(run.weights())
    return max(difference(ours, other) for other in others)


def widths_table(rounds: int) -> list[dict[str, Any]]:
    """The grouped engine at many widths in turns, and each width's ratio to n = 256."""
    contestants = [grouped_contestant(width)._replace(name=str(width)) for width in WIDTHS]
    times: Times = take_turns(contestants, rounds)
    nanoseconds = medians(times, 1e9)
    return [
        {"n": name, "ns": nanoseconds[name], "n / 256": ratio(times, name, "256")} for name in times
    ]


if __name__ == "__main__":
    main()
