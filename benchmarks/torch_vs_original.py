"""The torch engine against the plain way to train in torch: microseconds per network and epoch.

``python -m benchmarks.torch_vs_original [--widths 128 2048] [--json]``

Star of eleven rays, one hidden layer, single precision, one thread, batches of the original's
size: 1000 networks, or as many as have 1000 * 128 neurons together, for the plain way keeps some
ten arrays (networks, points, width) in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.interleaved import Contestant, arguments, medians, ratio, show, take_turns
from benchmarks.problems import SEED
from benchmarks.torch_method import AutogradRun
from mcrelu.data import point_set, point_weights, sample_size
from mcrelu.engines.r_d.torch_engine import TorchEngine
from mcrelu.init import he_layers
from mcrelu.problems.r_d import Layers, Problem, State
from mcrelu.rng import layered_draws
from mcrelu.theory.ntk import lambda_max
from mcrelu.theory.rays import affine_threshold

NETWORKS, NEURONS = 1000, 128_000  # at most, in a batch
ORIGINAL_EPOCHS = 5  # it spends as much time in each
EPOCHS = 50
AGREEMENT_NETWORKS, AGREEMENT_EPOCHS, TOLERANCE = 40, 50, 1e-4


def main() -> None:
    parser = arguments(__doc__ or "", rounds=5)
    parser.set_defaults(widths=[128, 2048])
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row_of(width, options.rounds) for width in options.widths]
    show({"torch engine and plain torch, us per network and epoch": rows}, options.json)


def row_of(width: int, rounds: int) -> dict[str, Any]:
    """One row of the table: agreement first, then times."""
    error, same = agreement(width)
    if not (error < TOLERANCE and same >= 0.9):
        raise SystemExit(f"n={width}: parameters differ by {error:.1e}, kinks agree for {same:.0%}")
    networks = min(NETWORKS, NEURONS // width)
    problem, layers = star_problem(networks, width)
    original, ours = AutogradRun(problem, layers), EngineRun(problem, layers)
    contestants = [
        Contestant("original", lambda: original.train(ORIGINAL_EPOCHS), networks * ORIGINAL_EPOCHS),
        Contestant("torch", lambda: ours.train(EPOCHS), networks * EPOCHS),
    ]
    times = take_turns(contestants, rounds)
    microseconds = medians(times, 1e6)
    return {
        "n": width,
        "networks": networks,
        "error": f"{error:.0e}",
        "same kinks": f"{same:.0%}",
        **microseconds,
        "original / torch": ratio(times, "original", "torch"),
    }


class EngineRun:
    """Training by the torch engine."""

    def __init__(self, problem: Problem, layers: Layers) -> None:
        self._engine = TorchEngine("cpu", "float32")
        self._problem = problem
        self.state = State.initial(layers)

    def train(self, epochs: int) -> None:
        """Train by some epochs."""
        self.state, _ = self._engine.advance(self._problem, self.state, epochs)


def star_problem(networks: int, width: int) -> tuple[Problem, Layers]:
    """He networks on the star of eleven rays with steps of 1 / lambda_max."""
    x, y = point_set("star-11", np.random.default_rng(SEED))
    sizes = (2, width, 1)
    draws = layered_draws(SEED, width, 0, networks, sizes, len(x), sample_size(width))
    p, layers = point_weights(draws.counts), he_layers(draws.normals)
    step = 1.0 / lambda_max(layers, x, p)
    return Problem(x, y, p, step, affine_threshold(x, y, p)), layers


def agreement(width: int) -> tuple[float, float]:
    """Largest relative difference of parameters, and fraction of equal first pattern changes."""
    problem, layers = star_problem(AGREEMENT_NETWORKS, width)
    original, ours = AutogradRun(problem, layers), EngineRun(problem, layers)
    # The original compares before each step: it has seen this many epochs after one step more.
    original.train(AGREEMENT_EPOCHS)
    ours.train(AGREEMENT_EPOCHS)
    error = max(
        float(np.abs(u - v).max() / np.abs(v).max())
        for one, other in zip(ours.state.layers, original.layers, strict=True)
        for u, v in zip(one, other, strict=True)
    )
    original.train(1)
    same = ours.state.info.first_kink_change == original.first_kink_change
    return error, float(same.mean())


if __name__ == "__main__":
    main()
