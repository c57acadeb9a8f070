"""How long the networks took that the tables count."""

from __future__ import annotations

import pyarrow as pa

from mcrelu.experiments.columns import Column, Columns
from mcrelu.store.reader import Reader

TIMINGS = "timings"

SCHEMA = pa.schema(
    [
        ("cell", pa.string()),
        ("label", pa.string()),
        ("blocks", pa.int64()),
        ("networks", pa.int64()),
        ("seconds", pa.float64()),
    ]
)

COLUMNS: Columns = {
    "cell": Column("id of the cell"),
    "label": Column("a few words that tell it from the others"),
    "blocks": Column("that count", "blocks"),
    "networks": Column("in them", "networks"),
    "seconds": Column("that they took; null where a shard does not say", "seconds of one core"),
}


def timings(reader: Reader) -> pa.Table:
    """One row per cell: blocks and networks that count, and the seconds of a core they took.

    Blocks are those that :meth:`Reader.sample` has given so far. Seconds are null where a shard
    does not say how long its block took; merged ones of earlier versions do not.
    """
    rows = []
    for cell in reader.cells:
        counted = reader.counted(cell)
        row = {"cell": cell.id, "label": cell.label, "blocks": counted.blocks}
        rows.append(row | {"networks": counted.networks, "seconds": counted.seconds})
    return pa.Table.from_pylist(rows, schema=SCHEMA)
