"""One network of a sweep of training configurations again: its errors after every validation."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from mcrelu.engines.minibatch.registry import get_engine
from mcrelu.experiments.base import BlockTask, Drawing, Replay, Section
from mcrelu.experiments.setups.block import setup_cell
from mcrelu.experiments.setups.draws import start_of
from mcrelu.experiments.setups.rows import setup_rows
from mcrelu.experiments.setups.training import Judged, train
from mcrelu.figures.style import COLORS, COLUMN_WIDTH
from mcrelu.sweep.cell import Block


def replay(task: BlockTask, network: int) -> Replay:
    """Train network ``network`` of a cell by itself."""
    cell = setup_cell(task.block.cell)
    history: list[tuple[int, float]] = []
    with threadpool_limits(1):
        start = start_of(cell, task.provenance, np.array([network]))
        engine = get_engine(cell.engine, task.device, block_size=task.provenance.block_size)

        def watch(epoch: int, valid: np.ndarray) -> None:
            history.append((epoch, float(valid[0])))

        judged = train(engine, start.problem, start.networks, cell, watch)
    alone = Block(cell, task.block.index, network, 1)
    row = setup_rows(alone, start, judged)
    return Replay(
        row=row,
        sections=[_facts(row.to_pylist()[0])],
        drawings=[Drawing("validation", _figure(history, judged), caption=cell.label)],
    )


def _facts(row: dict[str, object]) -> Section:
    shown = [(name, value) for name, value in row.items() if "rmse" in name or "epoch" in name]
    rows = tuple(
        (name, f"{value:.6g}" if isinstance(value, float) else str(value)) for name, value in shown
    )
    return Section("What came of it", ("", ""), rows)


def _figure(history: list[tuple[int, float]], judged: Judged) -> Figure:
    figure = Figure(figsize=(COLUMN_WIDTH, 0.7 * COLUMN_WIDTH), layout="constrained")
    axes = figure.add_subplot()
    epochs, errors = zip(*history, strict=True)
    axes.plot(epochs, np.sqrt(errors), color=COLORS[0], label="validation")
    if judged.best_epoch[0] > 0:
        axes.axvline(judged.best_epoch[0], color=COLORS[1], linewidth=0.8, label="best")
    axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel("RMSE (standardised targets)")
    axes.legend()
    return figure
