"""One network of a crossing sweep again: what happened when, and its way there."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mcrelu.data import point_weights
from mcrelu.engines.one_d.registry import get_engine
from mcrelu.errors import UserError
from mcrelu.experiments.base import BlockTask, Drawing, Replay, Section, Trajectory
from mcrelu.experiments.crossing.block import draw_block, problem_of
from mcrelu.experiments.crossing.cell import CrossingCell
from mcrelu.experiments.crossing.keras_training import KERAS
from mcrelu.experiments.crossing.replay_figures import (
    function_figure,
    kinks_figure,
    outermost_kinks,
)
from mcrelu.experiments.crossing.rows import crossing_rows
from mcrelu.experiments.crossing.stopping import Sufficient, squared_error
from mcrelu.experiments.crossing.train import Moment, train
from mcrelu.film.figures import grid_of
from mcrelu.film.training import looked_at
from mcrelu.problems.one_d import Barrier, Outcome, Problem, StopReason, Weights, function_at
from mcrelu.rng import Draws, MinibatchStream, Normals
from mcrelu.sweep.cell import Block
from mcrelu.theory.certificate import certified
from mcrelu.theory.sigma import data_moments, u_hat
from mcrelu.types import Counts, Floats, Ints

_ANIMATED_KINKS, _ANIMATED_PLACES = 100, 161


class _OneRow:
    """The normals of one network of a block."""

    def __init__(self, normals: Normals, row: int) -> None:
        self._normals, self._row = normals, row
        self.shape = (1, normals.shape[1])

    def rows(self, index: Ints) -> Floats:
        """Those of network 0, which is the only one."""
        return self._normals.rows(np.full(len(index), self._row))


class _OneStream:
    """The minibatches of one network of a block."""

    def __init__(self, stream: MinibatchStream, row: int) -> None:
        self._stream, self._row = stream, row

    def draw(self, networks: Ints, first_step: int, steps: int) -> Counts:
        """Those of network 0, which is the only one."""
        return self._stream.draw(np.full(len(networks), self._row), first_step, steps)


class State(NamedTuple):
    """A network after some step."""

    step: int
    weights: Weights  # of one network, each (1, n) or (1,)
    training_loss: float
    validation_loss: float


def replay(task: BlockTask, network: int) -> Replay:
    """Train network ``network`` of a cell, which is in the task's block, as its sweep did.

    Raises
    ------
    UserError
        If its minibatches cannot be drawn without those of its neighbours (rng legacy).
    """
    block, cell = task.block, task.block.cell
    assert isinstance(cell, CrossingCell)
    if cell.engine == KERAS:
        raise UserError("engine = 'keras': is there to be compared; replay a sweep of our engines")
    if task.provenance.rng == "legacy" and cell.optimizer != "gd":
        raise UserError(
            "rng = 'legacy': the minibatches of a batch come from one stream, so no network of it "
            "can be trained by itself; replay sweeps of rng philox4x32 or philox"
        )
    row = network - block.first
    draws = _only(draw_block(block, task.provenance), row)
    problem = problem_of(cell, draws)
    validation = point_weights(draws.validation_counts)
    minibatches = None if cell.optimizer == "gd" else draws.minibatches
    moments: list[Moment] = []
    outcome = train(
        get_engine(cell.engine), problem, validation, cell.criteria, cell.checks, minibatches,
        moments.append,
    )  # fmt: skip
    alone = Block(cell, block.index, network, 1)
    states = _states(cell, problem, validation, draws, int(outcome.stop_iteration[0]))
    return Replay(
        row=crossing_rows(alone, problem.step_size, outcome),
        sections=[_facts(cell, problem, draws, outcome), _checks(cell, problem, moments)],
        drawings=[
            Drawing("kinks", kinks_figure(states, problem.points, outcome), caption=cell.label),
            Drawing(
                "function", function_figure(states, problem, draws.counts[0]), caption=cell.label
            ),
        ],
        trajectory=_trajectory(states, problem),
    )


def _only(draws: Draws, row: int) -> Draws:
    """The draws of one network."""
    return Draws(
        counts=draws.counts[[row]],
        validation_counts=draws.validation_counts[[row]],
        a_normals=_OneRow(draws.a_normals, row),
        w_normals=_OneRow(draws.w_normals, row),
        minibatches=_OneStream(draws.minibatches, row),
    )


def _states(
    cell: CrossingCell, problem: Problem, validation: Floats, draws: Draws, last: int
) -> list[State]:
    """The network at those steps, trained once more: windows change nothing."""
    engine, y = get_engine(cell.engine), problem.points.y
    state, done, found = engine.init(problem), 0, []
    for step in map(int, looked_at(last)):
        if step > done:
            counts = None
            if cell.optimizer != "gd":
                counts = draws.minibatches.draw(np.arange(1), done, step - done)
            state, done = engine.advance(state, step - done, counts), step
        outputs = engine.outputs(state)
        training = float(squared_error(problem.p, outputs, y)[0]) / 2.0
        validated = float(squared_error(validation, outputs, y)[0])
        found.append(State(step, engine.neurons(state), training, validated))
    return found


def _trajectory(states: list[State], problem: Problem) -> Trajectory:
    x = grid_of(problem.points.x, _ANIMATED_PLACES)
    return Trajectory(
        steps=np.array([state.step for state in states]),
        kinks=outermost_kinks(states, _ANIMATED_KINKS),
        x=x,
        values=np.array([function_at(one.weights, x, problem.leaky_slope)[0] for one in states]),
        data=problem.points,
        shares=problem.p[0],
        losses={
            "training loss": np.array([state.training_loss for state in states]),
            "validation loss": np.array([state.validation_loss for state in states]),
        },
    )


def _facts(cell: CrossingCell, problem: Problem, draws: Draws, outcome: Outcome) -> Section:
    reason = StopReason(int(outcome.status[0]))
    rows = [
        ("ended", f"{reason.name.lower()} at the check of step {outcome.stop_iteration[0]}"),
        ("step size", f"{problem.step_size[0]:.6g}"),
        ("sample", ", ".join(f"{n} x {x:g}" for n, x in _sample(problem, draws))),
        ("farthest kink", f"{outcome.max_kink[0]:.6g} of the way to the nearest point"),
    ]
    if outcome.first_crossing[0]:
        rows.insert(1, ("crossed", _crossing(cell, problem, draws, int(outcome.first_crossing[0]))))
    return Section("What happened", ("", ""), tuple(rows))


def _sample(problem: Problem, draws: Draws) -> list[tuple[int, float]]:
    both = zip(draws.counts[0], problem.points.x, strict=True)
    return [(int(count), float(x)) for count, x in both if count]


def _crossing(cell: CrossingCell, problem: Problem, draws: Draws, step: int) -> str:
    """Which neuron reached which point."""
    engine = get_engine(cell.engine)
    counts = None if cell.optimizer == "gd" else draws.minibatches.draw(np.arange(1), 0, step)
    net = engine.neurons(engine.advance(engine.init(problem), step, counts))
    kinks, x = -net.b[0] / net.a[0], problem.points.x
    barrier = Barrier.of(x)
    out = np.where(kinks > 0.0, kinks * barrier.right, -kinks * barrier.left)
    neuron = int(np.nanargmax(out))
    point = 1.0 / barrier.right if kinks[neuron] > 0.0 else -1.0 / barrier.left
    place = f"{kinks[neuron]:.6g}, beyond x = {point:g}"
    return f"at step {step}: the kink of neuron {neuron} is at {place}"


def _checks(cell: CrossingCell, problem: Problem, moments: list[Moment]) -> Section:
    """What every check saw; and whether the certificate held, whichever criteria stop the cell."""
    proving = [one for one in cell.criteria if isinstance(one, Sufficient)]
    headings = ["step", "training loss", "validation loss", "farthest kink", "decided"]
    rows = []
    for moment in moments:
        decided = StopReason(int(moment.status[0])).name.lower() if moment.status[0] else "go on"
        row = [
            str(moment.step), f"{moment.training_loss[0]:.6g}", f"{moment.validation_loss[0]:.6g}",
            f"{moment.info.max_kink[0]:.6g}", decided,
        ]  # fmt: skip
        rows.append(tuple(row + ([_proved(proving[0], problem, moment)] if proving else [])))
    if proving:
        headings.append(f"certificate ({proving[0].form})")
    return Section("Checks", tuple(headings), tuple(rows))


def _proved(criterion: Sufficient, problem: Problem, moment: Moment) -> str:
    net = moment.weights()
    sigma = net.sums.sigma
    asked: list[Any] = []

    def outermost(mask: Any) -> Weights:
        asked.append(mask)
        return net.rows(np.flatnonzero(mask))

    proved = certified(
        criterion.form,
        sigma,
        data_moments(problem.points, problem.p),
        u_hat(problem.points, problem.p, moment.outputs),
        problem.step_size,
        Barrier.of(problem.points.x),
        problem.leaky_slope,
        outermost,
    )
    if proved[0]:
        return "proved"
    return "a neuron may cross" if asked and asked[0].any() else "motion not bounded"
