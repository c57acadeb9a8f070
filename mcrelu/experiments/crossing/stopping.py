"""Stopping criteria: pure functions of a check, batched over networks.

A criterion is a frozen dataclass with ``init(m) -> memory`` and
``judge(memory, check) -> (memory, status)``, where status (m,) holds a StopReason or 0 for "go on"
and memory is a tuple of arrays with one row per network. The training loop asks the criteria in
the order of docs/method.md 1 and drops the rows of stopped networks.

At an early check, before the first interval has passed, only crossings and certificates count,
which later training cannot change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from mcrelu.problems.one_d import Barrier, StopReason, Weights
from mcrelu.theory.certificate import certified
from mcrelu.theory.criterion import Form
from mcrelu.theory.sigma import A, data_moments, point_sides, u_hat
from mcrelu.types import Bools, Floats, PointSet

Memory = tuple[NDArray[np.float64], ...]
Status = NDArray[np.int8]


@dataclass(frozen=True)
class Check:
    """What the criteria may look at; m networks, the expensive parts on demand."""

    points: PointSet
    p: Floats  # (m, D)
    validation_p: Floats  # (m, D)
    step_size: Floats  # (m,)
    crossed: Bools  # (m,)
    outputs: Floats  # (m, D)
    moments: Callable[[], Floats]  # () -> sigma (m, 2, 3, 3)
    outermost: Callable[[Bools], Weights]  # mask (m,) -> neurons that decide for all the others
    leaky_slope: float = 0.0
    early: bool = False

    def validation_loss(self) -> Floats:
        """sum_j v_j (f(x_j) - y_j)^2, (m,)."""
        return squared_error(self.validation_p, self.outputs, self.points.y)

    def restrict(self, mask: Bools) -> Check:
        """The same check of the networks where mask (m,) is true."""
        if mask.all():
            return self

        def outermost(inner: Bools) -> Weights:
            wanted = mask.copy()
            wanted[mask] = inner
            return self.outermost(wanted)

        return replace(
            self,
            p=self.p[mask],
            validation_p=self.validation_p[mask],
            step_size=self.step_size[mask],
            crossed=self.crossed[mask],
            outputs=self.outputs[mask],
            moments=lambda: self.moments()[mask],
            outermost=outermost,
        )


class Criterion(Protocol):
    """One reason to stop training."""

    optimizers: ClassVar[frozenset[str]]

    def init(self, m: int) -> Memory:
        """What the criterion remembers of m networks before the first check."""

    def judge(self, memory: Memory, check: Check) -> tuple[Memory, Status]:
        """The new memory and the verdict on each network."""


@dataclass(frozen=True)
class Crossing:
    """CROSSED once a kink has reached a data point at any step so far."""

    optimizers: ClassVar[frozenset[str]] = frozenset({"gd", "sgd", "adam"})

    def init(self, m: int) -> Memory:
        """Nothing to remember: the engine keeps the running maximum."""
        return ()

    def judge(self, memory: Memory, check: Check) -> tuple[Memory, Status]:
        """CROSSED or go on."""
        return memory, _where(check.crossed, StopReason.CROSSED)


@dataclass(frozen=True)
class EarlyStopping:
    """EARLY_STOPPED after ``patience`` checks without a validation loss below best - min_delta."""

    patience: int = 10
    min_delta: float = 1e-8
    optimizers: ClassVar[frozenset[str]] = frozenset({"gd", "sgd", "adam"})

    def init(self, m: int) -> Memory:
        """Best validation loss and number of checks since."""
        return np.full(m, np.inf), np.zeros(m)

    def judge(self, memory: Memory, check: Check) -> tuple[Memory, Status]:
        """EARLY_STOPPED or go on; early checks do not count."""
        best, waited = memory
        if check.early:
            return memory, np.zeros(len(best), dtype=np.int8)
        loss = check.validation_loss()
        improved = loss < best - self.min_delta
        best = np.where(improved, loss, best)
        waited = np.where(improved, 0.0, waited + 1.0)
        return (best, waited), _where(waited >= self.patience, StopReason.EARLY_STOPPED)


@dataclass(frozen=True)
class Sufficient:
    """LOCALLY_CONVERGED where theory proves that no kink will ever cross; degenerate cases.

    Only for GD: the proof follows the deterministic dynamics (theory/modewise.py, or criterion.py
    for the other forms). Of several verdicts the later one wins: converged, all a of one sign, a
    side with one point at most.
    """

    form: Form = Form.MODEWISE
    optimizers: ClassVar[frozenset[str]] = frozenset({"gd"})

    def init(self, m: int) -> Memory:
        """Nothing to remember: the proof starts from the present state."""
        return ()

    def judge(self, memory: Memory, check: Check) -> tuple[Memory, Status]:
        """LOCALLY_CONVERGED, A_DEGENERATE, X_DEGENERATE or go on."""
        sigma = check.moments()
        status = _where(self._converged(sigma, check), StopReason.LOCALLY_CONVERGED)
        one_sided, few = one_sided_weights(sigma), few_points(check.points, check.p)
        if check.early:  # a degenerate network may still cross before the first regular check
            status[one_sided | few] = 0
        else:
            status[one_sided] = StopReason.A_DEGENERATE
            status[few] = StopReason.X_DEGENERATE
        return memory, status

    def _converged(self, sigma: Floats, check: Check) -> Bools:
        return certified(
            self.form,
            sigma,
            data_moments(check.points, check.p),
            u_hat(check.points, check.p, check.outputs),
            check.step_size,
            Barrier.of(check.points.x),
            check.leaky_slope,
            check.outermost,
        )


def one_sided_weights(sigma: Floats) -> Bools:
    """Whether all a_i > 0 or all a_i < 0, (m,)."""
    return np.asarray((sigma[:, :, A, A] == 0.0).any(axis=1))


def few_points(points: PointSet, p: Floats) -> Bools:
    """Whether one side of zero has at most one distinct point in the sample, (m,)."""
    places, which = np.unique(points.x, return_inverse=True)
    seen = np.zeros((len(p), len(places)), dtype=bool)
    for j, place in enumerate(which):
        seen[:, place] |= p[:, j] > 0
    present = seen.astype(int) @ point_sides(places).T.astype(int)
    return np.asarray((present <= 1).any(axis=1))


def squared_error(p: Floats, outputs: Floats, y: Floats) -> Floats:
    """sum_j p_j (f(x_j) - y_j)^2; p, outputs (m, D) -> (m,)."""
    with np.errstate(over="ignore", invalid="ignore"):  # networks that diverged
        return np.asarray((p * (outputs - y) ** 2).sum(axis=1))


def _where(mask: Bools, reason: StopReason) -> Status:
    return np.where(mask, reason, 0).astype(np.int8)
