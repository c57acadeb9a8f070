"""The dense engine against the original's method: nanoseconds per network and step.

``python -m benchmarks.dense_vs_original [--optimizers gd sgd adam] [--json]``
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import numpy as np

from benchmarks import original_method as original
from benchmarks.interleaved import Contestant, arguments, medians, ratio, show, take_turns
from benchmarks.problems import SEED, paper_problem
from mcrelu.engines.one_d.dense import DenseEngine, State
from mcrelu.problems.one_d import Problem, Weights
from mcrelu.rng import MinibatchStream
from mcrelu.types import Counts, Floats

WINDOW = 1000  # steps from check to check, as in the paper
ORIGINAL_STEPS = 50  # it spends as much time in each step; the time of a window is not needed
AGREEMENT_NETWORKS, AGREEMENT_STEPS, TOLERANCE = 37, 300, 1e-9

GRADIENTS = {
    "original": original.gradient_by_passes,
    "matmul": original.gradient_by_matmul,
}


def main() -> None:
    parser = arguments(__doc__ or "", rounds=7)
    parser.add_argument("--optimizers", nargs="+", default=["gd", "sgd", "adam"])
    options = parser.parse_args()
    rows = [
        row_of(optimizer, width, options.rounds)
        for optimizer in options.optimizers
        for width in options.widths
    ]
    show({"dense engine and original's method, ns per network and step": rows}, options.json)


def row_of(optimizer: str, width: int, rounds: int) -> dict[str, Any]:
    """One row of the table: agreement first, then times."""
    error = largest_difference(optimizer, width)
    if not error < TOLERANCE:
        raise SystemExit(f"{optimizer} n={width}: methods differ by {error:.1e} (relative)")
    batch = original.batch_size(width)
    times = take_turns(contestants(optimizer, batch, width), rounds)
    nanoseconds = medians(times, 1e9)
    return {
        "step": optimizer,
        "n": width,
        "batch": batch,
        "error": f"{error:.0e}",
        "original": nanoseconds["original"],
        "matmul": nanoseconds["matmul"],
        "dense": nanoseconds["dense"],
        "original / dense": ratio(times, "original", "dense"),
        "matmul / dense": ratio(times, "matmul", "dense"),
    }


def contestants(optimizer: str, networks: int, width: int) -> list[Contestant]:
    """All that train the same batch; drawing of minibatches is part of training."""
    problem, minibatches = paper_problem(networks, width, optimizer)
    methods = [
        Contestant(name, OriginalRun(problem, name).advance, networks * ORIGINAL_STEPS)
        for name in GRADIENTS
    ]
    dense = DenseRun(problem, minibatches)
    return [*methods, Contestant("dense", dense.advance, networks * WINDOW)]


class DenseRun:
    """Training by the dense engine, window by window."""

    def __init__(self, problem: Problem, minibatches: MinibatchStream) -> None:
        self.engine = DenseEngine()
        self.state: State = self.engine.init(problem)
        self._minibatches = None if problem.optimizer == "gd" else minibatches
        self._rows = np.arange(len(problem.p))

    def advance(self) -> None:
        """Train by one window."""
        counts = None
        if self._minibatches is not None:
            counts = self._minibatches.draw(self._rows, self.state.steps, WINDOW)
        self.state = self.engine.advance(self.state, WINDOW, counts)


class OriginalRun:
    """Training by the original's method."""

    def __init__(self, problem: Problem, gradient: str) -> None:
        self.batch = original.Batch.of(problem)
        self._p = problem.p
        self._optimizer = problem.optimizer
        self._gradient = GRADIENTS[gradient]
        self._memory = original.AdamMemory.of(self.batch)
        self._random = np.random.RandomState(SEED)

    def advance(self) -> None:
        """Train by ORIGINAL_STEPS steps."""
        self.train(self._weights())

    def train(self, weights: Iterator[Floats]) -> None:
        """Train by one step per entry of ``weights``."""
        if self._optimizer == "adam":
            original.adam(self.batch, self._memory, weights, self._gradient)
        else:
            original.descend(self.batch, weights, self._gradient)

    def _weights(self) -> Iterator[Floats]:
        if self._optimizer == "gd":
            return repeat(self.batch.p, ORIGINAL_STEPS)
        counts = original.draw_minibatches(self._random, self._p, ORIGINAL_STEPS)
        return original.minibatch_weights(counts)


def largest_difference(optimizer: str, width: int) -> float:
    """Largest difference of dense and each method on a small batch, relative to the entries."""
    problem, minibatches = paper_problem(AGREEMENT_NETWORKS, width, optimizer)
    counts = None
    if optimizer != "gd":
        counts = minibatches.draw(np.arange(AGREEMENT_NETWORKS), 0, AGREEMENT_STEPS)
    engine = DenseEngine()
    state = engine.advance(engine.init(problem), AGREEMENT_STEPS, counts)
    ours, kinks = engine.neurons(state), engine.info(state).max_kink
    differences = []
    for name in GRADIENTS:
        run = OriginalRun(problem, name)
        run.train(same_weights(problem, counts))
        differences.append(difference(ours, run.batch.weights()))
        differences.append(relative(kinks, run.batch.max_kink))
    return max(differences)


def same_weights(problem: Problem, counts: Counts | None) -> Iterator[Floats]:
    """The weights that the dense engine trains on, in the original's layout."""
    if counts is None:
        return repeat(problem.p[:, :, None], AGREEMENT_STEPS)
    return original.minibatch_weights(counts.transpose(2, 0, 1)[..., None].astype(np.int64))


def difference(ours: Weights, theirs: Weights) -> float:
    """Largest relative difference over the four kinds of parameters."""
    return max(relative(u, v) for u, v in zip(ours, theirs, strict=True))


def relative(ours: Floats, theirs: Floats) -> float:
    """Largest difference over all entries, relative to the largest entry."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


if __name__ == "__main__":
    main()
