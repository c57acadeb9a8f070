"""The batched sufficient criterion against one network at a time: microseconds per network.

``python -m benchmarks.criterion_vs_original [--steps 1000 5000] [--engine dense] [--json]``

The batched check is what the training loop does at a check: the engine's outputs and moments, the
bound on the motion, and the neurons of the networks that pass it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import original_method as original
from benchmarks.interleaved import Contestant, arguments, medians, ratio, show, take_turns
from benchmarks.problems import paper_problem
from mcrelu.engines.one_d.registry import ENGINES, get_engine
from mcrelu.experiments.crossing.stopping import Status, Sufficient
from mcrelu.experiments.crossing.train import Running
from mcrelu.problems.one_d import StopReason, Weights
from mcrelu.theory.criterion import Form, motion_bound
from mcrelu.theory.sigma import data_moments, u_hat
from mcrelu.types import Floats

INTERVAL = 1000  # steps from check to check, as in the paper
ORIGINAL_NETWORKS = 64  # it takes as long for each; a whole batch is not needed
BATCHED_NETWORKS = 4096  # at least; a single check of a small batch is too short to time
KAPPA_TOLERANCE = 1e-9
CRITERION = Sufficient(Form.PUBLISHED)


def main() -> None:
    parser = arguments(__doc__ or "", rounds=9)
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--engine", choices=list(ENGINES), default="dense")
    options = parser.parse_args()
    rows = [
        row_of(trained(width, steps, options.engine), steps, options.rounds)
        for width in options.widths
        for steps in options.steps
    ]
    show({"sufficient criterion, us per network and check": rows}, options.json)


def row_of(running: Running, steps: int, rounds: int) -> dict[str, Any]:
    """One row of the table: agreement first, then times."""
    batched = BatchedCheck(running)
    single = OriginalCheck(running)
    error = largest_difference(batched, single)
    networks = len(running.index)
    repeats = -(-BATCHED_NETWORKS // networks)
    contestants = [
        Contestant("original", single.check, len(single.p)),
        Contestant("batched", repeated(batched.check, repeats), networks * repeats),
    ]
    times = take_turns(contestants, rounds)
    microseconds = medians(times, 1e6)
    return {
        "n": running.problem.weights.a.shape[1],
        "batch": networks,
        "steps": steps,
        "converged": f"{np.mean(batched.check() == StopReason.LOCALLY_CONVERGED):.0%}",
        "error": f"{error:.0e}",
        "original": microseconds["original"],
        "batched": microseconds["batched"],
        "original / batched": ratio(times, "original", "batched"),
    }


def trained(width: int, steps: int, engine_name: str = "dense") -> Running:
    """A batch of the original's size after training; those that crossed have left."""
    problem, _ = paper_problem(original.batch_size(width), width, "gd")
    engine = get_engine(engine_name)
    rows = np.arange(len(problem.p))
    running = Running(engine, problem, problem.p, engine.init(problem), rows, [()])
    for _ in range(0, steps, INTERVAL):
        running.advance(INTERVAL, None)
        running.keep(engine.info(running.state).first_crossing == 0)
    return running


def repeated(run: Callable[[], object], times: int) -> Callable[[], None]:
    """Run several times."""

    def loop() -> None:
        for _ in range(times):
            run()

    return loop


class BatchedCheck:
    """The check as the training loop does it."""

    def __init__(self, running: Running) -> None:
        self.running = running

    def check(self) -> Status:
        """Verdicts on all networks."""
        return self.running.judge([CRITERION])

    def kappa(self) -> Floats:
        """The bound on the motion, from the parts that the criterion consists of."""
        problem, state, engine = self.running.problem, self.running.state, self.running.engine
        rest = u_hat(problem.points, problem.p, engine.outputs(state))
        moments = data_moments(problem.points, problem.p)
        sigma = engine.moments(state)
        return motion_bound(sigma, moments, rest, problem.step_size, CRITERION.form).kappa


class OriginalCheck:
    """The check one network at a time, of the first networks of the batch."""

    def __init__(self, running: Running) -> None:
        first = slice(ORIGINAL_NETWORKS)
        weights = running.engine.neurons(running.state)
        self.weights = Weights(*(part[first] for part in weights))
        self.points = running.problem.points
        self.p = running.problem.p[first]
        self.step_size = running.problem.step_size[first]

    def check(self) -> list[original.Verdict]:
        """Verdicts on the first networks."""
        return original.check_networks(self.weights, self.points, self.p, self.step_size)


def largest_difference(batched: BatchedCheck, single: OriginalCheck) -> float:
    """Largest difference of kappa; the verdicts must be the same.

    Absolute where kappa < 1, since it is compared with 1/2 and may be tiny: residuals of a trained
    network are differences of nearly equal numbers.
    """
    verdicts = single.check()
    first = slice(len(verdicts))
    status = np.array([verdict.status for verdict in verdicts])
    kappa = np.array([verdict.kappa for verdict in verdicts])
    scale = np.maximum(kappa, 1.0)
    error = float(np.nanmax(np.abs(batched.kappa()[first] - kappa) / scale))
    if (batched.check()[first] != status).any() or not error < KAPPA_TOLERANCE:
        raise SystemExit(f"the checks disagree (kappa by {error:.1e})")
    return error


if __name__ == "__main__":
    main()
