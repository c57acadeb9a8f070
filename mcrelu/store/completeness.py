"""Whether the tables of an output count all that its sweep wants, and what is to be said if not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa

from mcrelu.experiments.base import CELLS, Section, Tables
from mcrelu.stats.sequential import too_wide
from mcrelu.store.contents import Contents
from mcrelu.store.output import Output
from mcrelu.store.reduce import refused_section


class _Part(NamedTuple):
    """``done`` of ``wanted``."""

    done: int
    wanted: int


def unfinished(parts: Iterable[tuple[Contents, pa.Table]]) -> str | None:
    """``unfinished: 45 of 160 blocks`` where cell tables do not count all blocks of their outputs.

    Where a relative width is asked for, nobody knows how many blocks it takes, so it is cells that
    are counted: ``unfinished: 3 of 8 cells narrow enough``.

    Parameters
    ----------
    parts : what an output is to hold, and its cell table; together they are told of as one
    """
    blocks, cells = _Part(0, 0), _Part(0, 0)
    for contents, table in parts:
        if contents.relative_width is None:
            blocks = _sum(blocks, _blocks(contents, table))
        else:
            cells = _sum(cells, _narrow(contents, table))
    missing = [
        f"{part.done} of {part.wanted} {unit}"
        for part, unit in ((blocks, "blocks"), (cells, "cells narrow enough"))
        if part.done < part.wanted
    ]
    return f"unfinished: {' and '.join(missing)}" if missing else None


def notices(output: Output, tables: Tables) -> list[Section]:
    """What people must know before they trust tables: that they are unfinished, or lack shards."""
    found = unfinished([(output.contents, tables[CELLS])])
    if found is None:
        return refused_section(tables)
    where = output.files.shown
    remark = (
        "Estimates are of the blocks that are there; cells without any have empty rows. "
        f"mcrelu run {where}/spec.yaml --out {where} goes on"
    )
    if output.contents.relative_width is not None:
        remark += ", with --set networks=N where cells have used up theirs"
    return [Section(found.capitalize(), remarks=(f"{remark}.",)), *refused_section(tables)]


def _sum(one: _Part, other: _Part) -> _Part:
    return _Part(one.done + other.done, one.wanted + other.wanted)


def _blocks(contents: Contents, table: pa.Table) -> _Part:
    """Blocks of all cells: those counted, and those wanted."""
    networks = dict(zip(table["cell"].to_pylist(), table["networks"].to_pylist(), strict=True))
    done = wanted = 0
    for cell in contents.cells:
        counted = min(networks.get(cell.id, 0), contents.networks)
        done += -(-counted // cell.block_size)
        wanted += contents.block_count(cell)
    return _Part(done, wanted)


def _narrow(contents: Contents, table: pa.Table) -> _Part:
    """Cells that have the relative width, and all."""
    wanted = {"relative_width_wanted": contents.relative_width}
    rows = {row["cell"]: {**row, **wanted} for row in table.to_pylist()}
    there = [rows[cell.id] for cell in contents.cells if cell.id in rows]
    return _Part(sum(not too_wide(row) for row in there), len(contents.cells))
