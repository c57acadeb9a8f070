"""The reference of commands, specs, columns and codes, made from the code.

``python -m mcrelu.reference > docs/reference.md`` writes the page anew. Types in tables are those
of the experiments' examples, which run for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from mcrelu import errors
from mcrelu.api import run
from mcrelu.experiments.base import REGISTRY, Tables, experiment
from mcrelu.experiments.columns import Columns
from mcrelu.experiments.room import Room
from mcrelu.markdown import table
from mcrelu.reference_commands import commands
from mcrelu.reference_specs import keys_of
from mcrelu.stats import comparison
from mcrelu.store import timings

HEAD = """# Reference

Made from the code by `python -m mcrelu.reference`. Shards (`shards/<cell>/<block>.parquet`) have
one row per network; `tables/` has every table as Parquet and CSV. For the mathematics see
[what is computed](method.md).

*Of y* means in units of the targets; names, truth values and pure numbers have no unit. In tables,
what is made from networks is null in cells that have none yet; other nulls are named."""

_SPEC = """What they mean is said [beside an example](laptop.md#write-a-spec). `a.b` is the key `b`
of the mapping `a`, `a[].b` of a mapping in the list `a`. Where there is no default, the key may be
left out, or what stands for it follows from other keys."""

METADATA = {
    "schema": "version of the columns",
    "cell": "id of the cell",
    "block": "index of the block in the cell",
    "networks": "rows",
    "seed": "of the sweep",
    "rng": "which random streams",
    "streams": "their version",
    "block_size": "of the cell: networks of a block but the last",
    "epochs": "trained for, where more of them continue an output",
    "digest": "hash of the rows",
    "blocks": "merged shards: block, networks, digest and seconds of each, as JSON",
    "wall_seconds": "that the block took",
    "device": "where it was trained",
    "host": "by which machine",
    "pid": "by which process",
    "attempt": "at which attempt, from 1",
    "version.*": "of Python and of the packages that rows depend on",
}


def reference() -> str:
    """The page.

    Raises
    ------
    ValueError
        If a column has no description, or a description no column.
    """
    parts = [HEAD, *commands(), *_codes("## Exit codes", errors.MEANINGS)]
    every: list[object] = [experiment(name) for name in REGISTRY]
    rooms = [one for one in every if isinstance(one, Room)]
    for room in rooms:
        parts += _experiment(room, _tables_of_example(room))
    parts += [
        "## All experiments",
        *_columns("`tables/timings`", timings.SCHEMA, timings.COLUMNS),
        "### Comparisons\n\nThe columns that tell a point from the others, and",
        table(
            ("column", "meaning", "unit"),
            ((f"`{name}`", *column) for name, column in comparison.COLUMNS.items()),
        ),
        "### Metadata of shards\n\nWith `mcrelu.` before each, in the Parquet schema:",
        table(("key", "meaning"), ((f"`{key}`", what) for key, what in METADATA.items())),
    ]
    return "\n\n".join(parts) + "\n"


def _tables_of_example(room: Room) -> Tables:
    with TemporaryDirectory() as folder:
        done = run(room.example, Path(folder) / "out", "serial", progress=False)
        return done.tables()


def _experiment(room: Room, tables: Tables) -> Iterator[str]:
    yield f"## `experiment: {room.name}`"
    yield f"### Keys of a spec\n\n{_SPEC}"
    yield keys_of(room.spec)
    title = f"Shards, version {room.schema_version} of the columns"
    yield from _columns(title, room.schema, room.row_columns)
    for column, codes in room.codes.items():
        yield from _codes(f"### Codes of `{column}`", codes)
    for name, content in tables.items():
        yield from _columns(f"`tables/{name}`", content.schema, room.table_columns[name])


def _columns(title: str, schema: pa.Schema, columns: Columns) -> Iterator[str]:
    """A section on the columns of a schema."""
    undescribed, unknown = set(schema.names) - set(columns), set(columns) - set(schema.names)
    if undescribed or unknown:
        raise ValueError(
            f"{title}: columns without a description: {sorted(undescribed)}; "
            f"descriptions without a column: {sorted(unknown)}"
        )
    yield f"### {title}"
    yield table(
        ("column", "type", "meaning", "unit"),
        ((f"`{name}`", _type(schema.field(name).type), *columns[name]) for name in schema.names),
    )


def _codes(title: str, codes: Mapping[IntEnum, str]) -> Iterator[str]:
    yield title
    yield table(
        ("code", "name", "meaning"),
        ((str(code.value), f"`{code.name}`", meaning) for code, meaning in codes.items()),
    )


def _type(kind: pa.DataType) -> str:
    return f"list of {kind.value_type}" if pa.types.is_list(kind) else str(kind)


if __name__ == "__main__":
    sys.stdout.write(reference())
