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
from mcrelu.engines import ENGINES, default_engine
from mcrelu.errors import UserError
from mcrelu.init import INITIALIZERS, DrawnWeights
from mcrelu.rng import Draws, legacy_draws
from mcrelu.stopping import Criterion, Crossing, EarlyStopping, Sufficient
from mcrelu.theory.criterion import Form
from mcrelu.theory.sigma import inv_lambda_max
from mcrelu.train import Checks, stops
from mcrelu.types import Bools, Floats, Problem, StopReason, Weights
from mcrelu.verify.archive import Arrays, require
from mcrelu.verify.consistency import contradicted

STATUS_AGREEMENT = 0.998
STOP_AGREEMENT = 0.995
STEP_SIZE_TOLERANCE = 1e-12
PARAMETER_TOLERANCE = 1e-8

_OPTIONS = (
    "n_parallel", "n_hidden", "seed", "offset", "use_sgd", "use_adam", "use_early_stopping",
    "use_sufficient_stopping", "use_small_lr", "swap_variances", "max_checks", "steps_per_check",
)  # fmt: skip
_RESULTS = (
    "status", "stop_iteration", "max_kink", "lrs", "x_weights", "val_x_weights",
    "a_final", "b_final", "c_final", "w_final",
)  # fmt: skip


class Agreement(NamedTuple):
    """How far we agree with a golden file."""

    file: str
    networks: int
    same_samples: float  # fraction of networks with the same training and validation sample
    same_status: float  # fraction
    same_stop: float  # fraction with the same stop iteration
    step_size_error: float  # largest relative
    parameter_error: float | None  # largest, relative to each array's largest entry; GD only
    contradictions: int  # statuses that the rest of the file rules out
    agrees: bool

    @property
    def measures(self) -> str:
        """What was compared, in words."""
        parts = [
            f"samples {self.same_samples:.2%}",
            f"status {self.same_status:.2%}",
            f"stop {self.same_stop:.2%}",
            f"step size {self.step_size_error:.1e}",
        ]
        if self.parameter_error is not None:
            parts.append(f"parameters {self.parameter_error:.1e}")
        if self.contradictions:
            parts.append(f"{self.contradictions} statuses contradict the file")
        return ", ".join(parts)


def verify_crossing(path: Path, golden: Arrays) -> Agreement:
    """Repeat the run that a golden file describes and compare.

    Raises
    ------
    UserError
        If the file lacks arrays, or their lengths do not fit.
    """
    _check(path, golden)
    batch = _Batch.of(golden)
    status, stop, final = batch.run(stored=len(golden["a_final"]))
    same_status = float((status == golden["status"]).mean())
    same_stop = float((stop == golden["stop_iteration"]).mean())
    samples = (batch.problem.p == golden["x_weights"]) & (
        batch.validation == golden["val_x_weights"]
    )
    same_samples = float(samples.all(axis=1).mean())
    step_size_error = float(np.abs(batch.problem.step_size / golden["lrs"] - 1.0).max())
    converged = golden["status"][: len(golden["a_final"])] == StopReason.LOCALLY_CONVERGED
    compare_parameters = batch.problem.optimizer == "gd" and converged.any()
    parameter_error = _parameter_error(final, golden, converged) if compare_parameters else None
    a = batch.problem.weights.rows(np.arange(len(status))).a
    contradictions = contradicted(golden, batch.problem.points, a, status)
    return Agreement(
        file=str(path),
        networks=len(status),
        same_samples=same_samples,
        same_status=same_status,
        same_stop=same_stop,
        step_size_error=step_size_error,
        parameter_error=parameter_error,
        contradictions=int(contradictions.sum()),
        agrees=same_samples == 1.0
        and not contradictions.any()
        and same_status >= STATUS_AGREEMENT
        and same_stop >= STOP_AGREEMENT
        and step_size_error <= STEP_SIZE_TOLERANCE
        and (parameter_error is None or parameter_error <= PARAMETER_TOLERANCE),
    )


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

    def run(self, stored: int) -> tuple[np.ndarray, np.ndarray, Weights]:
        """Status and stop iteration of all networks, final parameters of the first ``stored``."""
        m, n = self.problem.weights.shape
        status, stop = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
        shapes = ((stored, n), (stored, n), (stored,), (stored, n))
        final = Weights(*(np.full(shape, np.nan) for shape in shapes))
        engine = ENGINES[default_engine(self.problem.optimizer)]()
        minibatches = None if self.problem.optimizer == "gd" else self.draws.minibatches
        for stopped in stops(
            engine, self.problem, self.validation, self.criteria, self.checks, minibatches
        ):
            status[stopped.rows], stop[stopped.rows] = stopped.status, stopped.step
            wanted = stopped.rows < stored
            if wanted.any():
                for kept, values in zip(final, stopped.weights(), strict=True):
                    kept[stopped.rows[wanted]] = values[wanted]
        return status, stop, final


def _criteria(golden: Arrays) -> tuple[Criterion, ...]:
    criteria: list[Criterion] = [Crossing()]
    if golden["use_early_stopping"]:
        criteria.append(EarlyStopping())
    if golden["use_sufficient_stopping"]:
        criteria.append(Sufficient(Form.PUBLISHED))
    return tuple(criteria)


def _check(path: Path, golden: Arrays) -> None:
    require(path, golden, (*_OPTIONS, *_RESULTS))
    networks = int(golden["n_parallel"])
    for key in ("status", "stop_iteration", "max_kink", "lrs", "x_weights", "val_x_weights"):
        if len(golden[key]) != networks:
            raise UserError(
                f"{path}: {key} has {len(golden[key])} entries, n_parallel is {networks}; "
                "the file is damaged, give another copy"
            )


def _parameter_error(ours: Weights, golden: Arrays, rows: Bools) -> float:
    errors = []
    for name, values in ours._asdict().items():
        mine = values[rows].reshape(rows.sum(), -1)
        theirs = golden[f"{name}_final"][rows].reshape(rows.sum(), -1)
        scale = np.abs(theirs).max(axis=1, keepdims=True)
        errors.append((np.abs(mine - theirs) / scale).max())
    return float(np.max(errors))  # NaN, if there is any: that agrees with nothing
