"""Rows of the crossing experiment: one per network."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mcrelu.experiments.crossing.cell import CrossingCell
from mcrelu.experiments.crossing.schema import SCHEMA
from mcrelu.problems.one_d import Outcome
from mcrelu.store.columns import constant_columns
from mcrelu.sweep.cell import Block
from mcrelu.types import Floats


def crossing_rows(block: Block, step_size: Floats, outcome: Outcome) -> pa.Table:
    """The rows of a block."""
    m = len(step_size)
    cell = block.cell
    assert isinstance(cell, CrossingCell)
    crossed = outcome.first_crossing > 0
    constants = {
        "cell": cell.id,
        "block": block.index,
        "width": cell.width,
        "offset": cell.offset,
        "optimizer": cell.optimizer,
        "step_rule": str(cell.step_rule),
        "init": cell.init,
        "leaky_slope": cell.leaky_slope,
        "engine": cell.engine,
    }
    columns = {
        **constant_columns(constants, m, SCHEMA),
        "network": np.arange(block.first, block.first + m),
        "status": outcome.status,
        "stop_iteration": outcome.stop_iteration,
        "first_crossing": pa.array(outcome.first_crossing, pa.uint32(), mask=~crossed),
        "max_kink": outcome.max_kink,
        "step_size": step_size,
        "training_loss": outcome.training_loss,
        "validation_loss": outcome.validation_loss,
    }
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)
