"""The sweep spec: what a user may write, and nothing else.

Types are strict: text is never taken for a number, and a number never for a list. Every key that
is not named here is refused. :mod:`mcrelu.sweep.problems` turns what pydantic finds into one line.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from mcrelu.engines import ENGINES
from mcrelu.rng import LEGACY_NETWORKS, LEGACY_WIDTHS, legacy_block_size
from mcrelu.stopping import Criterion, Crossing, EarlyStopping, Sufficient
from mcrelu.theory.criterion import Form

MAX_WIDTH = 2**24  # N = n^2 must stay exact in float64

# Tags in angle brackets tell the forms of a value apart; problems.py hides them from users.
NAME, MAPPING, LIST = "<name>", "<mapping>", "<list>"


def _form_of(value: Any) -> str:
    return MAPPING if isinstance(value, dict | BaseModel) else NAME


def _list_or_mapping(value: Any) -> str:
    return MAPPING if isinstance(value, dict | BaseModel) else LIST


T = TypeVar("T")


def _distinct(values: list[T]) -> list[T]:
    for k, value in enumerate(values):
        if value in values[:k]:
            raise ValueError(f"{value!r} is listed twice; list every value once")
    return values


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


# YAML knows a -0.0; adding zero makes it the same cell as 0.
Offset = Annotated[float, AfterValidator(lambda offset: offset + 0.0)]


class CellLists(_Model):
    """The cells are the product of these lists."""

    width: Annotated[
        list[Annotated[int, Field(ge=1, le=MAX_WIDTH)]],
        Field(min_length=1),
        AfterValidator(_distinct),
    ]
    offset: Annotated[list[Offset], Field(min_length=1), AfterValidator(_distinct)] = [0.0]
    optimizer: Annotated[
        list[Literal["gd", "sgd", "adam"]], Field(min_length=1), AfterValidator(_distinct)
    ] = ["gd"]
    init: Annotated[
        list[Literal["he", "swapped"]], Field(min_length=1), AfterValidator(_distinct)
    ] = ["he"]
    leaky_slope: Annotated[
        list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=1), AfterValidator(_distinct)
    ] = [0.0]


class OverWidth(_Model):
    """Step size ``over_width`` / n."""

    over_width: Annotated[float, Field(gt=0)]


class EarlyStoppingOptions(_Model):
    """Checks to wait for a validation loss that is better by more than ``min_delta``."""

    patience: Annotated[int, Field(ge=1)] = 10
    min_delta: Annotated[float, Field(ge=0)] = 1e-8


class SufficientOptions(_Model):
    """Which form of the sufficient criterion to use."""

    form: Literal["sharp", "published"] = "sharp"


class StopOptions(_Model):
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


class CheckOptions(_Model):
    """When networks are checked for a reason to stop."""

    interval: Annotated[int, Field(ge=1, le=10**5)]
    maximum: Annotated[int, Field(ge=1)]


class Spec(_Model):
    """A sweep as it is written in YAML."""

    version: Literal[1]
    experiment: Literal["crossing"]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    networks: Annotated[int, Field(ge=1)]
    cells: CellLists
    step_size: StepSize = "inv_lambda_max"
    stop: Stop
    checks: CheckOptions | None = None
    engine: Literal["auto", "grouped", "dense"] = "auto"
    device: Literal["auto", "cpu"] = "auto"
    rng: Literal["philox", "legacy"] = "philox"
    block_size: Annotated[int, Field(ge=1, le=2**16)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        self._check_criteria()
        self._check_steps()
        self._check_engine()
        if self.rng == "legacy":
            self._check_legacy()
        return self

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
