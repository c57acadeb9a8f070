"""The training loop: epochs, then validation, keeping for each network what was best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from mcrelu.counting import Counted, count
from mcrelu.engines.minibatch.protocol import AnyEngine
from mcrelu.experiments.setups.cell import SetupCell
from mcrelu.problems.regression import Networks, Problem
from mcrelu.types import Array, Bools, Floats, Ints

NEVER = -1  # in arrays of epochs; rows have nulls instead


class Judged(NamedTuple):
    """Mean squared errors of m networks in units of the standardised targets; NaN: diverged."""

    last_train: Array
    last_valid: Array
    last_test: Array
    best_valid: Array
    best_test: Array  # when the validation error was best
    best_epoch: Array  # whole numbers, as the next
    diverged_by: Array  # the epoch by which it had

    @classmethod
    def nothing(cls, networks: int) -> Judged:
        """Before training."""
        errors = (np.full(networks, np.nan) for _ in range(5))
        never = (np.full(networks, NEVER) for _ in range(2))
        return cls._make([*errors, *never])

    def forgetting(self, diverged: Bools) -> Judged:
        """Without any errors of the networks that diverged."""
        errors = (np.where(diverged, np.nan, part) for part in self[:5])
        best_epoch = np.where(diverged, NEVER, self.best_epoch)
        return Judged._make([*errors, best_epoch, self.diverged_by])


Watch = Callable[[int, Floats], None]


def train(
    engine: AnyEngine,
    problem: Problem,
    networks: Networks,
    cell: SetupCell,
    watch: Watch | None = None,
) -> Judged:
    """Train some networks to their last epoch, or until they diverge.

    They are validated after every ``validate_every`` epochs; what was best then is kept. A network
    counts as diverged once its validation error is not finite in single precision. ``watch`` is
    given the epoch and the validation errors, mean squares of those that still train.
    """
    judged = Judged.nothing(len(networks.c))
    running = np.arange(len(networks.c))  # numbers of the networks that have not diverged
    state, reached = engine.init(problem, networks), 0
    for epoch in _stops(cell):
        count(Counted.STEPS, len(running) * (epoch - reached) * (cell.train_points // cell.batch))
        state, reached = engine.advance(state, epoch - reached), epoch
        valid = engine.mean_squares(state, "valid")
        if watch is not None:
            watch(epoch, valid)
        fine = _finite(valid)
        if not fine.all():
            judged.diverged_by[running[~fine]] = epoch
            running, state, valid = running[fine], engine.keep(state, fine), valid[fine]
        if not len(running):
            break
        if epoch % cell.validate_every == 0:
            _keep_best(engine, state, judged, running, valid, epoch)
    if len(running):
        judged.last_train[running] = engine.mean_squares(state, "train")
        judged.last_valid[running] = valid
        judged.last_test[running] = engine.mean_squares(state, "test")
    return judged.forgetting(judged.diverged_by != NEVER)


def _stops(cell: SetupCell) -> Iterator[int]:
    """The epochs after which networks are validated, and the last."""
    yield from range(cell.validate_every, cell.epochs + 1, cell.validate_every)
    if cell.epochs % cell.validate_every:
        yield cell.epochs


def _keep_best(
    engine: AnyEngine, state: Any, judged: Judged, running: Ints, valid: Floats, epoch: int
) -> None:
    """Enter those networks that are better than ever, with their test error."""
    best = judged.best_valid[running]
    better = ~(valid >= best)  # NaN: the first time
    if better.any():
        rows = running[better]
        judged.best_valid[rows], judged.best_epoch[rows] = valid[better], epoch
        judged.best_test[rows] = engine.mean_squares(engine.keep(state, better), "test")


def _finite(errors: Floats) -> Bools:
    with np.errstate(over="ignore"):
        return np.isfinite(errors.astype(np.float32))
