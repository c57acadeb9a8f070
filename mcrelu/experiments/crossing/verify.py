"""Golden files of the one-dimensional experiment.

A file describes one batch of the original: its options, its seed, and what became of every
network. The same batch is drawn from the same stream (``rng: legacy``) and trained here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mcrelu.data import point_weights, sample_size, standard_points
from mcrelu.engines.one_d.registry import default_engine, get_engine
from mcrelu.experiments.crossing.consistency import contradicted
from mcrelu.experiments.crossing.golden_file import check_crossing_file
from mcrelu.experiments.crossing.stopping import Criterion, Crossing, EarlyStopping, Sufficient
from mcrelu.experiments.crossing.train import Checks, stops
from mcrelu.init import INITIALIZERS, DrawnWeights
from mcrelu.problems.one_d import Problem, StopReason, Weights
from mcrelu.rng import Draws, legacy_draws
from mcrelu.theory.criterion import Form
from mcrelu.theory.sigma import inv_lambda_max
from mcrelu.types import Bools, Floats, Ints
from mcrelu.verify.archive import Arrays

STATUS_AGREEMENT = 0.998
STOP_AGREEMENT = 0.995
STEP_SIZE_TOLERANCE = 1e-12
PARAMETER_TOLERANCE = 1e-8  # of kinks, too


class Agreement(NamedTuple):
    """How far we agree with a golden file."""

    file: str
    networks: int
    same_samples: float  # fraction of networks with the same training and validation sample
    same_status: float  # fraction
    same_stop: float  # fraction with the same stop iteration
    step_size_error: float  # largest relative
    parameter_error: float | None  # largest, relative to each array's largest entry; GD only
    kink_error: float | None  # of the outermost kink, largest relative; None if all crossed
    contradictions: int  # statuses that the rest of the file rules out
    agrees: bool

    @property
    def measures(self) -> str:
        """What was compared, in words."""
        errors = {"parameters": self.parameter_error, "kinks": self.kink_error}
        k = self.contradictions
        words = [
            f"samples {self.same_samples:.2%}",
            f"status {self.same_status:.2%}",
            f"stop {self.same_stop:.2%}",
            f"step size {self.step_size_error:.1e}",
            *(f"{name} {error:.1e}" for name, error in errors.items() if error is not None),
            *([f"{k} statuses contradict the file"] if k else []),
        ]
        return ", ".join(words)


def verify(path: Path, golden: Arrays) -> Agreement | None:
    """As :func:`verify_crossing`; None for a file of networks in R^d."""
    of_layers = "init_0" in golden or "hidden" in golden
    return None if of_layers else verify_crossing(path, golden)


def verify_crossing(path: Path, golden: Arrays) -> Agreement:
    """Repeat the run that a golden file describes and compare.

    Raises
    ------
    UserError
        If the file lacks arrays, or their shapes do not fit.
    """
    check_crossing_file(path, golden)
    batch = _Batch.of(golden)
    status, stop, max_kink, final = batch.run(stored=len(golden["a_final"]))
    same_status, same_stop = status == golden["status"], stop == golden["stop_iteration"]
    samples = (batch.problem.p == golden["x_weights"]) & (
        batch.validation == golden["val_x_weights"]
    )
    same_samples = float(samples.all(axis=1).mean())
    step_size_error = float(np.abs(batch.problem.step_size / golden["lrs"] - 1.0).max())
    converged = golden["status"][: len(golden["a_final"])] == StopReason.LOCALLY_CONVERGED
    compare_parameters = batch.problem.optimizer == "gd" and converged.any()
    parameter_error = _parameter_error(final, golden, converged) if compare_parameters else None
    # One that crossed may have any kink, b / 0 included; one that ends otherwise here, or at
    # another check, went on for longer in one of the programs.
    inside = (status != StopReason.CROSSED) & same_status & same_stop
    kink_error = _kink_error(max_kink, golden, inside) if inside.any() else None
    a = batch.problem.weights.rows(np.arange(len(status))).a
    contradictions = contradicted(golden, batch.problem.points, a, status)
    return Agreement(
        file=str(path),
        networks=len(status),
        same_samples=same_samples,
        same_status=float(same_status.mean()),
        same_stop=float(same_stop.mean()),
        step_size_error=step_size_error,
        parameter_error=parameter_error,
        kink_error=kink_error,
        contradictions=int(contradictions.sum()),
        agrees=same_samples == 1.0
        and not contradictions.any()
        and same_status.mean() >= STATUS_AGREEMENT
        and same_stop.mean() >= STOP_AGREEMENT
        and step_size_error <= STEP_SIZE_TOLERANCE
        and all(
            error is None or error <= PARAMETER_TOLERANCE for error in (parameter_error, kink_error)
        ),
    )


class _Results(NamedTuple):
    status: Ints  # (m,)
    stop_iteration: Ints  # (m,)
    max_kink: Floats  # (m,)
    final: Weights  # of the first networks


@dataclass(frozen=True)
class _Batch:
    problem: Problem
    validation: Floats
    criteria: tuple[Criterion, ...]
    checks: Checks
    draws: Draws

    @classmethod
    def of(cls, golden: Arrays) -> _Batch:
        width = int(golden["n_hidden"])
        points = standard_points(float(str(golden["offset"])))
        draws = legacy_draws(
            int(golden["seed"]), int(golden["n_parallel"]), width, len(points.x), sample_size(width)
        )
        p = point_weights(draws.counts)
        init = INITIALIZERS["swapped" if golden["swap_variances"] else "he"]
        weights = DrawnWeights(init, draws.a_normals, draws.w_normals)
        small = np.full(len(p), 0.01 / width)
        step_size = small if golden["use_small_lr"] else inv_lambda_max(weights, points, p)
        optimizer = "adam" if golden["use_adam"] else "sgd" if golden["use_sgd"] else "gd"
        return cls(
            problem=Problem(points, p, weights, step_size, optimizer),
            validation=point_weights(draws.validation_counts),
            criteria=_criteria(golden),
            checks=Checks(int(golden["steps_per_check"]), int(golden["max_checks"])),
            draws=draws,
        )

    def run(self, stored: int) -> _Results:
        """Train all networks; parameters are kept of the first ``stored``."""
        m, n = self.problem.weights.shape
        status, stop = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
        max_kink = np.zeros(m)
        shapes = ((stored, n), (stored, n), (stored,), (stored, n))
        final = Weights(*(np.full(shape, np.nan) for shape in shapes))
        engine = get_engine(default_engine(self.problem.optimizer))
        minibatches = None if self.problem.optimizer == "gd" else self.draws.minibatches
        for stopped in stops(
            engine, self.problem, self.validation, self.criteria, self.checks, minibatches
        ):
            status[stopped.rows], stop[stopped.rows] = stopped.status, stopped.step
            max_kink[stopped.rows] = stopped.info.max_kink
            wanted = stopped.rows < stored
            if wanted.any():
                for kept, values in zip(final, stopped.weights(), strict=True):
                    kept[stopped.rows[wanted]] = values[wanted]
        return _Results(status, stop, max_kink, final)


def _criteria(golden: Arrays) -> tuple[Criterion, ...]:
    criteria: list[Criterion] = [Crossing()]
    if golden["use_early_stopping"]:
        criteria.append(EarlyStopping())
    if golden["use_sufficient_stopping"]:
        criteria.append(Sufficient(Form.PUBLISHED))
    return tuple(criteria)


def _parameter_error(ours: Weights, golden: Arrays, rows: Bools) -> float:
    errors = []
    for name, values in ours._asdict().items():
        mine = values[rows].reshape(rows.sum(), -1)
        theirs = golden[f"{name}_final"][rows].reshape(rows.sum(), -1)
        scale = np.abs(theirs).max(axis=1, keepdims=True)
        errors.append((np.abs(mine - theirs) / scale).max())
    return float(np.max(errors))  # NaN, if there is any: that agrees with nothing


def _kink_error(ours: Floats, golden: Arrays, rows: Bools) -> float:
    theirs = np.asarray(golden["max_kink"])[rows]
    return float((np.abs(ours[rows] - theirs) / ours[rows]).max())
