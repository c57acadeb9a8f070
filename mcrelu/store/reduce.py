"""From shards to tables."""

from __future__ import annotations

import json
from typing import NamedTuple

import pyarrow as pa

from mcrelu.errors import UserError
from mcrelu.experiments.base import CELLS, Section, Tables
from mcrelu.store.described import parameters_of
from mcrelu.store.inventory import Inventory
from mcrelu.store.output import Output, damaged_table
from mcrelu.store.shards import cell_in, checksum, is_shard, shard_content
from mcrelu.store.timings import TIMINGS, timings
from mcrelu.texts import is_plain

_REFUSED = b"mcrelu.refused"  # metadata of the cell table: names of shards that it does not count


class Reduction(NamedTuple):
    """What came of reading an output once."""

    tables: Tables
    refused: list[str]  # shards that are there and cannot be counted


def reduce(output: Output) -> Reduction:
    """Write the tables of an output, from its shards.

    Every shard is read once, block by block, and verified while it is read; shards that are torn,
    foreign or were changed are not counted, and the tables name them.
    """
    reader = output.reader()
    tables = output.experiment.tables(reader)
    # Not among the results: those are a function of the rows.
    output.publish_table(TIMINGS, timings(reader))
    refused = reader.refused
    noted = {_REFUSED: json.dumps(refused).encode()} if refused else {}
    tables[CELLS] = tables[CELLS].replace_schema_metadata(noted)
    for name, table in tables.items():
        output.publish_table(name, table)
    return Reduction(tables, refused)


def cell_table(output: Output) -> pa.Table:
    """One row per cell, from the shards that are there now; writes nothing."""
    return output.experiment.tables(output.reader())[CELLS]


def written_tables(output: Output) -> Tables:
    """The tables of an output as they were written last.

    What follows from the cell table is made from it anew.

    Raises
    ------
    UserError
        If there are none yet, or one is damaged.
    """
    expected = parameters_of(output.contents)
    derived = output.experiment.derived(_checked(output, CELLS, expected))
    others = (name for name in output.table_names() if name not in derived)
    return derived | {name: _checked(output, name, expected) for name in others}


def _checked(output: Output, name: str, expected: Tables) -> pa.Table:
    """A table as it was written, if its columns are of the kinds that they should be.

    Those of older programs may lack columns.
    """
    table = output.read_table(name)
    wanted = expected[name].schema if name in expected else table.schema
    lacks = name == CELLS and not {"cell", "networks"} <= set(table.column_names)
    known = (field for field in table.schema if field.name in wanted.names)
    if lacks or not all(_alike(field.type, wanted.field(field.name).type) for field in known):
        raise damaged_table(output, name)
    if not all(_has_plain_texts(column) for column in table.columns):
        raise damaged_table(output, name)
    if name == CELLS and (table["cell"].null_count or table["networks"].null_count):
        raise damaged_table(output, name)
    return table


def _has_plain_texts(column: pa.ChunkedArray) -> bool:
    """Whether texts in a column are names as we write them."""
    return not pa.types.is_string(column.type) or is_plain(column.unique().to_pylist())


def _alike(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether both are numbers, or both texts and so on; of nulls alone nobody knows."""
    if pa.types.is_null(wanted):
        return not pa.types.is_nested(found)
    tests = (pa.types.is_boolean, pa.types.is_primitive, pa.types.is_string, pa.types.is_nested)
    return next(test(found) for test in tests if test(wanted))


def refused_in(tables: Tables) -> list[str]:
    """Names of the shards that the tables do not count though they are there."""
    noted = (tables[CELLS].schema.metadata or {}).get(_REFUSED)
    try:
        names = [] if noted is None else json.loads(noted)
    except (ValueError, RecursionError):
        return []
    return [name for name in names if is_shard(name)] if isinstance(names, list) else []


def known_damage(output: Output, inventory: Inventory) -> list[str]:
    """Names of shards that are known not to be good, without reading those that seem so.

    Those are what the inventory refused, and what the tables name and nobody replaced since.
    """
    try:
        noted = refused_in({CELLS: output.read_table(CELLS)})
    except UserError:  # no tables yet
        noted = []
    still = (name for name in noted if _is_damaged(output, inventory, name))
    return list(dict.fromkeys((*inventory.refused, *still)))


def _is_damaged(output: Output, inventory: Inventory, name: str) -> bool:
    """Whether a shard is there and is none that the output vouches for."""
    content, cell = shard_content(output.files, name), inventory.cells.get(cell_in(name))
    if content is None or cell is None:
        return False
    good = {entry.checksum for entry in inventory.entered} | set(cell.known.checksum.astype(str))
    return checksum(content) not in good


def refused_section(tables: Tables) -> list[Section]:
    """A section that names them, if there are any."""
    refused = refused_in(tables)
    if not refused:
        return []
    remark = (
        "These files are torn, foreign or were changed; blocks from the first of them on are not "
        "counted in their cells. Give the run's command again to replace them."
    )
    rows = tuple((name,) for name in refused)
    return [Section("Shards that were refused", ("file",), rows, (remark,))]
