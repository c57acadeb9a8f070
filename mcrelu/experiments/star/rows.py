"""Rows of the star experiment: one per network."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mcrelu.experiments.star.cell import StarCell
from mcrelu.experiments.star.schema import SCHEMA
from mcrelu.problems.r_d import NEVER, Problem, State
from mcrelu.store.columns import constant_columns
from mcrelu.sweep.cell import Block
from mcrelu.types import Floats, Ints


def star_rows(
    block: Block, problem: Problem, linear: Floats, state: State, loss: Floats, losses: Floats
) -> pa.Table:
    """The rows of a block; linear (m,), loss (m,), losses (m, k)."""
    m = len(loss)
    cell = block.cell
    assert isinstance(cell, StarCell)
    with np.errstate(over="ignore"):  # what diverges is infinite in single precision sooner
        flat = pa.array(losses.astype(np.float32).ravel())
    ends = np.arange(m + 1, dtype=np.int32) * losses.shape[1]
    constants = {
        "cell": cell.id,
        "block": block.index,
        "width": cell.width,
        "data": cell.data,
        "depth": cell.depth,
        "activation": cell.activation,
        "step_rule": cell.step_size,
        "step_factor": cell.step_factor,
        "random_bias": cell.random_bias,
        "precision": cell.precision,
        "engine": cell.engine,
        "epochs": cell.epochs,
    }
    columns = {
        **constant_columns(constants, m, SCHEMA),
        "network": np.arange(block.first, block.first + m),
        "first_kink_change": _epochs(state.info.first_kink_change),
        "first_loss_crossing": _epochs(state.info.first_loss_crossing),
        "threshold": problem.threshold,
        "step_size": problem.step_size,
        "linear_step_size": pa.array(linear, mask=np.isnan(linear)),
        "loss": loss,
        "losses": pa.ListArray.from_arrays(pa.array(ends), flat, type=SCHEMA.field("losses").type),
    }
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def _epochs(first: Ints) -> pa.Array:
    return pa.array(np.maximum(first, 0), pa.uint32(), mask=first == NEVER)
