"""What a row says of a network of the setups experiment."""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 1  # raised whenever the schema changes

# RMSEs in units of the targets as they were drawn; null where training diverged.
METRICS = (
    "last_train_rmse",
    "last_valid_rmse",
    "last_test_rmse",
    "best_valid_rmse",
    "best_test_rmse",  # of the test sample, when the validation RMSE was best
)

SCHEMA = pa.schema(
    [
        pa.field("cell", pa.string()),
        pa.field("block", pa.uint32()),
        pa.field("network", pa.uint32()),  # index in the cell
        pa.field("data", pa.string()),
        pa.field("parametrization", pa.string()),
        pa.field("optimizer", pa.string()),
        pa.field("bias_init", pa.string()),
        pa.field("bias_gain", pa.float64()),
        pa.field("width", pa.uint32()),
        pa.field("batch", pa.uint32()),
        pa.field("learning_rate", pa.float64()),
        pa.field("engine", pa.string()),
        *(pa.field(name, pa.float64()) for name in METRICS),
        pa.field("best_epoch", pa.uint32()),  # null if it never was validated
        pa.field("diverged_by", pa.uint32()),  # epoch by which it had; null if it did not
        pa.field("bayes_rmse", pa.float64()),  # of the noise of the test sample
        pa.field("target_deviation", pa.float64()),  # of the training sample
    ]
)
