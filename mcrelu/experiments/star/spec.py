"""The spec of a star sweep: what a user may write, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mcrelu.engines.r_d.protocol import SEGMENT
from mcrelu.engines.r_d.registry import SEMANTICS
from mcrelu.experiments.star.cell import StarCell, StepSize
from mcrelu.experiments.star.own_points import Data, PointRows, notes_on
from mcrelu.problems.r_d import Activation, Precision
from mcrelu.sweep.cell import Cell
from mcrelu.sweep.spec import CommonSpec, Lists, Values

MAX_WIDTH = 2**20
MAX_EPOCHS = 2**31 - 1

# A block should take seconds to minutes, and its checkpoint stay small.
MOST_NETWORKS_PER_BLOCK = 100
MOST_NEURONS_PER_BLOCK = 2**18
MOST_WEIGHTS_PER_BLOCK = 2**22  # between hidden layers


class StarLists(Lists):
    """The cells are the product of these lists."""

    width: Values[Annotated[int, Field(ge=1, le=MAX_WIDTH)]]
    data: Values[Data]
    depth: Values[Annotated[int, Field(ge=1, le=16)]] = [1]
    activation: Values[Activation] = ["relu"]
    step_size: Values[StepSize] = ["inv_lambda_max"]
    step_factor: Values[Annotated[float, Field(gt=0)]] = [1.0]
    random_bias: Values[bool] = [False]


class StarSpec(CommonSpec):
    """A star sweep as it is written in YAML."""

    experiment: Literal["star"]
    cells: StarLists
    epochs: Annotated[int, Field(ge=1, le=MAX_EPOCHS)]
    checkpoint_every: Annotated[int, Field(ge=SEGMENT, multiple_of=SEGMENT)] = 10 * SEGMENT
    engine: Literal["auto", "grouped", "torch"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Precision = "float64"
    rng: Literal["philox"] = "philox"

    @model_validator(mode="after")
    def _consistent(self) -> StarSpec:
        if self.engine != "grouped":
            return self
        for reason, remedy in self._obstacles():
            raise ValueError(f"engine = 'grouped': cannot train {reason}; {remedy}, or engine auto")
        return self

    def expand(self) -> Iterator[Cell]:
        """The cells."""
        lists = self.cells
        for data, depth, activation, bias, step_size, factor, width in product(
            lists.data, lists.depth, lists.activation, lists.random_bias,
            lists.step_size, lists.step_factor, lists.width,
        ):  # fmt: skip
            engine = self._engine(depth, activation)
            points = data.points if isinstance(data, PointRows) else None
            yield StarCell(
                width=width,
                engine=engine,
                semantics=SEMANTICS[engine],
                data=data if isinstance(data, str) else str(points),
                points=points,
                depth=depth,
                activation=activation,
                step_size=step_size,
                step_factor=float(factor),
                random_bias=bias,
                precision=self.precision,
                epochs=self.epochs,
                checkpoint_every=self.checkpoint_every,
            )

    def block_size_of(self, cell: Cell) -> int:
        """Networks per block of a cell."""
        assert isinstance(cell, StarCell)
        weights = max(1, (cell.depth - 1) * cell.width**2)
        by_size = min(MOST_NEURONS_PER_BLOCK // cell.width, MOST_WEIGHTS_PER_BLOCK // weights)
        return self.block_size or max(1, min(MOST_NETWORKS_PER_BLOCK, by_size))

    def notes(self) -> Iterator[str]:
        """Own points on which no loss can cross the threshold."""
        for data in self.cells.data:
            if isinstance(data, PointRows):
                yield from notes_on(data.points)

    def settings(self) -> dict[str, Any]:
        """What all cells share and an output cannot change, unless the cells say it clearer."""
        values = self.model_dump(mode="json")
        return {key: values[key] for key in ("experiment", "seed", "rng")}

    def _engine(self, depth: int, activation: str) -> str:
        """The one asked for, else groups wherever they can."""
        if self.engine != "auto":
            return self.engine
        grouped = depth == 1 and activation == "relu"
        suits = grouped and self.precision == "float64" and self.device != "cuda"
        return "grouped" if suits else "torch"

    def _obstacles(self) -> Iterator[tuple[str, str]]:
        """What groups cannot do, with what to write instead."""
        if self.cells.depth != [1]:
            yield f"cells.depth = {self.cells.depth}", "use [1]"
        if self.cells.activation != ["relu"]:
            yield f"cells.activation = {self.cells.activation}", "use [relu]"
        if self.precision != "float64":
            yield f"in precision = {self.precision!r}", "use float64"
        if self.device == "cuda":
            yield "on device = 'cuda'", "use cpu"


SPEC = StarSpec
