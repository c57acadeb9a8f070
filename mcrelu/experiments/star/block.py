"""Blocks of the star experiment: draw networks, train them in segments, from a checkpoint on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from mcrelu.counting import Counted, count
from mcrelu.data import point_set, point_weights, sample_size
from mcrelu.engines.r_d.protocol import SEGMENT, Engine
from mcrelu.engines.r_d.registry import get_engine
from mcrelu.experiments.base import BlockTask
from mcrelu.experiments.star.cell import StarCell
from mcrelu.experiments.star.rows import star_rows
from mcrelu.experiments.star.training import Training
from mcrelu.init import he_layers
from mcrelu.problems.r_d import Layer, Layers, Problem, State
from mcrelu.rng import layered_draws
from mcrelu.store.checkpoints import latest_checkpoint, publish_checkpoint
from mcrelu.store.files import Files
from mcrelu.sweep.cell import Block, Cell, Provenance
from mcrelu.theory.backprop import losses_of
from mcrelu.theory.ntk import lambda_max, linear_step_size, published_lambda_max
from mcrelu.theory.rays import affine_threshold
from mcrelu.types import Floats, PointSet

_WARM_UP_WIDTH, _WARM_UP_EPOCHS = 4, 20
CALIBRATION_SECONDS = 1.5
FIRST_CALIBRATION, CALIBRATION_GROWTH = 10, 16  # epochs, and by what factor to try more


class Start(NamedTuple):
    """The networks of a block before training."""

    problem: Problem
    layers: Layers  # float64


def do(task: BlockTask, files: Files) -> pa.Table:
    """Train a block to its last epoch, from its newest checkpoint on if there is one."""
    # Products of matrices may depend on the number of threads; rows must not.
    with threadpool_limits(1):
        return _rows(task, files)


def warm_up_cells(cell: Cell) -> Iterator[Cell]:
    """A cell that takes no time and runs every kernel that a cell may need."""
    assert isinstance(cell, StarCell)
    yield replace(cell, width=_WARM_UP_WIDTH, epochs=_WARM_UP_EPOCHS)


def seconds(cell: Cell, provenance: Provenance, networks: int) -> float:
    """Time that the first networks of a cell take, drawn and trained for as long as time allows.

    Whole segments are trained if that is soon done: each begins with a regrouping, which would seem
    to cost far more after a few epochs, and neurons become loose in the course of training. Later
    epochs are taken to cost what the last ones that were measured did.
    """
    assert isinstance(cell, StarCell)
    started = time.perf_counter()
    start = start_of(Block(cell, 0, 0, networks), provenance)
    engine = get_engine(cell.engine, "cpu", cell.precision, provenance.block_size)
    state = fresh(start, cell).state
    spent = time.perf_counter() - started
    ends, epochs = time.perf_counter() + CALIBRATION_SECONDS, FIRST_CALIBRATION
    while True:
        epochs = min(epochs, SEGMENT, cell.epochs - state.epoch)
        began = time.perf_counter()
        after, _ = engine.advance(start.problem, state, epochs)
        took = time.perf_counter() - began
        if epochs == min(SEGMENT, cell.epochs - state.epoch):
            state, spent = after, spent + took
        if state.epoch == cell.epochs or time.perf_counter() > ends:
            return spent + took / epochs * (cell.epochs - state.epoch)
        epochs = CALIBRATION_GROWTH * epochs


def _rows(task: BlockTask, files: Files) -> pa.Table:
    block, cell = task.block, star_cell(task.block)
    start = start_of(block, task.provenance)
    kept = latest_checkpoint(files, block, task.provenance, cell.epochs)
    reached = fresh(start, cell) if kept is None else Training.of(kept)
    engine = get_engine(cell.engine, task.device, cell.precision, task.provenance.block_size)
    for training in segments(engine, start.problem, reached, cell.epochs):
        count(Counted.STEPS, block.networks * (training.state.epoch - reached.state.epoch))
        reached = training
        if _worth_keeping(training.state.epoch, cell):
            publish_checkpoint(files, block, task.provenance, training.checkpoint())
    x, y, p = start.problem.x, start.problem.y, start.problem.p
    linear = linear_step_size(start.layers, x, y, p, cell.activation)
    loss = losses_of(start.problem, reached.state.layers)
    return star_rows(block, start.problem, linear, reached.state, loss, reached.losses)


def segments(
    engine: Engine, problem: Problem, reached: Training, epochs: int
) -> Iterator[Training]:
    """Where training stands after each segment, up to ``epochs``; nothing if it is there."""
    while reached.state.epoch < epochs:
        epochs_now = min(SEGMENT, epochs - reached.state.epoch)
        state, losses = engine.advance(problem, reached.state, epochs_now)
        reached = Training(state, np.concatenate([reached.losses, losses], axis=1))
        yield reached


def start_of(block: Block, provenance: Provenance) -> Start:
    """Draw the networks of a block and what they are to learn."""
    cell = star_cell(block)
    points = points_of(cell, provenance)
    draws = layered_draws(
        provenance.seed,
        cell.stream,
        block.index,
        block.networks,
        cell.sizes,
        len(points.x),
        sample_size(cell.width),
    )
    layers = he_layers(draws.normals, cell.random_bias)
    p = point_weights(draws.counts)
    problem = Problem(
        x=points.x,
        y=points.y,
        p=p,
        step_size=cell.step_factor / _steepest(cell, layers, points, p),
        threshold=affine_threshold(points.x, points.y, p),
        activation=cell.activation,
    )
    return Start(problem, layers)


def points_of(cell: StarCell, provenance: Provenance) -> PointSet:
    """The data; random points are a function of the seed and their name alone."""
    if cell.points is not None:
        return cell.points.with_offset(0.0)
    root = np.random.SeedSequence(provenance.seed, spawn_key=(cell.data_stream,))
    return point_set(cell.data, np.random.Generator(np.random.Philox(root)))


def star_cell(block: Block) -> StarCell:
    """The cell of a block of this experiment."""
    assert isinstance(block.cell, StarCell)
    return block.cell


def _steepest(cell: StarCell, layers: Layers, points: PointSet, p: Floats) -> Floats:
    if cell.step_size == "published":
        return published_lambda_max(layers)
    return lambda_max(layers, points.x, p, cell.activation)


def fresh(start: Start, cell: StarCell) -> Training:
    """The training before its first step, in the cell's precision."""
    kind = np.dtype(cell.precision)
    layers = tuple(Layer(*(part.astype(kind) for part in layer)) for layer in start.layers)
    return Training(State.initial(layers), np.empty((len(start.problem.p), 0)))


def _worth_keeping(epoch: int, cell: StarCell) -> bool:
    """Every so many epochs, and the last whole segment, from which a longer run will go on."""
    last_segment = cell.epochs - cell.epochs % SEGMENT
    return epoch % SEGMENT == 0 and (epoch % cell.checkpoint_every == 0 or epoch == last_segment)
