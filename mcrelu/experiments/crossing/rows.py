"""Rows of the crossing experiment: one per network."""

from __future__ import annotations

import pyarrow as pa

from mcrelu.experiments.crossing.cell import CrossingCell
from mcrelu.experiments.crossing.schema import SCHEMA
from mcrelu.problems.one_d import Outcome
from mcrelu.store.columns import repeated
from mcrelu.sweep.cell import Block
from mcrelu.types import Floats


def crossing_rows(block: Block, step_size: Floats, outcome: Outcome) -> pa.Table:
    """The rows of a block."""
    m = len(step_size)
    cell = block.cell
    assert isinstance(cell, CrossingCell)
    crossed = outcome.first_crossing > 0
    columns = {
        "cell": repeated(cell.id, m),
        "block": [block.index] * m,
        "network": range(block.first, block.first + m),
        "width": [cell.width] * m,
        "offset": [cell.offset] * m,
        "optimizer": repeated(cell.optimizer, m),
        "step_rule": repeated(str(cell.step_rule), m),
        "init": repeated(cell.init, m),
        "leaky_slope": [cell.leaky_slope] * m,
        "engine": repeated(cell.engine, m),
        "status": outcome.status,
        "stop_iteration": outcome.stop_iteration,
        "first_crossing": pa.array(outcome.first_crossing, pa.uint32(), mask=~crossed),
        "max_kink": outcome.max_kink,
        "step_size": step_size,
        "training_loss": outcome.training_loss,
        "validation_loss": outcome.validation_loss,
    }
    return pa.table(columns, schema=SCHEMA)
