"""Training configurations against the plain way in torch: microseconds per network and step.

``python -m benchmarks.setups_vs_original [--data radial-1 radial-4] [--rounds 1] [--json]``

Between two validations, one of which is included on both sides: 64 steps of 256 points, then all
validation and test points. Width 512, 100 networks at once in torch (50 of 64 inputs, as the
original has them), one core, one thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.interleaved import Contestant, arguments, medians, ratio, show, take_turns
from benchmarks.problems import SEED
from benchmarks.regression_method import AutogradRegression
from mcrelu.engines.minibatch.protocol import AnyEngine
from mcrelu.engines.minibatch.registry import get_engine
from mcrelu.experiments.setups.cell import SetupCell
from mcrelu.experiments.setups.draws import Start, start_of
from mcrelu.problems.regression import Networks, Problem
from mcrelu.sweep.sweep import Sweep
from mcrelu.types import Floats

NETWORKS, MOST_INPUTS = 100, 32  # half as many networks beyond
TOLERANCE = 1e-3  # of the errors after the first validation, relative
RATES = {"sgd": 1e-3, "momentum": 1e-4, "adam": 1e-3}


def main() -> None:
    parser = arguments(__doc__ or "", rounds=1)
    parser.add_argument(
        "--data", nargs="+", default=["radial-1", "radial-4", "radial-16", "radial-64"]
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row_of(data, rule, options.rounds) for data in options.data for rule in RATES]
    show({"two-layer networks by minibatches, us per network and step": rows}, options.json)


def row_of(data: str, rule: str, rounds: int) -> dict[str, Any]:
    """One row of the table: agreement first, then times."""
    cell, start = problem_of(data, rule)
    networks = len(start.bayes_rmse)
    plain = AutogradRegression(start.problem, start.networks)
    ours = EngineRun(get_engine(cell.engine), start.problem, start.networks)
    plain.train(cell.validate_every)
    ours.train(cell.validate_every)
    errors = [
        np.abs(u / v - 1.0).max() for u, v in zip(ours.validate(), plain.validate(), strict=True)
    ]
    if not max(errors) < TOLERANCE:
        raise SystemExit(f"{data} {rule}: errors differ by {max(errors):.1e}")

    def one_window(run: AutogradRegression | EngineRun) -> None:
        run.train(cell.validate_every)
        run.validate()

    steps = networks * cell.validate_every * (cell.train_points // cell.batch)
    contestants = [
        Contestant("original", lambda: one_window(plain), steps),
        Contestant(cell.engine, lambda: one_window(ours), steps),
    ]
    times = take_turns(contestants, rounds)
    microseconds = medians(times, 1e6)
    return {
        "data": data,
        "optimizer": rule,
        "engine": cell.engine,
        "networks": networks,
        "difference": f"{max(errors):.0e}",
        "original": microseconds["original"],
        "ours": microseconds[cell.engine],
        "original / ours": ratio(times, "original", cell.engine),
    }


def problem_of(data: str, rule: str) -> tuple[SetupCell, Start]:
    """A cell of the paper's grid, and its networks."""
    sweep = Sweep.of(
        {
            "version": 1,
            "experiment": "setups",
            "seed": SEED,
            "networks": NETWORKS,
            "cells": {
                "data": [data],
                "parametrization": ["he"],
                "optimizer": [rule],
                "bias_init": ["kink-neg-unif"],
                "learning_rate": [RATES[rule]],
            },
        }
    )
    (cell,) = sweep.cells
    assert isinstance(cell, SetupCell)
    networks = NETWORKS if cell.inputs <= MOST_INPUTS else NETWORKS // 2
    return cell, start_of(cell, sweep.provenance(cell), np.arange(networks))


class EngineRun:
    """An engine and how far it has come."""

    def __init__(self, engine: AnyEngine, problem: Problem, networks: Networks) -> None:
        self._engine = engine
        self._state = engine.init(problem, networks)

    def train(self, epochs: int) -> None:
        """Train by some epochs."""
        self._state = self._engine.advance(self._state, epochs)

    def validate(self) -> tuple[Floats, Floats]:
        """Mean squared errors of validation and test sample."""
        valid, test = (self._engine.mean_squares(self._state, name) for name in ("valid", "test"))
        return valid, test


if __name__ == "__main__":
    main()
