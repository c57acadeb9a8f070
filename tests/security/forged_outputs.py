"""Outputs that say something else of their cells, with ids and checksums that are right."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mcrelu.store.contents import CELLS_FILE
from mcrelu.store.parquet import digest as digest_of_rows
from mcrelu.store.parquet import parquet_of
from mcrelu.sweep.cell import digest

Change = Callable[[dict[str, Any]], None]


def forge(out: Path, change: Change, *, contents: Change | None = None) -> None:
    """Change what an output says of each cell, and likewise of itself.

    Shards and tables move along; the manifest, which only saves reading shards, goes. Of cells that
    get the same parameters only the first stays.
    """
    known = json.loads((out / CELLS_FILE).read_text())
    ids: dict[str, str] = {}
    cells, known["cells"] = known["cells"], []
    for cell in cells:
        before = cell["id"]
        change(cell)
        cell["id"] = digest(cell["parameters"])
        if cell["id"] not in ids.values():
            ids[before] = cell["id"]
            known["cells"].append(cell)
            _move(out / "shards" / before, out / "shards" / cell["id"], cell)
    if contents is not None:
        contents(known)
    (out / CELLS_FILE).write_text(json.dumps(known))
    shutil.rmtree(out / "manifest", ignore_errors=True)
    for path in (out / "tables").glob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        if "cell" in table.column_names:
            renamed = pa.array([ids.get(one) for one in table["cell"].to_pylist()], pa.string())
            table = table.set_column(table.schema.get_field_index("cell"), "cell", renamed)
            path.write_bytes(parquet_of(table))


def _move(old: Path, new: Path, cell: dict[str, Any]) -> None:
    if old.exists() and old != new:
        old.rename(new)
    for path in new.glob("*.parquet"):
        rows = pq.read_table(path, partitioning=None)
        place = rows.schema.get_field_index("cell")
        own = rows.set_column(place, "cell", pa.array([cell["id"]] * len(rows)))
        extent = {f"mcrelu.{name}": json.dumps(value) for name, value in cell["extent"].items()}
        said = {"mcrelu.cell": cell["id"], "mcrelu.digest": digest_of_rows(own), **extent}
        encoded = {key.encode(): value.encode() for key, value in said.items()}
        path.write_bytes(parquet_of(own.replace_schema_metadata(rows.schema.metadata | encoded)))
