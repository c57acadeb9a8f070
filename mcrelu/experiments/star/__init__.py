"""Does training leave the affine regime? Networks in R^d."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from mcrelu.experiments.base import (
    CELLS,
    Agreement,
    BlockReader,
    BlockTask,
    Count,
    Drawing,
    Point,
    Section,
    Tables,
)
from mcrelu.experiments.star.paper import PAPER, Setting
from mcrelu.experiments.star.schema import SCHEMA, SCHEMA_VERSION
from mcrelu.store.files import Files
from mcrelu.sweep.cell import Cell, Provenance
from mcrelu.sweep.spec import CommonSpec


class StarExperiment:
    """Networks in R^d, trained for a number of epochs."""

    name = "star"
    title = "How often training leaves the affine regime"
    note = (
        "Fractions of networks whose activation pattern on the data changed at any epoch, and "
        "whose loss fell below that of the best function that is affine on every ray; intervals "
        "are Wilson's at 95 %."
    )
    schema = SCHEMA
    schema_version = SCHEMA_VERSION
    point_columns = (*(name for name in Setting._fields if name != "event"), "width")
    abscissa = "width"
    figures_of_paper = PAPER.figures
    example: Mapping[str, Any] = {
        "version": 1,
        "experiment": "star",
        "seed": 20200212,
        "networks": 5,
        "epochs": 3000,
        "cells": {"width": [6, 9], "data": ["star-3"]},
        "block_size": 2,
    }

    @property
    def spec(self) -> type[CommonSpec]:
        """See :mod:`mcrelu.experiments.star.spec`."""
        from mcrelu.experiments.star.spec import StarSpec

        return StarSpec

    def do(self, task: BlockTask, files: Files) -> pa.Table:
        """Train a block to its last epoch, from its newest checkpoint on."""
        from mcrelu.experiments.star import block

        return block.do(task, files)

    def summary(self, rows: pa.Table) -> dict[str, int]:
        """How many networks changed an activation pattern."""
        from mcrelu.experiments.star import tables

        return tables.summary(rows)

    def warm_up_cells(self, cell: Cell) -> Iterator[Cell]:
        """One tiny cell."""
        from mcrelu.experiments.star import block

        return block.warm_up_cells(cell)

    def seconds(self, cell: Cell, provenance: Provenance, networks: int) -> float:
        """Projected from their first epochs."""
        from mcrelu.experiments.star import block

        return block.seconds(cell, provenance, networks)

    def tables(self, reader: BlockReader) -> Tables:
        """``cells`` and ``progress``."""
        from mcrelu.experiments.star import tables

        return tables.tables(reader)

    def derived(self, cells: pa.Table) -> Tables:
        """The cell table alone: nothing else follows from it."""
        return {CELLS: cells}

    def sections(self, tables: Tables) -> list[Section]:
        """Fractions by curve."""
        from mcrelu.experiments.star import sections

        return sections.sections(tables)

    def drawings(self, tables: Tables) -> list[Drawing]:
        """Fractions over width, a panel per event."""
        from mcrelu.experiments.star import figures

        return figures.drawings(tables)

    def counts(self, cells: pa.Table) -> dict[Point, Count]:
        """Networks in which an event happened, by setting (the event in it) and width."""
        from mcrelu.experiments.star import tables

        return tables.point_counts(cells)

    def published(self, figure: str | None) -> dict[Point, Count]:
        """Figure 8."""
        return PAPER.counts(figure)

    def verify(self, path: Path, golden: dict[str, Any]) -> Agreement | None:
        """Golden files of networks in R^d hold their initial parameters."""
        from mcrelu.experiments.star import verify

        return verify.verify_layered(path, golden) if verify.is_layered(golden) else None


EXPERIMENT = StarExperiment()
