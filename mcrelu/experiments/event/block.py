"""Blocks of the event experiment: draw networks and samples, and judge them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from mcrelu.data import point_weights, sample_size
from mcrelu.experiments.base import BlockTask
from mcrelu.experiments.event.cell import EventCell
from mcrelu.experiments.event.conditions import (
    POINTS,
    OfData,
    OfWeights,
    hold,
    measure_data,
    measure_weights,
)
from mcrelu.experiments.event.schema import SCHEMA
from mcrelu.init import he
from mcrelu.memory import chunks
from mcrelu.rng import Draws, draws_of
from mcrelu.store.columns import constant_columns
from mcrelu.store.files import Files
from mcrelu.sweep.cell import Block, Cell, Provenance

_WARM_UP_WIDTH = 8


def do(task: BlockTask, files: Files) -> pa.Table:  # noqa: ARG001 - it keeps no checkpoints
    """Judge a block: a row per network."""
    return event_rows(task.block, *measure(task.block, task.provenance))


def warm_up_cells(cell: Cell) -> Iterator[Cell]:
    """A cell that takes no time and runs every kernel that a cell may need."""
    yield replace(cell, width=_WARM_UP_WIDTH)


def seconds(cell: Cell, provenance: Provenance, networks: int) -> float:
    """Time that the first networks of a cell take, measured by drawing them."""
    started = time.perf_counter()
    measure(Block(cell, 0, 0, networks), provenance)
    return time.perf_counter() - started


def draw_block(block: Block, provenance: Provenance) -> Draws:
    """Everything random about a block."""
    width = block.cell.width
    return draws_of(
        provenance.rng,
        seed=provenance.seed,
        stream=block.cell.stream,
        block=block.index,
        networks=block.networks,
        width=width,
        points=len(POINTS.x),
        samples=sample_size(width),
    )


def measure(block: Block, provenance: Provenance) -> tuple[OfWeights, OfData]:
    """What the conditions are about, of each network of a block; drawn piece by piece."""
    draws, width = draw_block(block, provenance), block.cell.width
    scales = he.a_scale(width), he.w_scale(width)
    parts = [
        measure_weights(draws.a_normals.rows(rows), draws.w_normals.rows(rows), *scales)
        for rows in chunks(block.networks, width)
    ]
    weights = OfWeights(*map(np.concatenate, zip(*parts, strict=True)))
    return weights, measure_data(point_weights(draws.counts))


def event_rows(block: Block, weights: OfWeights, data: OfData) -> pa.Table:
    """The rows of a block."""
    cell, m = block.cell, block.networks
    assert isinstance(cell, EventCell)
    constants = {
        "cell": cell.id,
        "block": block.index,
        "width": cell.width,
        "rhs_factor": cell.rhs_factor,
    }
    sums = {
        f"{name}_{side}": getattr(weights, name)[:, k]
        for name in ("aa", "ww", "wa")
        for k, side in enumerate(("right", "left"))
    }
    columns = {
        **constant_columns(constants, m, SCHEMA),
        "network": np.arange(block.first, block.first + m),
        **hold(weights, data, cell.width, cell.rhs_factor),
        "max_w": weights.max_w,
        "max_a": weights.max_a,
        "min_a": weights.min_a,
        **sums,
        **data._asdict(),
    }
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)
