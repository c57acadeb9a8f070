"""Blocks of the setups experiment: draw networks, train and judge them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from mcrelu.engines.minibatch.registry import get_engine
from mcrelu.experiments.base import BlockTask
from mcrelu.experiments.setups.cell import SetupCell
from mcrelu.experiments.setups.draws import start_of
from mcrelu.experiments.setups.rows import setup_rows
from mcrelu.experiments.setups.training import train
from mcrelu.store.files import Files
from mcrelu.sweep.cell import Cell, Provenance

CALIBRATION_SECONDS = 0.5


def do(task: BlockTask, files: Files) -> pa.Table:  # noqa: ARG001 - needs no files
    """Train the networks of a block."""
    block, cell = task.block, setup_cell(task.block.cell)
    # Products of matrices may depend on the number of threads; rows must not.
    with threadpool_limits(1):
        index = np.arange(block.first, block.first + block.networks)
        start = start_of(cell, task.provenance, index)
        engine = get_engine(cell.engine, task.device, block_size=task.provenance.block_size)
        judged = train(engine, start.problem, start.networks, cell)
    return setup_rows(block, start, judged)


def warm_up_cells(cell: Cell) -> Iterator[Cell]:
    """A cell that takes no time and runs every kernel; the same one for all cells of an engine."""
    yield replace(
        setup_cell(cell),
        data="radial-1",
        parametrization="he",
        optimizer="adam",
        bias_init="zero",
        bias_gain=1.0,
        learning_rate=1e-3,
        width=16,
        train_points=8,
        batch=4,
        epochs=2,
        validate_every=1,
    )


def seconds(cell: Cell, provenance: Provenance, networks: int) -> float:
    """Time that the first networks of a cell take, projected from their first validations."""
    cell = setup_cell(cell)
    windows = 1
    while True:
        epochs = min(windows * cell.validate_every, cell.epochs)
        short = replace(cell, epochs=epochs)
        begun = time.perf_counter()
        start = start_of(cell, provenance, np.arange(networks))
        drawn = time.perf_counter()
        train(get_engine(cell.engine), start.problem, start.networks, short)
        spent = time.perf_counter() - drawn
        if spent > CALIBRATION_SECONDS or epochs == cell.epochs:
            return drawn - begun + spent / epochs * cell.epochs
        windows *= 4


def setup_cell(cell: Cell) -> SetupCell:
    """The cell as what it is."""
    assert isinstance(cell, SetupCell)
    return cell
