"""What an experiment is to the rest of the program, and where each is found.

Generic layers know no experiment, and an experiment knows no executor: a room
(``mcrelu/experiments/<name>/``) holds everything about one experiment behind the protocol here, and
``REGISTRY`` says where it is. Adding an experiment is adding a folder and one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import pyarrow as pa

from mcrelu.errors import UserError
from mcrelu.experiments.columns import Codes
from mcrelu.store.files import Files
from mcrelu.sweep.cell import Block, Cell, Provenance
from mcrelu.sweep.spec import CommonSpec
from mcrelu.types import Floats, Ints, PointSet

CELLS = "cells"  # the table with one row per cell that every experiment has

Tables = dict[str, pa.Table]  # by the name under which an output keeps them


@dataclass(frozen=True)
class BlockTask:
    """All that a worker needs to do a block; a few hundred bytes."""

    block: Block
    provenance: Provenance
    out: str  # path or URI of the output
    device: str = "cpu"  # where an engine that has a choice trains


@dataclass(frozen=True)
class Section:
    """A part of what is told of an output: terminal, report and live page all render these."""

    title: str
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()  # one entry per heading
    remarks: tuple[str, ...] = ()  # sentences below the table
    figure: str | None = None  # name of the drawing that shows the same


@dataclass(frozen=True)
class Drawing:
    """A figure, and LaTeX documents that show the same."""

    name: str
    figure: Any  # matplotlib.figure.Figure
    documents: Mapping[str, str] = field(default_factory=dict)  # LaTeX by file name
    caption: str = ""  # how many networks a point is of, what its bars or bands are


@dataclass(frozen=True)
class Trajectory:
    """A network with one input while it trains, seen at T steps, to be animated."""

    steps: Ints  # (T,) ascending
    kinks: Floats  # (T, K) where its function bends; NaN where a neuron has no kink
    x: Floats  # (G,) ascending
    values: Floats  # (T, G) the function there
    data: PointSet  # (D,)
    shares: Floats  # (D,) of the sample; 0 for points that were not drawn
    losses: Mapping[str, Floats]  # (T,) by name


@dataclass(frozen=True)
class Replay:
    """One network of a sweep again."""

    row: pa.Table  # as its shard has it
    sections: list[Section]  # what happened
    drawings: list[Drawing]
    trajectory: Trajectory | None = None  # for what can be animated


class Count(NamedTuple):
    """``k`` of ``n`` networks are in the event that an estimate is of."""

    k: int
    n: int


class Mean(NamedTuple):
    """A mean over ``n`` networks and its standard error."""

    mean: float
    error: float
    n: int


Estimate = Count | Mean

# A point of a curve: what distinguishes its curve (a NamedTuple) and its place on the abscissa.
Point = tuple[Any, int]


class Source(NamedTuple):
    """What the estimate of a point is the mean of: a value per network of a cell."""

    cell: str  # its id
    columns: tuple[str, ...]  # of the rows, from which the values are made
    values: Callable[[pa.Table], Floats]  # rows -> (m,); NaN where there is none


class Agreement(Protocol):
    """How far we agree with results of the original program."""

    @property
    def file(self) -> str:
        """Path of the golden file."""

    @property
    def networks(self) -> int:
        """How many networks it holds."""

    @property
    def measures(self) -> str:
        """What was compared, in words."""

    @property
    def agrees(self) -> bool:
        """The verdict."""

    def _asdict(self) -> dict[str, Any]:
        """All measures by name."""


class CellRecord(Protocol):
    """A cell as an output remembers it."""

    @property
    def id(self) -> str:
        """Name of the cell's folder."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What :meth:`mcrelu.sweep.cell.Cell.parameters` was when the output was written."""

    @property
    def extent(self) -> Mapping[str, int]:
        """What :meth:`mcrelu.sweep.cell.Cell.extent` was."""


class BlockReader(Protocol):
    """The rows of an output as tables see them: block by block, so that memory stays bounded."""

    @property
    def cells(self) -> tuple[Any, ...]:
        """The cells (CellRecord) of the output."""

    def relative_width(self, cell: Any) -> float | None:
        """The relative width that the sweep of a cell asks for, if it does."""

    def sample(self, cell: Any, columns: Iterable[str]) -> Iterator[pa.Table]:
        """Some columns of the blocks of a cell that count, in index order.

        Those are its complete blocks up to the first gap, and up to the relative width asked for.
        """


