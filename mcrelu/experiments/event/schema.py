"""What a row says of a network of the event experiment."""

from __future__ import annotations

import pyarrow as pa

from mcrelu.experiments.event.conditions import CONDITIONS

SCHEMA_VERSION = 1  # raised whenever the schema changes

SCHEMA = pa.schema(
    [
        pa.field("cell", pa.string()),
        pa.field("block", pa.uint32()),
        pa.field("network", pa.uint32()),  # index in the cell
        pa.field("width", pa.uint32()),
        pa.field("rhs_factor", pa.float64()),
        *(pa.field(name, pa.bool_()) for name in CONDITIONS),  # whether it holds
        pa.field("max_w", pa.float64()),  # max |w|
        pa.field("max_a", pa.float64()),  # max |a|
        pa.field("min_a", pa.float64()),  # min |a|
        # Sums over the neurons with a > 0, and over the others
        pa.field("aa_right", pa.float64()),
        pa.field("aa_left", pa.float64()),
        pa.field("ww_right", pa.float64()),
        pa.field("ww_left", pa.float64()),
        pa.field("wa_right", pa.float64()),
        pa.field("wa_left", pa.float64()),
        pa.field("shift", pa.float64()),  # of the optimal affine functions, by the sample
        pa.field("lowest", pa.float64()),  # eigenvalue of M
        pa.field("highest", pa.float64()),
    ]
)
