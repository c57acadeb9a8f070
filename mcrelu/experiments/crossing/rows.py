"""What a row says of a network of the crossing experiment."""

from __future__ import annotations

import pyarrow as pa

from mcrelu.experiments.crossing.cell import CrossingCell
from mcrelu.problems.one_d import Outcome
from mcrelu.store.columns import NAME, repeated
from mcrelu.sweep.cell import Block
from mcrelu.types import Floats

CROSSING = pa.schema(
    [
        pa.field("cell", NAME),
        pa.field("block", pa.uint32()),
        pa.field("network", pa.uint32()),  # index in the cell
        pa.field("width", pa.uint32()),
        pa.field("offset", pa.float64()),
        pa.field("optimizer", NAME),
        pa.field("step_rule", NAME),
        pa.field("init", NAME),
        pa.field("leaky_slope", pa.float64()),
        pa.field("engine", NAME),
        pa.field("status", pa.uint8()),  # StopReason
        pa.field("stop_iteration", pa.uint32()),  # step of the check that stopped it
        pa.field("first_crossing", pa.uint32()),  # exact step; null if it never crossed
        pa.field("max_kink", pa.float64()),  # running maximum of |b/a|
        pa.field("step_size", pa.float64()),
        pa.field("training_loss", pa.float64()),  # 1/2 sum p (f - y)^2 when it stopped
        pa.field("validation_loss", pa.float64()),  # sum v (f - y)^2 when it stopped
    ]
)


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
    return pa.table(columns, schema=CROSSING)
