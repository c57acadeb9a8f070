"""The training loop: windows of steps, then the stopping criteria, until every network stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mcrelu.engines.one_d.protocol import AnyEngine
from mcrelu.experiments.crossing.stopping import Check, Criterion, Memory, Status, squared_error
from mcrelu.problems.one_d import Info, Outcome, Problem, Weights
from mcrelu.rng import MinibatchStream
from mcrelu.types import Bools, Floats, Ints


@dataclass(frozen=True)
class Checks:
    """When networks are checked: every ``interval`` steps, ``maximum`` times at most.

    And at the ``early`` steps, ascending and below ``interval``, for crossings and certificates.
    """

    interval: int
    maximum: int
    early: tuple[int, ...] = ()

    def steps(self) -> Iterator[int]:
        """The steps of all checks, ascending."""
        yield from self.early
        yield from range(self.interval, self.last + 1, self.interval)

    @property
    def last(self) -> int:
        """The step of the last check."""
        return self.interval * self.maximum


class Stopped(NamedTuple):
    """Networks that stopped at the same check."""

    rows: Ints  # (k,) of the problem
    status: Status  # (k,)
    step: int
    info: Info
    outputs: Floats  # (k, D)
    weights: Callable[[], Weights]  # their parameters, on demand


class Moment(NamedTuple):
    """The networks that still trained when a check came, before any is dropped."""

    step: int
    rows: Ints  # (k,) of the problem
    status: Status  # (k,) what the check decided: a StopReason, or 0 for those that go on
    info: Info
    outputs: Floats  # (k, D)
    training_loss: Floats  # (k,) 1/2 sum_j p_j (f(x_j) - y_j)^2
    validation_loss: Floats  # (k,) sum_j v_j (f(x_j) - y_j)^2
    weights: Callable[[], Weights]  # (k, n) their parameters, on demand


OnCheck = Callable[[Moment], None]


def train(
    engine: AnyEngine,
    problem: Problem,
    validation_p: Floats,
    criteria: Sequence[Criterion],
    checks: Checks,
    minibatches: MinibatchStream | None = None,
    on_check: OnCheck | None = None,
) -> Outcome:
    """Train all networks of a batch to their end.

    Parameters
    ----------
    validation_p : (m, D)
        Weights of the validation sample.
    criteria : in order of precedence
        The first criterion that stops a network at a check decides.
    minibatches : None for full-batch training
    on_check : called at every check, with all networks that trained up to it
        Its result is ignored. A list's ``append`` keeps the whole trajectory.
    """
    m = len(problem.p)
    outcome = Outcome(
        status=np.zeros(m, dtype=np.int8),
        stop_iteration=np.zeros(m, dtype=np.int64),
        first_crossing=np.zeros(m, dtype=np.int64),
        max_kink=np.zeros(m),
        training_loss=np.zeros(m),
        validation_loss=np.zeros(m),
    )
    y = problem.points.y
    for stopped in stops(engine, problem, validation_p, criteria, checks, minibatches, on_check):
        k = stopped.rows
        outcome.status[k] = stopped.status
        outcome.stop_iteration[k] = stopped.step
        outcome.max_kink[k], outcome.first_crossing[k] = stopped.info
        outcome.training_loss[k] = squared_error(problem.p[k], stopped.outputs, y) / 2.0
        outcome.validation_loss[k] = squared_error(validation_p[k], stopped.outputs, y)
    return outcome


def stops(
    engine: AnyEngine,
    problem: Problem,
    validation_p: Floats,
    criteria: Sequence[Criterion],
    checks: Checks,
    minibatches: MinibatchStream | None = None,
    on_check: OnCheck | None = None,
) -> Iterator[Stopped]:
    """Train and yield the networks as they stop; arguments as for :func:`train`."""
    rows = np.arange(len(problem.p))
    memories = [criterion.init(len(rows)) for criterion in criteria]
    running = Running(engine, problem, validation_p, engine.init(problem), rows, memories)
    for step in checks.steps():
        running.advance(step - running.steps, minibatches)
        status = running.judge(criteria, early=step < checks.interval)
        if on_check is not None:
            on_check(running.moment(status))
        done = (status != 0) | (step == checks.last)
        if done.any():
            yield running.stopped(done, status)
            running.keep(~done)
        if len(running.index) == 0:
            return


@dataclass
class Running:
    """The networks that still train; row k of everything is network index[k] of the problem."""

    engine: AnyEngine
    problem: Problem
    validation_p: Floats  # (m, D)
    state: Any
    index: Ints  # (m,)
    memories: list[Memory]  # one per criterion
    steps: int = 0

    def advance(self, steps: int, minibatches: MinibatchStream | None) -> None:
        """Train all of them by one window."""
        if steps == 0:
            return
        counts = None
        if minibatches is not None:
            counts = minibatches.draw(self.index, self.steps, steps)
        self.state = self.engine.advance(self.state, steps, counts)
        self.steps += steps

    def judge(self, criteria: Sequence[Criterion], early: bool) -> Status:
        """The first verdict of the criteria on each network, 0 for those that go on."""
        check = self._check(early)
        status = np.zeros(len(self.index), dtype=np.int8)
        for k, criterion in enumerate(criteria):
            undecided = status == 0
            memory = tuple(column[undecided] for column in self.memories[k])
            memory, verdict = criterion.judge(memory, check.restrict(undecided))
            for column, new in zip(self.memories[k], memory, strict=True):
                column[undecided] = new
            status[undecided] = verdict
        return status

    def moment(self, status: Status) -> Moment:
        """What a check sees, with what it decided."""
        state, outputs, y = self.state, self.engine.outputs(self.state), self.problem.points.y
        return Moment(
            step=self.steps,
            rows=self.index.copy(),
            status=status.copy(),
            info=self.engine.info(state),
            outputs=outputs,
            training_loss=squared_error(self.problem.p, outputs, y) / 2.0,
            validation_loss=squared_error(self.validation_p, outputs, y),
            weights=lambda: self.engine.neurons(state),
        )

    def stopped(self, done: Bools, status: Status) -> Stopped:
        """The record of the networks where ``done`` is true."""
        state = self.engine.keep(self.state, done)
        return Stopped(
            rows=self.index[done],
            status=status[done],
            step=self.steps,
            info=self.engine.info(state),
            outputs=self.engine.outputs(state),
            weights=lambda: self.engine.neurons(state),
        )

    def keep(self, mask: Bools) -> None:
        """Drop the networks where ``mask`` is false."""
        p, step_size = self.problem.p[mask], self.problem.step_size[mask]
        self.problem = self.problem._replace(p=p, step_size=step_size)
        self.validation_p = self.validation_p[mask]
        self.state = self.engine.keep(self.state, mask)
        self.index = self.index[mask]
        self.memories = [tuple(column[mask] for column in memory) for memory in self.memories]

    def _check(self, early: bool) -> Check:
        return Check(
            points=self.problem.points,
            p=self.problem.p,
            validation_p=self.validation_p,
            step_size=self.problem.step_size,
            crossed=self.engine.info(self.state).first_crossing > 0,
            outputs=self.engine.outputs(self.state),
            moments=lambda: self.engine.moments(self.state),
            outermost=lambda mask: self.engine.outermost(self.state, np.flatnonzero(mask)),
            leaky_slope=self.problem.leaky_slope,
            early=early,
        )
