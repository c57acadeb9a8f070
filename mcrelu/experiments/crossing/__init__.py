"""Does training ever move a kink across a data point? Two-layer networks in one dimension."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from mcrelu.experiments.base import (
    Agreement,
    BlockReader,
    BlockTask,
    Count,
    Drawing,
    Point,
    Section,
    Tables,
)
from mcrelu.experiments.crossing.paper import PAPER, Setting
from mcrelu.experiments.crossing.schema import SCHEMA, SCHEMA_VERSION
from mcrelu.store.files import Files
from mcrelu.sweep.cell import Cell, Provenance
from mcrelu.sweep.spec import CommonSpec


class CrossingExperiment:
    """Two-layer networks in one dimension, trained until a criterion stops them."""

    name = "crossing"
    title = "P(a kink may cross a data point)"
    note = (
        "Estimates count networks not proved (or believed, with early stopping) to keep their "
        "kinks away from the data; intervals are Wilson's at 95 %, or confidence sequences where "
        "the sweep asks for a relative width."
    )
    schema = SCHEMA
    schema_version = SCHEMA_VERSION
    point_columns = (*Setting._fields, "width")
    abscissa = "width"
    figures_of_paper = PAPER.figures
    example: Mapping[str, Any] = {
        "version": 1,
        "experiment": "crossing",
        "seed": 20200212,
        "networks": 25,
        "cells": {"width": [4, 8]},
        "stop": ["crossing", "sufficient"],
        "block_size": 10,
    }

    @property
    def spec(self) -> type[CommonSpec]:
        """See :mod:`mcrelu.experiments.crossing.spec`."""
        from mcrelu.experiments.crossing.spec import CrossingSpec

        return CrossingSpec

    def do(self, task: BlockTask, files: Files) -> pa.Table:
        """Train a block until its networks stop."""
        from mcrelu.experiments.crossing import block

        return block.do(task)

    def summary(self, rows: pa.Table) -> dict[str, int]:
        """How many networks may cross."""
        from mcrelu.experiments.crossing import tables

        return tables.summary(rows)

    def warm_up_cells(self, cell: Cell) -> Iterator[Cell]:
        """Two tiny cells: one whose networks stay, one whose networks cross."""
        from mcrelu.experiments.crossing import block

        return block.warm_up_cells(cell)

    def seconds(self, cell: Cell, provenance: Provenance, networks: int) -> float:
        """By training them."""
        from mcrelu.experiments.crossing import block

        return block.seconds(cell, provenance, networks)

    def tables(self, reader: BlockReader) -> Tables:
        """``cells`` and ``power_laws``."""
        from mcrelu.experiments.crossing import tables

        return tables.tables(reader)

    def derived(self, cells: pa.Table) -> Tables:
        """Both, from the first."""
        from mcrelu.experiments.crossing import tables

        return tables.derived(cells)

    def sections(self, tables: Tables) -> list[Section]:
        """Estimates by series, how training ended, relative widths."""
        from mcrelu.experiments.crossing import sections

        return sections.sections(tables)

    def drawings(self, tables: Tables) -> list[Drawing]:
        """Probability over width, log-log."""
        from mcrelu.experiments.crossing import figures

        return figures.drawings(tables)

    def counts(self, cells: pa.Table) -> dict[Point, Count]:
        """Networks that may cross, by setting and width."""
        from mcrelu.experiments.crossing import tables

        return tables.point_counts(cells)

    def published(self, figure: str | None) -> dict[Point, Count]:
        """Figures 5 and 6."""
        return PAPER.counts(figure)

    def verify(self, path: Path, golden: dict[str, Any]) -> Agreement | None:
        """Golden files of the one-dimensional program name their seed."""
        from mcrelu.experiments.crossing import verify

        return verify.verify_crossing(path, golden) if verify.is_crossing(golden) else None


EXPERIMENT = CrossingExperiment()
