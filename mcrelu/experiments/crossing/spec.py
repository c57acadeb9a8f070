"""The spec of a crossing sweep: what a user may write, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from mcrelu.engines.one_d.registry import ENGINES, default_engine
from mcrelu.experiments.crossing.cell import CrossingCell, StepRule
from mcrelu.experiments.crossing.stopping import Criterion, Crossing, EarlyStopping, Sufficient
from mcrelu.experiments.crossing.train import Checks
from mcrelu.rng import LEGACY_NETWORKS, LEGACY_WIDTHS, legacy_block_size
from mcrelu.sweep.cell import Cell
from mcrelu.sweep.spec import CommonSpec, Model, Values
from mcrelu.theory.criterion import Form

MAX_WIDTH = 2**24  # N = n^2 must stay exact in float64
FAR = 10**6  # targets and step sizes beyond it only make networks overflow

# Tags in angle brackets tell the forms of a value apart; problems.py hides them from users.
NAME, MAPPING, LIST = "<name>", "<mapping>", "<list>"


def _form_of(value: Any) -> str:
    return MAPPING if isinstance(value, dict | BaseModel) else NAME


def _list_or_mapping(value: Any) -> str:
    return MAPPING if isinstance(value, dict | BaseModel) else LIST


# YAML knows a -0.0; adding zero makes it the same cell as 0.
Offset = Annotated[float, Field(ge=-FAR, le=FAR), AfterValidator(lambda offset: offset + 0.0)]


class CellLists(Model):
    """The cells are the product of these lists."""

    width: Values[Annotated[int, Field(ge=1, le=MAX_WIDTH)]]
    offset: Values[Offset] = [0.0]
    optimizer: Values[Literal["gd", "sgd", "adam"]] = ["gd"]
    init: Values[Literal["he", "swapped"]] = ["he"]
    leaky_slope: Values[Annotated[float, Field(ge=0, lt=1)]] = [0.0]


class OverWidth(Model):
    """Step size ``over_width`` / n."""

    over_width: Annotated[float, Field(gt=0, le=FAR)]


class EarlyStoppingOptions(Model):
    """Checks to wait for a validation loss that is better by more than ``min_delta``."""

    patience: Annotated[int, Field(ge=1)] = 10
    min_delta: Annotated[float, Field(ge=0)] = 1e-8


class SufficientOptions(Model):
    """Which form of the sufficient criterion to use."""

    form: Literal["modewise", "sharp", "published"] = "modewise"


class StopOptions(Model):
    """A criterion with options, or the precision at which a cell ends: exactly one of the keys."""

    early_stopping: EarlyStoppingOptions | None = None
    sufficient: SufficientOptions | None = None
    relative_width: Annotated[float, Field(gt=0, le=2)] | None = None

    @field_validator("early_stopping", "sufficient", mode="before")
    @classmethod
    def _no_options(cls, options: Any) -> Any:
        return {} if options is None else options  # "early_stopping:" with nothing behind it

    @field_validator("relative_width", mode="before")
    @classmethod
    def _some_width(cls, width: Any) -> Any:
        if width is None:
            raise ValueError("give a number, as in {relative_width: 0.1}")
        return width

    @model_validator(mode="after")
    def _one_criterion(self) -> StopOptions:
        if len(self.model_fields_set) != 1:
            raise ValueError("an entry has one criterion; write one list entry per criterion")
        return self


StopEntry = Annotated[
    Annotated[Literal["crossing", "early_stopping", "sufficient"], Tag(NAME)]
    | Annotated[StopOptions, Tag(MAPPING)],
    Discriminator(_form_of),
]


def _spelled_out(stop: list[str | StopOptions] | StopOptions) -> list[str | StopOptions]:
    """The list that the short form ``stop: {relative_width: 0.1}`` stands for."""
    if isinstance(stop, list):
        return stop
    if stop.relative_width is None:
        raise ValueError("only relative_width may stand without a list; write a list of criteria")
    return ["crossing", "sufficient", stop]


Stop = Annotated[
    Annotated[list[StopEntry], Field(min_length=1), Tag(LIST)]
    | Annotated[StopOptions, Tag(MAPPING)],
    Discriminator(_list_or_mapping),
    AfterValidator(_spelled_out),
]

StepSize = Annotated[
    Annotated[Literal["inv_lambda_max"], Tag(NAME)] | Annotated[OverWidth, Tag(MAPPING)],
    Discriminator(_form_of),
]


class CheckOptions(Model):
    """When networks are checked for a reason to stop."""

    interval: Annotated[int, Field(ge=1, le=10**5)]
    maximum: Annotated[int, Field(ge=1)]
    early: list[Annotated[int, Field(ge=0)]] | None = None

    @model_validator(mode="after")
    def _ascending(self) -> CheckOptions:
        early = self.early or []
        if sorted(set(early)) != early:
            raise ValueError(f"early = {early}: list steps in ascending order, each once")
        if early and early[-1] >= self.interval:
            raise ValueError(
                f"early = {early}: the first check of all criteria is at step {self.interval}; "
                "list steps before it"
            )
        return self


# docs/method.md 1: with swapped variances kinks move fast, so the original looked more often.
DEFAULT_CHECKS = {"he": Checks(1000, 1000), "swapped": Checks(100, 10_000)}
# Of the networks that never cross, the modewise form certifies most at the first of these steps.
EARLY = (0, 1, 10, 100, 300)

# A block should take seconds, fill lanes well while its last networks run, and fit in memory.
MOST_NETWORKS_PER_BLOCK = 1000
FEWEST_NETWORKS_PER_BLOCK = 32
MOST_NEURONS_PER_BLOCK = 2**22
# With the modewise form most networks take little more than their draws. Neurons of those that
# cross are kept, so there may be many neurons only where few networks cross.
MOST_NETWORKS_PER_MODEWISE_BLOCK = 10_000
MOST_NEURONS_IF_FEW_CROSS = 2**30


def default_block_size(cell: CrossingCell) -> int:
    """Networks per block where the spec does not say it."""
    networks, neurons = MOST_NETWORKS_PER_BLOCK, MOST_NEURONS_PER_BLOCK
    if cell.engine == "grouped" and Sufficient(Form.MODEWISE) in cell.criteria:
        networks = MOST_NETWORKS_PER_MODEWISE_BLOCK
        neurons = MOST_NEURONS_IF_FEW_CROSS if cell.rarely_crosses else neurons
    return max(FEWEST_NETWORKS_PER_BLOCK, min(networks, neurons // cell.width))


class CrossingSpec(CommonSpec):
    """A crossing sweep as it is written in YAML."""

    experiment: Literal["crossing"]
    cells: CellLists
    step_size: StepSize = "inv_lambda_max"
    stop: Stop
    checks: CheckOptions | None = None
    engine: Literal["auto", "grouped", "dense"] = "auto"
    device: Literal["auto", "cpu"] = "auto"
    rng: Literal["philox4x32", "philox", "legacy"] = "philox4x32"

    @model_validator(mode="after")
    def _consistent(self) -> CrossingSpec:
        self._check_criteria()
        self._check_steps()
        self._check_engine()
        if self.rng == "legacy":
            self._check_legacy()
        return self

    def expand(self) -> Iterator[Cell]:
        """The cells."""
        lists = self.cells
        over_width = self.step_size.over_width if isinstance(self.step_size, OverWidth) else None
        order = product(lists.init, lists.optimizer, lists.leaky_slope, lists.offset, lists.width)
        for init, optimizer, leaky_slope, offset, width in order:
            engine = default_engine(optimizer) if self.engine == "auto" else self.engine
            yield CrossingCell(
                width=width,
                engine=engine,
                semantics=ENGINES[engine].semantics,
                offset=float(offset),
                optimizer=optimizer,
                init=init,
                step_rule=StepRule(over_width),
                criteria=self.criteria(),
                checks=self._checks_of(init),
                leaky_slope=leaky_slope + 0.0,  # -0.0 is 0
            )

    def _checks_of(self, init: str) -> Checks:
        asked, default = self.checks, DEFAULT_CHECKS[init]
        interval = asked.interval if asked else default.interval
        early: Sequence[int] = ()
        if asked and asked.early is not None:
            early = asked.early
        elif self.rng != "legacy" and Sufficient(Form.MODEWISE) in self.criteria():
            early = [step for step in EARLY if step < interval]
        return Checks(interval, asked.maximum if asked else default.maximum, tuple(early))

    def block_size_of(self, cell: Cell) -> int:
        """Networks per block of a cell."""
        if self.rng == "legacy":
            return legacy_block_size(cell.width)
        if self.block_size is not None:
            return self.block_size
        assert isinstance(cell, CrossingCell)
        return default_block_size(cell)

    def settings(self) -> dict[str, Any]:
        """What all cells share and an output cannot change, unless the cells say it clearer."""
        values = self.model_dump(mode="json")
        return {key: values[key] for key in ("experiment", "seed", "rng", "step_size")}

    def criteria(self) -> tuple[Criterion, ...]:
        """The stopping criteria in the order in which they are asked (docs/method.md 1)."""
        built = [_criterion(entry) for entry in self._entries() if _width(entry) is None]
        return tuple(sorted(built, key=lambda criterion: _ORDER.index(type(criterion))))

    @property
    def relative_width(self) -> float | None:
        """How narrow a cell's confidence sequence must be for it to end, if that is asked."""
        return next(filter(None, map(_width, self._entries())), None)

    def _entries(self) -> list[str | StopOptions]:
        assert isinstance(self.stop, list)  # _spelled_out saw to it
        return list(self.stop)

    def _check_criteria(self) -> None:
        if sum(_width(entry) is not None for entry in self._entries()) > 1:
            raise ValueError("stop: relative_width is listed twice; list it once")
        kinds = [type(criterion) for criterion in self.criteria()]
        if len(set(kinds)) < len(kinds):
            raise ValueError("stop: a criterion is listed twice; list every criterion once")
        if Crossing not in kinds:
            raise ValueError("stop: 'crossing' is missing; add it, crossings are what is counted")
        if Sufficient(Form.PUBLISHED) in self.criteria() and isinstance(self.step_size, OverWidth):
            raise ValueError(
                "stop: 'sufficient' in the form 'published' proves nothing for steps above "
                "1/lambda_max, which step_size.over_width may make; use the form modewise"
            )
        for optimizer in self.cells.optimizer:
            if Sufficient in kinds and optimizer not in Sufficient.optimizers:
                raise ValueError(
                    f"stop: 'sufficient' with cells.optimizer = {optimizer!r}: the proof holds "
                    "for gd only; use early_stopping, or optimizer [gd]"
                )

    def _check_steps(self) -> None:
        if self.checks and self.checks.interval * self.checks.maximum >= 2**32:
            raise ValueError(
                f"checks.maximum = {self.checks.maximum}: with interval {self.checks.interval} "
                "makes 2^32 steps or more; lower it"
            )

    def _check_engine(self) -> None:
        for optimizer in self.cells.optimizer:
            if self.engine != "auto" and optimizer not in ENGINES[self.engine].optimizers:
                raise ValueError(
                    f"engine = {self.engine!r}: cannot train with {optimizer!r}; use auto"
                )

    def _check_legacy(self) -> None:
        if self.checks and self.checks.early:
            raise ValueError(
                f"checks.early = {self.checks.early}: rng 'legacy' has the original's checks; "
                "leave early out"
            )
        if self.block_size is not None:
            raise ValueError(
                f"block_size = {self.block_size}: rng 'legacy' has the original's batches; "
                "leave block_size out"
            )
        for width in self.cells.width:
            if width not in LEGACY_WIDTHS:
                raise ValueError(
                    f"cells.width = {width}: the original's streams exist for "
                    f"{', '.join(map(str, LEGACY_WIDTHS))}; use one of them, or rng philox"
                )
            size = legacy_block_size(width)
            whole = self.networks % size == 0 and self.networks <= LEGACY_NETWORKS
            if not whole and self.networks != LEGACY_NETWORKS:
                raise ValueError(
                    f"networks = {self.networks}: rng 'legacy' draws whole batches of {size} at "
                    f"width {width}; use a multiple of {size} up to, or exactly, {LEGACY_NETWORKS}"
                )


_ORDER: tuple[type[Criterion], ...] = (Crossing, EarlyStopping, Sufficient)


def _width(entry: str | StopOptions) -> float | None:
    return entry.relative_width if isinstance(entry, StopOptions) else None


def _criterion(entry: str | StopOptions) -> Criterion:
    if entry == "crossing":
        return Crossing()
    if isinstance(entry, str):
        return EarlyStopping() if entry == "early_stopping" else Sufficient()
    if "early_stopping" in entry.model_fields_set:
        waiting = entry.early_stopping or EarlyStoppingOptions()
        return EarlyStopping(waiting.patience, waiting.min_delta)
    return Sufficient(Form((entry.sufficient or SufficientOptions()).form))


SPEC = CrossingSpec
