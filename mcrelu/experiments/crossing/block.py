"""Blocks of the crossing experiment: draw networks, train them until they stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa

from mcrelu.counting import Counted, count
from mcrelu.data import point_weights, sample_size
from mcrelu.engines.one_d.registry import get_engine
from mcrelu.experiments.base import BlockTask
from mcrelu.experiments.crossing.cell import CrossingCell, StepRule
from mcrelu.experiments.crossing.keras_training import KERAS, train_by_keras
from mcrelu.experiments.crossing.rows import crossing_rows
from mcrelu.experiments.crossing.train import Checks, train
from mcrelu.init import INITIALIZERS, DrawnWeights
from mcrelu.problems.one_d import Outcome, Problem
from mcrelu.rng import Draws, LegacyBatch, draws_of, legacy_batches, legacy_draws
from mcrelu.store.files import Files
from mcrelu.sweep.cell import Block, Cell, Provenance
from mcrelu.theory.sigma import inv_lambda_max
from mcrelu.types import Floats

_WARM_UP_WIDTH = 8
_FAR = StepRule(over_width=1e6)  # kinks cross at once: the kernels behind crossings run, too


def do(task: BlockTask, files: Files) -> pa.Table:  # noqa: ARG001 - it keeps no checkpoints
    """Train a block: a row per network."""
    step_size, outcome = train_block(task.block, task.provenance)
    count(Counted.STEPS, outcome.stop_iteration.sum())
    return crossing_rows(task.block, step_size, outcome)


def warm_up_cells(cell: Cell) -> Iterator[Cell]:
    """Cells that take no time and run every kernel that a cell may need."""
    assert isinstance(cell, CrossingCell)
    if cell.engine == KERAS:
        return  # it has no kernels
    small = replace(cell, width=_WARM_UP_WIDTH, checks=Checks(2, 1), offset=0.0, init="he")
    yield small
    yield replace(small, step_rule=_FAR)


def seconds(cell: Cell, provenance: Provenance, networks: int) -> float:
    """Time that the first networks of a cell take, measured by training them."""
    started = time.perf_counter()
    train_block(Block(cell, 0, 0, networks), provenance)
    return time.perf_counter() - started


def train_block(block: Block, provenance: Provenance) -> tuple[Floats, Outcome]:
    """Draw and train the networks of a block: their step sizes (m,) and outcomes."""
    cell = block.cell
    assert isinstance(cell, CrossingCell)
    if cell.engine == KERAS:
        return train_by_keras(cell, network_seeds(block, provenance))
    draws = draw_block(block, provenance)
    problem = problem_of(cell, draws)
    minibatches = None if cell.optimizer == "gd" else draws.minibatches
    outcome = train(
        get_engine(cell.engine),
        problem,
        point_weights(draws.validation_counts),
        cell.criteria,
        cell.checks,
        minibatches,
    )
    return problem.step_size, outcome


def draw_block(block: Block, provenance: Provenance) -> Draws:
    """Everything random about a block."""
    cell = block.cell
    assert isinstance(cell, CrossingCell)
    width, points = cell.width, cell.distinct
    if provenance.rng != "legacy":
        seed, stream, index = provenance.seed, cell.stream, block.index
        return draws_of(
            provenance.rng,
            seed=seed,
            stream=stream,
            block=index,
            networks=block.networks,
            width=width,
            points=points,
            samples=cell.samples.size(width),
            minibatch=cell.minibatch,
        )
    batches = [batch for batch in _legacy_batches(provenance.seed) if batch.width == width]
    batch = batches[block.index]
    return legacy_draws(batch.seed, batch.networks, width, points, sample_size(width))


def network_seeds(block: Block, provenance: Provenance) -> list[np.random.SeedSequence]:
    """A seed per network, for what trains them one by one."""
    root = np.random.SeedSequence(provenance.seed, spawn_key=(block.cell.stream, block.index))
    return root.spawn(block.networks)


def problem_of(cell: CrossingCell, draws: Draws) -> Problem:
    """The training problems that a cell makes of its draws."""
    points = cell.point_set()
    p = point_weights(draws.counts)
    initializer = INITIALIZERS[cell.init].scaled(*cell.scales)
    weights = DrawnWeights(initializer, draws.a_normals, draws.w_normals)
    over_width = cell.step_rule.over_width
    if over_width is None:
        step_size = inv_lambda_max(weights, points, p, cell.leaky_slope)
    else:
        step_size = np.full(len(p), over_width / cell.width)
    return Problem(points, p, weights, step_size, cell.optimizer, cell.leaky_slope)


@cache
def _legacy_batches(seed: int) -> tuple[LegacyBatch, ...]:
    return tuple(legacy_batches(seed))
