"""What a row says of a network of the star experiment."""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 3  # raised whenever the schema changes

SCHEMA = pa.schema(
    [
        pa.field("cell", pa.string()),
        pa.field("block", pa.uint32()),
        pa.field("network", pa.uint32()),  # index in the cell
        pa.field("width", pa.uint32()),
        pa.field("data", pa.string()),
        pa.field("depth", pa.uint8()),
        pa.field("activation", pa.string()),
        pa.field("step_rule", pa.string()),
        pa.field("step_factor", pa.float64()),
        pa.field("random_bias", pa.bool_()),
        pa.field("precision", pa.string()),
        pa.field("engine", pa.string()),
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
