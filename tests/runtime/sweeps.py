"""Small sweeps for the tests of the runtime, and how their rows are compared."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mcrelu.sweep.sweep import Sweep

SPEC = """
version: 1
experiment: crossing
seed: 11
networks: 100
cells: {width: [4, 8]}
stop: [crossing, sufficient]
checks: {interval: 100, maximum: 50}
block_size: 40
"""
MINIBATCHES = """
version: 1
experiment: crossing
seed: 12
networks: 50
cells: {width: [4], optimizer: [sgd, adam], init: [he, swapped]}
step_size: {over_width: 0.05}
stop: [crossing, early_stopping]
checks: {interval: 50, maximum: 40}
block_size: 20
"""


def sweep(text: str = SPEC, **changes: object) -> Sweep:
    """The sweep of a text, with top-level keys changed."""
    changed = Sweep.from_text(text).spec.model_dump(mode="json", exclude_none=True) | changes
    return Sweep.of(changed)


def rows(out: Path) -> dict[str, pa.Table]:
    """All rows below an output, by shard, without the metadata that may differ."""
    return {
        str(path.relative_to(out)): pq.read_table(path).replace_schema_metadata(None)
        for path in sorted(out.glob("shards/*/*.parquet"))
    }


def same_rows(one: Path, other: Path) -> bool:
    """Whether two outputs have the same shards with the same rows, bit for bit."""
    a, b = rows(one), rows(other)
    return bool(a) and a.keys() == b.keys() and all(a[name].equals(b[name]) for name in a)
