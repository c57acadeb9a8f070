"""One network of a star sweep again: its loss, and when it left the affine regime."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from mcrelu.engines.r_d.protocol import LOSS_EVERY
from mcrelu.engines.r_d.registry import get_engine
from mcrelu.experiments.base import BlockTask, Drawing, Replay, Section
from mcrelu.experiments.star.block import Start, fresh, segments, star_cell, start_of
from mcrelu.experiments.star.rows import star_rows
from mcrelu.experiments.star.training import Training
from mcrelu.figures.style import COLORS, COLUMN_WIDTH, GREY
from mcrelu.problems.r_d import NEVER, Layer
from mcrelu.sweep.cell import Block
from mcrelu.theory.backprop import losses_of
from mcrelu.theory.ntk import linear_step_size


def replay(task: BlockTask, network: int) -> Replay:
    """Train network ``network`` of a cell, which is in the task's block, from its first epoch."""
    block, cell = task.block, star_cell(task.block)
    with threadpool_limits(1):
        row = network - block.first
        first = Block(cell, block.index, block.first, row + 1)
        start = _only(start_of(first, task.provenance), row)
        engine = get_engine(cell.engine, task.device, cell.precision, task.provenance.block_size)
        reached = fresh(start, cell)
        for training in segments(engine, start.problem, reached, cell.epochs):
            reached = training
        x, y, p = start.problem.x, start.problem.y, start.problem.p
        linear = linear_step_size(start.layers, x, y, p, cell.activation)
        loss = losses_of(start.problem, reached.state.layers)
    alone = Block(cell, block.index, network, 1)
    return Replay(
        row=star_rows(alone, start.problem, linear, reached.state, loss, reached.losses),
        sections=[_facts(start, reached, float(loss[0]))],
        drawings=[Drawing("loss", _figure(start, reached), caption=cell.label)],
    )


def _only(start: Start, row: int) -> Start:
    layers = tuple(Layer(*(part[[row]] for part in layer)) for layer in start.layers)
    return Start(start.problem.rows(np.array([row])), layers)


def _facts(start: Start, reached: Training, loss: float) -> Section:
    info, threshold = reached.state.info, float(start.problem.threshold[0])

    def epoch(first: int) -> str:
        return "never" if first == NEVER else f"in epoch {first}"

    rows = (
        ("an activation pattern changed", epoch(int(info.first_kink_change[0]))),
        ("the loss fell below the threshold", epoch(int(info.first_loss_crossing[0]))),
        ("loss", f"{loss:.6g} after {reached.state.epoch} epochs, {loss / threshold:.6g} of it"
         if threshold else f"{loss:.6g} after {reached.state.epoch} epochs"),
        ("threshold", f"{threshold:.6g}"),
        ("step size", f"{start.problem.step_size[0]:.6g}"),
    )  # fmt: skip
    return Section("What happened", ("", ""), rows)


def _figure(start: Start, reached: Training) -> Figure:
    """The loss after every LOSS_EVERY epochs, beside the threshold."""
    figure = Figure(figsize=(COLUMN_WIDTH, 0.7 * COLUMN_WIDTH), layout="constrained")
    axes = figure.add_subplot()
    losses = reached.losses[0]
    epochs = LOSS_EVERY * np.arange(1, len(losses) + 1)
    axes.plot(epochs, losses, color=COLORS[0], label="loss")
    axes.axhline(
        start.problem.threshold[0], color=GREY, linestyle=(0, (4, 2)), label="affine threshold"
    )
    for first, label, color in (
        (reached.state.info.first_kink_change[0], "a pattern changed", COLORS[1]),
        (reached.state.info.first_loss_crossing[0], "below the threshold", COLORS[2]),
    ):
        if first != NEVER:
            axes.axvline(max(first, 1), color=color, linewidth=0.8, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.legend()
    return figure
