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
from benchmarks.problems import SETUP_RATES, MinibatchRun, setup_problem
from benchmarks.regression_method import AutogradRegression
from mcrelu.engines.minibatch.registry import get_engine

TOLERANCE = 1e-3  # of the errors after the first validation, relative


def main() -> None:
    parser = arguments(__doc__ or "", rounds=1)
    parser.add_argument(
        "--data", nargs="+", default=["radial-1", "radial-4", "radial-16", "radial-64"]
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row_of(data, rule, options.rounds) for data in options.data for rule in SETUP_RATES]
    show({"two-layer networks by minibatches, us per network and step": rows}, options.json)


def row_of(data: str, rule: str, rounds: int) -> dict[str, Any]:
    """One row of the table: agreement first, then times."""
    cell, start = setup_problem(data, rule)
    networks = len(start.bayes_rmse)
    plain = AutogradRegression(start.problem, start.networks)
    ours = MinibatchRun(get_engine(cell.engine), start.problem, start.networks)
    plain.train(cell.validate_every)
    ours.train(cell.validate_every)
    errors = [
        np.abs(u / v - 1.0).max() for u, v in zip(ours.validate(), plain.validate(), strict=True)
    ]
    if not max(errors) < TOLERANCE:
        raise SystemExit(f"{data} {rule}: errors differ by {max(errors):.1e}")

    def one_window(run: AutogradRegression | MinibatchRun) -> None:
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


if __name__ == "__main__":
    main()
