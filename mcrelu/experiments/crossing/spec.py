"""The spec of a crossing sweep: what a user may write, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from pydantic import model_validator

from mcrelu.data import OwnPoints
from mcrelu.engines.one_d.registry import ENGINES, default_engine
from mcrelu.experiments.crossing.block_sizes import default_block_size
from mcrelu.experiments.crossing.cell import CrossingCell, Scales, StepRule
from mcrelu.experiments.crossing.keras_training import KERAS
from mcrelu.experiments.crossing.keras_training import SEMANTICS as KERAS_SEMANTICS
from mcrelu.experiments.crossing.notes import notes_on
from mcrelu.experiments.crossing.spec_checks import check
from mcrelu.experiments.crossing.spec_parts import (
    CellLists,
    Cells,
    CellShape,
    CheckOptions,
    Data,
    Minibatch,
    OverWidth,
    PointLists,
    Samples,
    StepSize,
    Stop,
    criteria_of,
    sample_rule,
    width_of,
)
from mcrelu.experiments.crossing.stopping import Criterion, Sufficient
from mcrelu.experiments.crossing.train import Checks
from mcrelu.rng import legacy_block_size
from mcrelu.sweep.cell import Cell
from mcrelu.sweep.spec import CommonSpec
from mcrelu.theory.criterion import Form

# docs/method.md 1: with swapped variances kinks move fast, so the original looked more often.
DEFAULT_CHECKS = {"he": Checks(1000, 1000), "swapped": Checks(100, 10_000)}
# Of the networks that never cross, the modewise form certifies most at the first of these steps.
EARLY = (0, 1, 10, 100, 300)


@dataclass(frozen=True)
class Shape:
    """Lists of values whose product are cells, and how those stop and step."""

    place: str  # where it stands in the spec
    lists: CellLists
    criteria: tuple[Criterion, ...]
    step_size: str | OverWidth


class CrossingSpec(CommonSpec):
    """A crossing sweep as it is written in YAML."""

    experiment: Literal["crossing"]
    cells: Cells
    data: Data = "standard"
    samples: Samples = "squared"
    minibatch: Minibatch = 16
    step_size: StepSize = "inv_lambda_max"
    stop: Stop | None = None
    checks: CheckOptions | None = None
    engine: Literal["auto", "grouped", "dense", "keras"] = "auto"
    device: Literal["auto", "cpu"] = "auto"
    rng: Literal["philox4x32", "philox", "legacy"] = "philox4x32"

    @model_validator(mode="after")
    def _consistent(self) -> CrossingSpec:
        check(self)
        return self

    def expand(self) -> Iterator[Cell]:
        """The cells."""
        for shape in self.shapes():
            yield from self.cells_of(shape)

    def shapes(self) -> Iterator[Shape]:
        """The kinds of cells: one, or those that are listed."""
        several = isinstance(self.cells, list)
        for k, lists in enumerate(self.cells if isinstance(self.cells, list) else [self.cells]):
            own = lists if isinstance(lists, CellShape) else CellShape(width=lists.width)
            stop = own.stop if own.stop is not None else self.stop
            if stop is None:
                place = f"cells[{k}].stop" if several else "stop"
                raise ValueError(f"{place}: is missing; add it")
            assert isinstance(stop, list)  # the short form was spelled out
            yield Shape(
                place=f"cells[{k}]" if several else "cells",
                lists=lists,
                criteria=criteria_of(stop),
                step_size=self.step_size if own.step_size is None else own.step_size,
            )

    def own_points(self) -> OwnPoints | None:
        """The points, unless they are the six."""
        if not isinstance(self.data, PointLists):
            return None
        return OwnPoints(tuple(map(float, self.data.x)), tuple(map(float, self.data.y)))

    def block_size_of(self, cell: Cell) -> int:
        """Networks per block of a cell."""
        if self.rng == "legacy":
            return legacy_block_size(cell.width)
        if self.block_size is not None:
            return self.block_size
        assert isinstance(cell, CrossingCell)
        return default_block_size(cell)

    def notes(self) -> Iterator[str]:
        """What to know before it runs: conditions of the theory that are not met, and the like."""
        cells = (cell for shape in self.shapes() for cell in self.cells_of(shape))
        yield from dict.fromkeys(note for cell in cells for note in notes_on(cell))

    def settings(self) -> dict[str, Any]:
        """What all cells share and an output cannot change, unless the cells say it clearer."""
        values = self.model_dump(mode="json")
        shared = ["experiment", "seed", "rng"]
        if not isinstance(self.cells, list):
            shared.append("step_size")
        return {key: values[key] for key in shared}

    def independent(self) -> dict[str, Any]:
        """Trained by Keras, in blocks of its own size."""
        return {"engine": KERAS, "block_size": None}

    @property
    def relative_width(self) -> float | None:
        """How narrow a cell's confidence sequence must be for it to end, if that is asked."""
        entries = self.stop if isinstance(self.stop, list) else []
        return next(filter(None, (width_of(entry) for entry in entries)), None)

    def cells_of(self, shape: Shape) -> Iterator[CrossingCell]:
        """The cells of one kind."""
        lists, points = shape.lists, self.own_points()
        step = shape.step_size.over_width if isinstance(shape.step_size, OverWidth) else None
        order = product(
            lists.init, lists.optimizer, lists.leaky_slope, lists.input_scale, lists.output_scale,
            lists.offset, lists.width,
        )  # fmt: skip
        for init, optimizer, leaky_slope, input_scale, output_scale, offset, width in order:
            engine = default_engine(optimizer) if self.engine == "auto" else self.engine
            yield CrossingCell(
                width=width,
                engine=engine,
                semantics=KERAS_SEMANTICS if engine == KERAS else ENGINES[engine].semantics,
                offset=float(offset),
                optimizer=optimizer,
                init=init,
                step_rule=StepRule(step),
                criteria=shape.criteria,
                checks=self.checks_of(init, shape.criteria),
                leaky_slope=leaky_slope + 0.0,  # -0.0 is 0
                points=points,
                samples=sample_rule(self.samples),
                minibatch=self.minibatch,
                scales=Scales(float(input_scale), float(output_scale)),
            )

    def checks_of(self, init: str, criteria: tuple[Criterion, ...]) -> Checks:
        """When cells of an initialisation are checked: as asked for, else as is its default."""
        asked, default = self.checks or CheckOptions(), DEFAULT_CHECKS[init]
        interval = default.interval if asked.interval is None else asked.interval
        maximum = default.maximum if asked.maximum is None else asked.maximum
        early: Sequence[int] = ()
        if asked.early is not None:
            early = asked.early
        elif self.rng != "legacy" and Sufficient(Form.MODEWISE) in criteria:
            early = [step for step in EARLY if step < interval]
        return Checks(interval, maximum, tuple(early))


SPEC = CrossingSpec
