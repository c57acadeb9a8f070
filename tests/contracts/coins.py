"""A throw-away experiment: how often does a biased coin show heads? All of a room in one file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from pydantic import Field

from mcrelu.errors import UserError
from mcrelu.experiments.base import (
    CELLS,
    REGISTRY,
    BlockReader,
    BlockTask,
    Count,
    Drawing,
    Point,
    Section,
    Source,
    Tables,
)
from mcrelu.experiments.columns import Codes
from mcrelu.figures.captions import networks_per_point
from mcrelu.stats.intervals import wilson
from mcrelu.store.files import Files
from mcrelu.sweep.cell import Block, Cell, Provenance
from mcrelu.sweep.spec import CommonSpec, Model, Values

SCHEMA = pa.schema([("cell", pa.string()), ("network", pa.uint32()), ("heads", pa.bool_())])


@dataclass(frozen=True)
class CoinCell(Cell):
    """A coin."""

    experiment: ClassVar[str] = "coins"

    p: float

    def drawn(self) -> dict[str, Any]:
        return {"experiment": self.experiment, "width": self.width, "p": self.p}

    trained = drawn

    def parameters(self) -> dict[str, Any]:
        return {**self.drawn(), "engine": self.engine, "semantics": self.semantics}

    def memory(self, networks: int) -> int:
        return 64 * networks

    @property
    def cost(self) -> float:
        return 1.0

    @property
    def label(self) -> str:
        return f"coin {self.width}"


class Coins(Model):
    width: Values[Annotated[int, Field(ge=1)]]
    p: Annotated[float, Field(ge=0, le=1)] = 0.5


class CoinSpec(CommonSpec):
    experiment: Literal["coins"]
    cells: Coins

    def expand(self) -> Iterator[Cell]:
        for width in self.cells.width:
            yield CoinCell(width, "coin", 1, self.cells.p)

    def block_size_of(self, cell: Cell) -> int:
        return self.block_size or 100

    def settings(self) -> dict[str, Any]:
        return {"experiment": self.experiment, "seed": self.seed, "rng": self.rng}


class Coin(NamedTuple):
    p: float


class CoinExperiment:
    name = "coins"
    title = "How often coins show heads"
    counted = "heads"
    counted_setting: ClassVar[Mapping[str, str]] = {}
    codes: ClassVar[Codes] = {}
    note = "Fractions of heads; intervals are Wilson's."
    schema = SCHEMA
    schema_version = 1
    point_columns = ("p", "width")
    abscissa = "width"
    figures_of_paper = ()
    spec = CoinSpec
    example: Mapping[str, Any] = {
        "version": 1,
        "experiment": "coins",
        "seed": 1,
        "networks": 25,
        "cells": {"width": [1, 2], "p": 0.3},
        "block_size": 10,
    }

    def do(self, task: BlockTask, files: Files) -> pa.Table:
        block, cell = task.block, task.block.cell
        assert isinstance(cell, CoinCell)
        seed = np.random.SeedSequence(task.provenance.seed, spawn_key=(cell.stream, block.index))
        heads = np.random.Generator(np.random.Philox(seed)).random(block.networks) < cell.p
        network = np.arange(block.first, block.first + block.networks)
        return pa.table([[cell.id] * block.networks, network, heads], schema=SCHEMA)

    def summary(self, rows: pa.Table) -> dict[str, int]:
        return {"k": int(rows["heads"].to_numpy().sum())}

    def warm_up_cells(self, cell: Cell) -> Iterator[Cell]:
        yield cell

    def seconds(self, cell: Cell, provenance: Provenance, networks: int) -> float:
        started = time.perf_counter()
        self.do(BlockTask(Block(cell, 0, 0, networks), provenance, ""), Files.at("."))
        return time.perf_counter() - started

    def tables(self, reader: BlockReader) -> Tables:
        rows = []
        for cell in reader.cells:
            blocks = [block["heads"].to_numpy() for block in reader.sample(cell, ["heads"])]
            heads = np.concatenate([np.zeros(0, dtype=bool), *blocks])
            plain = {name: cell.parameters[name] for name in self.point_columns}
            rows.append({"cell": cell.id, **plain, "k": int(heads.sum()), "networks": len(heads)})
        return self.derived(pa.Table.from_pylist(rows))

    def derived(self, cells: pa.Table) -> Tables:
        return {CELLS: cells}

    def sections(self, tables: Tables) -> list[Section]:
        rows = tuple(
            (str(row["width"]), f"{row['k'] / row['networks']:.3f}")
            for row in tables[CELLS].to_pylist()
            if row["networks"]
        )
        return [Section("Heads", ("width", "fraction"), rows, figure="coins")] if rows else []

    def drawings(self, tables: Tables) -> list[Drawing]:
        rows = [row for row in tables[CELLS].to_pylist() if row["networks"]]
        if not rows:
            return []
        figure = Figure()
        low, _ = wilson([row["k"] for row in rows], [row["networks"] for row in rows])
        figure.subplots().plot([row["width"] for row in rows], low)
        counts = networks_per_point(row["networks"] for row in rows)
        return [Drawing("coins", figure, caption=counts)]

    def plot(self, tables: Tables, axes: Any) -> None:
        rows = [row for row in tables[CELLS].to_pylist() if row["networks"]]
        axes.plot([row["width"] for row in rows], [row["k"] / row["networks"] for row in rows])

    def points(self, cells: pa.Table) -> dict[Point, Count]:
        return {
            (Coin(row["p"]), row["width"]): Count(row["k"], row["networks"])
            for row in cells.to_pylist()
        }

    def sources(self, cells: pa.Table) -> dict[Point, Source]:
        def heads(rows: pa.Table) -> np.ndarray:
            return rows["heads"].to_numpy().astype(float)

        return {
            (Coin(row["p"]), row["width"]): Source(row["cell"], ("heads",), heads)
            for row in cells.to_pylist()
        }

    def published(self, figure: str | None) -> dict[Point, Count]:
        raise UserError("paper: has no coins; give two outputs")

    def verify(self, path: Path, golden: dict[str, Any]) -> None:
        return None


EXPERIMENT = CoinExperiment()
REGISTRY["coins"] = __name__
