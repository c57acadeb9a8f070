"""What a row says of a network of the star experiment."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mcrelu.experiments.star.cell import StarCell
from mcrelu.problems.r_d import NEVER, Problem, State
from mcrelu.store.columns import NAME, repeated
from mcrelu.sweep.cell import Block
from mcrelu.types import Floats, Ints

STAR = pa.schema(
    [
        pa.field("cell", NAME),
        pa.field("block", pa.uint32()),
        pa.field("network", pa.uint32()),  # index in the cell
        pa.field("width", pa.uint32()),
        pa.field("data", NAME),
        pa.field("depth", pa.uint8()),
        pa.field("activation", NAME),
        pa.field("step_rule", NAME),
        pa.field("step_factor", pa.float64()),
        pa.field("random_bias", pa.bool_()),
        pa.field("precision", NAME),
        pa.field("engine", NAME),
        pa.field("epochs", pa.uint32()),
        pa.field("first_kink_change", pa.uint32()),  # epoch; null if the pattern never changed
        pa.field("first_loss_crossing", pa.uint32()),  # epoch; null if never below the threshold
        pa.field("threshold", pa.float64()),  # loss of the best function affine on every ray
        pa.field("step_size", pa.float64()),  # that was taken, the factor included
        pa.field(
            "linear_step_size", pa.float64()
        ),  # up to which a step does what theory says; null: none
        pa.field("loss", pa.float64()),  # 1/2 sum p (f - y)^2 after the last epoch
        # The name is the one that Parquet gives back.
        pa.field("losses", pa.list_(pa.field("element", pa.float32()))),  # after every 1000th epoch
    ]
)


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
    columns = {
        "cell": repeated(cell.id, m),
        "block": [block.index] * m,
        "network": range(block.first, block.first + m),
        "width": [cell.width] * m,
        "data": repeated(cell.data, m),
        "depth": [cell.depth] * m,
        "activation": repeated(cell.activation, m),
        "step_rule": repeated(cell.step_size, m),
        "step_factor": [cell.step_factor] * m,
        "random_bias": [cell.random_bias] * m,
        "precision": repeated(cell.precision, m),
        "engine": repeated(cell.engine, m),
        "epochs": [cell.epochs] * m,
        "first_kink_change": _epochs(state.info.first_kink_change),
        "first_loss_crossing": _epochs(state.info.first_loss_crossing),
        "threshold": problem.threshold,
        "step_size": problem.step_size,
        "linear_step_size": pa.array(linear, mask=np.isnan(linear)),
        "loss": loss,
        "losses": pa.ListArray.from_arrays(pa.array(ends), flat, type=STAR.field("losses").type),
    }
    return pa.table(columns, schema=STAR)


def _epochs(first: Ints) -> pa.Array:
    return pa.array(np.maximum(first, 0), pa.uint32(), mask=first == NEVER)
