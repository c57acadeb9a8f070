"""Parquet schemas: what one row says. A change here raises VERSION."""

from __future__ import annotations

import pyarrow as pa

from mcrelu.sweep.cell import Block
from mcrelu.types import Floats, Outcome

VERSION = 2

_NAME = pa.dictionary(pa.int8(), pa.string())

NETWORKS = pa.schema(
    [
        pa.field("cell", _NAME),
        pa.field("block", pa.uint32()),
        pa.field("network", pa.uint32()),  # index in the cell
        pa.field("width", pa.uint32()),
        pa.field("offset", pa.float64()),
        pa.field("optimizer", _NAME),
        pa.field("step_rule", _NAME),
        pa.field("init", _NAME),
        pa.field("leaky_slope", pa.float64()),
        pa.field("engine", _NAME),
        pa.field("status", pa.uint8()),  # StopReason
        pa.field("stop_iteration", pa.uint32()),  # step of the check that stopped it
        pa.field("first_crossing", pa.uint32()),  # exact step; null if it never crossed
        pa.field("max_kink", pa.float64()),  # running maximum of |b/a|
        pa.field("step_size", pa.float64()),
        pa.field("training_loss", pa.float64()),  # 1/2 sum p (f - y)^2 when it stopped
        pa.field("validation_loss", pa.float64()),  # sum v (f - y)^2 when it stopped
    ]
)


def network_rows(block: Block, step_size: Floats, outcome: Outcome) -> pa.Table:
    """The rows of a block."""
    m = len(step_size)
    cell = block.cell
    crossed = outcome.first_crossing > 0
    columns = {
        "cell": _repeated(cell.id, m),
        "block": [block.index] * m,
        "network": range(block.first, block.first + m),
        "width": [cell.width] * m,
        "offset": [cell.offset] * m,
        "optimizer": _repeated(cell.optimizer, m),
        "step_rule": _repeated(str(cell.step_rule), m),
        "init": _repeated(cell.init, m),
        "leaky_slope": [cell.leaky_slope] * m,
        "engine": _repeated(cell.engine, m),
        "status": outcome.status,
        "stop_iteration": outcome.stop_iteration,
        "first_crossing": pa.array(outcome.first_crossing, pa.uint32(), mask=~crossed),
        "max_kink": outcome.max_kink,
        "step_size": step_size,
        "training_loss": outcome.training_loss,
        "validation_loss": outcome.validation_loss,
    }
    return pa.table(columns, schema=NETWORKS)


def _repeated(text: str, m: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array([0] * m, pa.int8()), pa.array([text]))
