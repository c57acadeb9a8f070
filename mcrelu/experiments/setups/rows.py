"""Rows of the setups experiment: one per network."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mcrelu.experiments.setups.cell import SetupCell
from mcrelu.experiments.setups.draws import Start
from mcrelu.experiments.setups.schema import METRICS, SCHEMA
from mcrelu.experiments.setups.training import NEVER, Judged
from mcrelu.store.columns import constant_columns
from mcrelu.sweep.cell import Block
from mcrelu.types import Floats, Ints


def setup_rows(block: Block, start: Start, judged: Judged) -> pa.Table:
    """The rows of a block."""
    cell = block.cell
    assert isinstance(cell, SetupCell)
    m = len(start.bayes_rmse)
    constants = {
        "cell": cell.id,
        "block": block.index,
        "data": cell.data,
        "parametrization": cell.parametrization,
        "optimizer": cell.optimizer,
        "bias_init": cell.bias_init,
        "bias_gain": cell.bias_gain,
        "width": cell.width,
        "batch": cell.batch,
        "learning_rate": cell.learning_rate,
        "engine": cell.engine,
    }
    errors = (
        judged.last_train, judged.last_valid, judged.last_test, judged.best_valid, judged.best_test,
    )  # fmt: skip
    columns = {
        **constant_columns(constants, m, SCHEMA),
        "network": np.arange(block.first, block.first + m),
        **{
            name: _rmse(error, start.scales.y_deviation)
            for name, error in zip(METRICS, errors, strict=True)
        },
        "best_epoch": _epochs(judged.best_epoch),
        "diverged_by": _epochs(judged.diverged_by),
        "bayes_rmse": start.bayes_rmse,
        "target_deviation": start.scales.y_deviation,
    }
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def _rmse(mean_squares: Floats, deviation: Floats) -> pa.Array:
    """In units of the targets as they were drawn."""
    return pa.array(np.sqrt(mean_squares) * deviation, mask=np.isnan(mean_squares))


def _epochs(epoch: Ints) -> pa.Array:
    return pa.array(np.maximum(epoch, 0), pa.uint32(), mask=epoch == NEVER)
