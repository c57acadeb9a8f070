"""An experiment made of modules with fixed names, imported when they are needed.

A room ``mcrelu/experiments/<name>/`` has

    spec.py       SPEC, the model of its specs
    block.py      do(task, files), warm_up_cells(cell), seconds(cell, provenance, networks)
    schema.py     SCHEMA and SCHEMA_VERSION of its rows
    replay.py     replay(task, network)
    columns.py    ROWS, TABLES and, if there are any, CODES: what columns mean
    tables.py     tables(reader), derived(cells), summary(rows), points(cells), sources(cells)
    sections.py   sections(tables)
    figures.py    drawings(tables), plot(tables, axes)
    paper.py      PAPER, what of it was published; if anything was
    verify.py     verify(path, golden); if there are results of the original

So matplotlib, numba and the like are imported by those commands that need them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import pyarrow as pa

from mcrelu.errors import UserError
from mcrelu.experiments.base import (
    Agreement,
    BlockReader,
    BlockTask,
    Drawing,
    Estimate,
    Point,
    Replay,
    Section,
    Source,
    Tables,
)
from mcrelu.experiments.columns import Codes, Columns
from mcrelu.experiments.published import Published
from mcrelu.store.files import Files
from mcrelu.sweep.cell import Cell, Provenance
from mcrelu.sweep.spec import CommonSpec


@dataclass(frozen=True)
class Room:
    """See :class:`mcrelu.experiments.base.Experiment` for what everything is."""

    package: str
    name: str
    title: str
    note: str
    schema: pa.Schema
    schema_version: int
    point_columns: tuple[str, ...]
    abscissa: str
    example: Mapping[str, Any]
    counted: str | None = None
    counted_setting: Mapping[str, str] = field(default_factory=dict)
    paper: Published | None = None

    @property
    def figures_of_paper(self) -> tuple[str, ...]:
        """Those with published values."""
        return self.paper.figures if self.paper else ()

    @property
    def spec(self) -> type[CommonSpec]:
        """The model of its specs."""
        model: type[CommonSpec] = self._module("spec").SPEC
        return model

    @property
    def row_columns(self) -> Columns:
        """What the columns of its rows mean."""
        columns: Columns = self._module("columns").ROWS
        return columns

    @property
    def table_columns(self) -> Mapping[str, Columns]:
        """What the columns of its tables mean, by table."""
        columns: Mapping[str, Columns] = self._module("columns").TABLES
        return columns

    @property
    def codes(self) -> Codes:
        """What codes in its rows mean, by column."""
        codes: Codes = getattr(self._module("columns"), "CODES", {})
        return codes

    def do(self, task: BlockTask, files: Files) -> pa.Table:
        """Do a block."""
        return self._module("block").do(task, files)

    def warm_up_cells(self, cell: Cell) -> Iterator[Cell]:
        """Tiny cells that run every kernel."""
        cells: Iterator[Cell] = self._module("block").warm_up_cells(cell)
        return cells

    def seconds(self, cell: Cell, provenance: Provenance, networks: int) -> float:
        """Time that networks take."""
        return float(self._module("block").seconds(cell, provenance, networks))

    def summary(self, rows: pa.Table) -> dict[str, int]:
        """Counts of a block."""
        counts: dict[str, int] = self._module("tables").summary(rows)
        return counts

    def replay(self, task: BlockTask, network: int) -> Replay:
        """Do one network of a block again."""
        replay: Replay = self._module("replay").replay(task, network)
        return replay

    def tables(self, reader: BlockReader) -> Tables:
        """The tables of an output."""
        tables: Tables = self._module("tables").tables(reader)
        return tables

    def derived(self, cells: pa.Table) -> Tables:
        """The tables that follow from the cell table."""
        tables: Tables = self._module("tables").derived(cells)
        return tables

    def points(self, cells: pa.Table) -> dict[Point, Estimate]:
        """The estimates to compare, by point."""
        points: dict[Point, Estimate] = self._module("tables").points(cells)
        return points

    def sources(self, cells: pa.Table) -> Mapping[Point, Source]:
        """Where the estimates come from, by point."""
        sources: Mapping[Point, Source] = self._module("tables").sources(cells)
        return sources

    def sections(self, tables: Tables) -> list[Section]:
        """What the tables say."""
        sections: list[Section] = self._module("sections").sections(tables)
        return sections

    def drawings(self, tables: Tables) -> list[Drawing]:
        """Its figures."""
        drawings: list[Drawing] = self._module("figures").drawings(tables)
        return drawings

    def plot(self, tables: Tables, axes: Any, **which: Any) -> None:
        """Draw its main curves.

        Raises
        ------
        UserError
            If there is no such curve.
        """
        draw = self._module("figures").plot
        known = [name for name in signature(draw).parameters if name not in ("tables", "axes")]
        for name in which:
            if name not in known:
                remedy = f"choose by {', '.join(known)}" if known else "leave it out"
                raise UserError(f"{name}: {self.name} sweeps have no such curves; {remedy}")
        draw(tables, axes, **which)

    def published(self, figure: str | None) -> Mapping[Point, Estimate]:
        """The paper's estimates.

        Raises
        ------
        UserError
            If it has none, or none in this figure.
        """
        if self.paper is None:
            raise UserError(f"paper: has nothing of {self.name} sweeps; give another output")
        return self.paper.points(figure)

    def verify(self, path: Path, golden: dict[str, Any]) -> Agreement | None:
        """Repeat a run of the original."""
        if find_spec(f"{self.package}.verify") is None:
            return None
        agreement: Agreement | None = self._module("verify").verify(path, golden)
        return agreement

    def _module(self, name: str) -> Any:
        return import_module(f"{self.package}.{name}")