class Experiment(Protocol):
    """One experiment: functions of plain values. ``tests/contracts/test_experiments.py`` runs all.

    A room imports its engines, matplotlib and the like inside of these functions, so that commands
    which need none of it start at once.
    """

    name: str
    title: str  # of reports
    counted: str | None  # what ``k`` of a summary counts, if a run is to show it as it grows
    counted_setting: Mapping[str, str]  # what settings say of the points that ``k`` belongs to
    note: str  # what the estimates of its tables are, in a sentence or two
    schema: pa.Schema  # of the rows: one per network
    schema_version: int  # raised whenever the schema changes
    point_columns: tuple[str, ...]  # of the cell table: what tells a point from all others
    abscissa: str  # the last of them: where a point stands on its curve
    figures_of_paper: tuple[str, ...]  # those with published values, such as fig5
    example: Mapping[str, Any]  # a spec that takes a moment

    @property
    def spec(self) -> type[CommonSpec]:
        """The model that its specs are validated by."""

    @property
    def codes(self) -> Codes:
        """What codes in its rows mean, by column."""

    def do(self, task: BlockTask, files: Files) -> pa.Table:
        """Do a block: its rows, with :attr:`schema`."""

    def summary(self, rows: pa.Table) -> dict[str, int]:
        """Counts of a block that estimates need; ``k`` is the one that a relative width is of."""

    def warm_up_cells(self, cell: Cell) -> Iterator[Cell]:
        """Cells that take no time and run every kernel that a cell may need."""

    def seconds(self, cell: Cell, provenance: Provenance, networks: int) -> float:
        """Time that so many networks of a cell take, measured by training (part of) them."""

    def replay(self, task: BlockTask, network: int) -> Replay:
        """Do one network of a block again; ``network`` is its index in the cell."""

    def tables(self, reader: BlockReader) -> Tables:
        """The tables of an output, :data:`CELLS` among them."""

    def derived(self, cells: pa.Table) -> Tables:
        """The tables that follow from the cell table alone, which is among them."""

    def sections(self, tables: Tables) -> list[Section]:
        """What the tables say, for people; needs those of :meth:`derived`, may use all."""

    def drawings(self, tables: Tables) -> list[Drawing]:
        """Its figures; needs the tables of :meth:`derived`, may use all.

        None if nothing is complete yet.
        """

    def plot(self, tables: Tables, axes: Any) -> None:
        """Draw its main curves on axes of the user's own, with labels and a legend.

        Further arguments by keyword may say which of several. Some cells are complete.
        """

    def points(self, cells: pa.Table) -> dict[Point, Estimate]:
        """The estimates of a cell table that can be compared, by point; all of one kind."""

    def sources(self, cells: pa.Table) -> Mapping[Point, Source]:
        """Where the estimates of :meth:`points` come from."""

    def published(self, figure: str | None) -> Mapping[Point, Estimate]:
        """The paper's estimates in one of its figures, or in all of :attr:`figures_of_paper`."""

    def verify(self, path: Path, golden: dict[str, Any]) -> Agreement | None:
        """Repeat a run of the original; None if the golden file is of another experiment."""


# Where the experiments are: each module has its Experiment as EXPERIMENT.
REGISTRY = {
    "crossing": "mcrelu.experiments.crossing",
    "event": "mcrelu.experiments.event",
    "setups": "mcrelu.experiments.setups",
    "star": "mcrelu.experiments.star",
}


def experiment(name: object) -> Experiment:
    """The experiment of a name; its module is imported only now.

    Raises
    ------
    UserError
        If there is none.
    """
    if not isinstance(name, str) or name not in REGISTRY:
        known = " or ".join(repr(one) for one in REGISTRY)
        raise UserError(f"experiment = {name!r}: must be {known}")
    return cast("Experiment", import_module(REGISTRY[name]).EXPERIMENT)


def experiment_of(cell: Cell) -> Experiment:
    """The experiment that a cell belongs to."""
    return experiment(cell.experiment)
