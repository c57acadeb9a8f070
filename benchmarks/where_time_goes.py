"""Time of the parts: dense training, the batched criterion, the criterion one network at a time.

``python -m benchmarks.where_time_goes [--steps 5000] [--json]``
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from benchmarks import original_method as original
from benchmarks.criterion_vs_original import (
    BATCHED_NETWORKS,
    CRITERION,
    OriginalCheck,
    repeated,
    trained,
)
from benchmarks.dense_vs_original import WINDOW
from benchmarks.interleaved import Contestant, arguments, medians, show, take_turns
from benchmarks.problems import paper_problem
from mcrelu.engines.one_d.dense import DenseEngine
from mcrelu.experiments.crossing.stopping import few_points, one_sided_weights
from mcrelu.experiments.crossing.train import Running
from mcrelu.theory import criterion, matrices, sigma

Parts = dict[str, Callable[[], object]]
ORIGINAL_REPEATS = 100
TINY_KAPPA = 1e-9  # all neurons are checked, none fails


def main() -> None:
    parser = arguments(__doc__ or "", rounds=7)
    parser.add_argument("--steps", type=int, default=5000, help="training before the check")
    options = parser.parse_args()
    widths, rounds = options.widths, options.rounds
    training = [training_row(o, n, rounds) for o in ("gd", "sgd", "adam") for n in widths]
    states = {f"n = {n}": trained(n, options.steps) for n in widths}
    batched = {name: batched_times(state, rounds) for name, state in states.items()}
    single = {name: original_times(state, rounds) for name, state in states.items()}
    tables = {
        "dense engine, ns per network and step": training,
        "batched criterion, us per network": by_part(batched),
        "criterion one network at a time, us per network": by_part(single),
    }
    show(tables, options.json)


def training_row(optimizer: str, width: int, rounds: int) -> dict[str, Any]:
    """Steps and the drawing of their minibatches, each by itself."""
    networks = original.batch_size(width)
    problem, minibatches = paper_problem(networks, width, optimizer)
    engine, rows = DenseEngine(), np.arange(networks)
    state = engine.init(problem)
    counts = None if optimizer == "gd" else minibatches.draw(rows, 0, WINDOW)
    parts: Parts = {"steps": lambda: engine.advance(state, WINDOW, counts)}
    if optimizer != "gd":
        parts["drawing"] = lambda: minibatches.draw(rows, 0, WINDOW)
    nanoseconds = times_of(parts, networks * WINDOW, 1, rounds, 1e9)
    return {
        "step": optimizer,
        "n": width,
        "batch": networks,
        "steps": nanoseconds["steps"],
        "steps / n": nanoseconds["steps"] / width,
        "drawing": nanoseconds.get("drawing", 0.0),
    }


def batched_times(running: Running, rounds: int) -> dict[str, float]:
    """Parts of the batched check; those that begin with a dash are part of the one above."""
    networks = len(running.index)
    repeats = -(-BATCHED_NETWORKS // networks)
    return times_of(batched_parts(running), networks, repeats, rounds, 1e6)


def batched_parts(running: Running) -> Parts:
    """What a check consists of, on prepared inputs."""
    engine, state, problem = running.engine, running.state, running.problem
    points, p, step_size = problem.points, problem.p, problem.step_size
    outputs, moments = engine.outputs(state), engine.moments(state)
    data = sigma.data_moments(points, p)
    rest = sigma.u_hat(points, p, outputs)
    matrix = sigma.training_matrix(moments, data)
    everyone = np.ones(len(p), dtype=bool)
    neurons = engine.neurons(state)
    kappa = np.full(len(p), TINY_KAPPA)
    return {
        "whole check": lambda: running.judge([CRITERION]),
        "outputs": lambda: engine.outputs(state),
        "moments": lambda: engine.moments(state),
        "data moments, u_hat": lambda: (
            sigma.data_moments(points, p),
            sigma.u_hat(points, p, outputs),
        ),
        "motion bound": lambda: criterion.motion_bound(
            moments, data, rest, step_size, CRITERION.form
        ),
        "- eigenpairs": lambda: matrices.eigh_4x4(matrix),
        "degenerate cases": lambda: (one_sided_weights(moments), few_points(points, p)),
        "(if all pass) keep": lambda: engine.keep(state, everyone),
        "(if all pass) unpack": lambda: engine.neurons(state),
        "(if all pass) neurons": lambda: criterion.neurons_stay(neurons, kappa),
    }


def original_times(running: Running, rounds: int) -> dict[str, float]:
    """Parts of the check of one network."""
    return times_of(original_parts(OriginalCheck(running)), 1, ORIGINAL_REPEATS, rounds, 1e6)


def original_parts(check: OriginalCheck) -> Parts:
    """What a check of the first network consists of, on prepared inputs."""
    theta = np.stack([check.weights.a[0], check.weights.b[0], check.weights.w[0]])
    c, p, step_size = check.weights.c[0], check.p[0], check.step_size[0]
    own = [theta[:, side * theta[0] > 0] for side in original.SIDES]
    moments = [side @ side.T for side in own]
    identity = np.eye(4)
    root = scipy.linalg.block_diag([[5.0, 2.0], [2.0, 1.0]], [[5.0, -2.0], [-2.0, 1.0]])
    return {
        "whole check": lambda: original.check_network(theta, c, check.points, p, step_size),
        "moments": lambda: [s @ s.T for s in (theta[:, k * theta[0] > 0] for k in original.SIDES)],
        "motion bound": lambda: original.motion_bound(moments, c, check.points, p, step_size),
        "- sqrtm": lambda: scipy.linalg.sqrtm(root),
        "- pinv": lambda: np.linalg.pinv(root),
        "- eigh": lambda: np.linalg.eigh(root + identity),
        "(if it passes) neurons": lambda: original.neurons_stay(theta, TINY_KAPPA),
    }


def times_of(parts: Parts, units: int, repeats: int, rounds: int, scale: float) -> dict[str, float]:
    """Median time per unit of every part, repeated to be long enough to time."""
    contestants = [
        Contestant(name, repeated(run, repeats), units * repeats) for name, run in parts.items()
    ]
    return medians(take_turns(contestants, rounds), scale)


def by_part(columns: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """One row per part, one column per width."""
    parts = next(iter(columns.values()))
    return [
        {"part": part, **{name: column[part] for name, column in columns.items()}} for part in parts
    ]


if __name__ == "__main__":
    main()
