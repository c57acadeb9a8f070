"""What a row says of a network of the crossing experiment."""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 3  # raised whenever the schema changes

SCHEMA = pa.schema(
    [
        pa.field("cell", pa.string()),
        pa.field("block", pa.uint32()),
        pa.field("network", pa.uint32()),  # index in the cell
        pa.field("width", pa.uint32()),
        pa.field("offset", pa.float64()),
        pa.field("optimizer", pa.string()),
        pa.field("step_rule", pa.string()),
        pa.field("init", pa.string()),
        pa.field("leaky_slope", pa.float64()),
        pa.field("engine", pa.string()),
        pa.field("status", pa.uint8()),  # StopReason
        pa.field("stop_iteration", pa.uint32()),  # step of the check that stopped it
        pa.field("first_crossing", pa.uint32()),  # exact step; null if it never crossed
        pa.field("max_kink", pa.float64()),  # running maximum of |b/a|
        pa.field("step_size", pa.float64()),
        pa.field("training_loss", pa.float64()),  # 1/2 sum p (f - y)^2 when it stopped
        pa.field("validation_loss", pa.float64()),  # sum v (f - y)^2 when it stopped
    ]
)
