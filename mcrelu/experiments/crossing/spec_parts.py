"""The parts of a crossing spec: the keys below its top level and the forms that values have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mcrelu.data import SQUARED, SampleRule
from mcrelu.experiments.crossing.stopping import Criterion, Crossing, EarlyStopping, Sufficient
from mcrelu.sweep.point_files import MOST_POINTS, read_columns
from mcrelu.sweep.spec import FOLDER, Lists, Model, Values
from mcrelu.theory.criterion import Form

MAX_WIDTH = 2**24  # N = n^2 must stay exact in float64
FAR = 10**6  # targets and step sizes beyond it only make networks overflow

# Tags in angle brackets tell the forms of a value apart; messages.py hides them from users.
NAME, MAPPING, LIST = "<name>", "<mapping>", "<list>"


def _form_of(value: Any) -> str:
    return MAPPING if isinstance(value, dict | BaseModel) else NAME


def _list_or_mapping(value: Any) -> str:
    return MAPPING if isinstance(value, dict | BaseModel) else LIST


# YAML knows a -0.0; adding zero makes it the same cell as 0.
Offset = Annotated[float, Field(ge=-FAR, le=FAR), AfterValidator(lambda offset: offset + 0.0)]


Scale = Annotated[float, Field(gt=0, le=FAR)]


class CellLists(Lists):
    """The cells are the product of these lists."""

    width: Values[Annotated[int, Field(ge=1, le=MAX_WIDTH)]]
    offset: Values[Offset] = [0.0]
    optimizer: Values[Literal["gd", "sgd", "adam"]] = ["gd"]
    init: Values[Literal["he", "swapped"]] = ["he"]
    leaky_slope: Values[Annotated[float, Field(ge=0, lt=1)]] = [0.0]
    input_scale: Values[Scale] = [1.0]  # factors of the standard deviations of a and of w
    output_scale: Values[Scale] = [1.0]


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


StopEntries = Sequence[str | StopOptions]


def _spelled_out(stop: list[str | StopOptions] | StopOptions) -> list[str | StopOptions]:
    """The list that the short form ``stop: {relative_width: 0.1}`` stands for."""
    if isinstance(stop, list):
        if sum(width_of(entry) is not None for entry in stop) > 1:
            raise ValueError("relative_width is listed twice; list it once")
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


def width_of(entry: str | StopOptions) -> float | None:
    """The relative width that an entry of a stop list asks for."""
    return entry.relative_width if isinstance(entry, StopOptions) else None


_ORDER: tuple[type[Criterion], ...] = (Crossing, EarlyStopping, Sufficient)


def criteria_of(stop: StopEntries) -> tuple[Criterion, ...]:
    """The stopping criteria in the order in which they are asked (docs/method.md 1)."""
    built = [_criterion(entry) for entry in stop if width_of(entry) is None]
    return tuple(sorted(built, key=lambda criterion: _ORDER.index(type(criterion))))


def _criterion(entry: str | StopOptions) -> Criterion:
    if entry == "crossing":
        return Crossing()
    if isinstance(entry, str):
        return EarlyStopping() if entry == "early_stopping" else Sufficient()
    if "early_stopping" in entry.model_fields_set:
        waiting = entry.early_stopping or EarlyStoppingOptions()
        return EarlyStopping(waiting.patience, waiting.min_delta)
    return Sufficient(Form((entry.sufficient or SufficientOptions()).form))


StepSize = Annotated[
    Annotated[Literal["inv_lambda_max"], Tag(NAME)] | Annotated[OverWidth, Tag(MAPPING)],
    Discriminator(_form_of),
]


class CheckOptions(Model):
    """When networks are checked for a reason to stop; what is left out depends on the cell."""

    interval: Annotated[int, Field(ge=1, le=10**5)] | None = None
    maximum: Annotated[int, Field(ge=1)] | None = None
    early: list[Annotated[int, Field(ge=0)]] | None = None

    @model_validator(mode="after")
    def _ascending(self) -> CheckOptions:
        early = self.early or []
        if sorted(set(early)) != early:
            raise ValueError(f"early = {early}: list steps in ascending order, each once")
        return self


Coordinate = Annotated[float, Field(ge=-FAR, le=FAR)]
NEAREST = 1e-6  # to zero that a point may lie


class PointLists(Model):
    """Points written out."""

    x: Annotated[list[Coordinate], Field(min_length=1, max_length=MOST_POINTS)]
    y: Annotated[list[Coordinate], Field(min_length=1, max_length=MOST_POINTS)]

    @model_validator(mode="after")
    def _points(self) -> PointLists:
        check_points(self.x, self.y)
        return self


class PointColumns(Model):
    """Two columns of a CSV or Parquet file."""

    file: str
    x: str = "x"
    y: str = "y"


def check_points(x: list[float], y: list[float]) -> None:
    """Raise ValueError where points cannot be trained on."""
    if len(x) != len(y):
        raise ValueError(f"has {len(x)} x and {len(y)} y; give as many of either")
    for k, place in enumerate(x):
        if abs(place) < NEAREST:
            raise ValueError(
                f"x[{k}] = {place:g}: all kinks start at 0, so that point is crossed at once; "
                f"leave out points with |x| < {NEAREST:g}, or move all by a constant"
            )
    if max(map(abs, [*x, *y])) > FAR:
        raise ValueError(f"has numbers beyond {FAR}; rescale the data")


_LISTS, _FILE = "<lists>", "<file>"


def _data_form(value: Any) -> str:
    if isinstance(value, dict):
        return _FILE if "file" in value else _LISTS
    return _LISTS if isinstance(value, BaseModel) else NAME


def _known_data(value: Any) -> Any:
    if value != "standard" and not isinstance(value, dict | BaseModel):
        raise ValueError("must be 'standard', {x: [...], y: [...]} or {file: points.csv}")
    return value


def _written_out(data: str | PointLists | PointColumns, info: ValidationInfo) -> str | PointLists:
    """The points of a file in place of its name: what they are does not depend on where it lies."""
    if not isinstance(data, PointColumns):
        return data
    folder = (info.context or {}).get(FOLDER, ".")
    x, y = (column.tolist() for column in read_columns(data.file, [data.x, data.y], folder))
    check_points(x, y)
    return PointLists.model_construct(x=x, y=y)


Data = Annotated[
    Annotated[Literal["standard"], Tag(NAME)]
    | Annotated[PointLists, Tag(_LISTS)]
    | Annotated[PointColumns, Tag(_FILE)],
    Discriminator(_data_form),
    BeforeValidator(_known_data),
    AfterValidator(_written_out),
]


class PowerOfWidth(Model):
    """N = factor n^power."""

    factor: Annotated[float, Field(gt=0, le=FAR)] = 1.0
    power: Annotated[float, Field(ge=0, le=2)]


_COUNT = "<count>"


def _samples_form(value: Any) -> str:
    if isinstance(value, dict | BaseModel):
        return MAPPING
    return NAME if isinstance(value, str) else _COUNT


def _known_samples(value: Any) -> Any:
    if isinstance(value, str) and value not in ("squared", "each"):
        raise ValueError(
            "must be 'squared' (n^2), a number, {factor: 0.5, power: 1.5}, or 'each' (point once)"
        )
    return value


Samples = Annotated[
    Annotated[Literal["squared", "each"], Tag(NAME)]
    | Annotated[int, Field(ge=1, le=2**48), Tag(_COUNT)]
    | Annotated[PowerOfWidth, Tag(MAPPING)],
    Discriminator(_samples_form),
    BeforeValidator(_known_samples),
]


def sample_rule(samples: str | int | PowerOfWidth) -> SampleRule:
    """The rule that the key ``samples`` stands for."""
    if isinstance(samples, PowerOfWidth):
        return SampleRule(samples.factor, samples.power)
    if isinstance(samples, int):
        return SampleRule(float(samples), 0.0)
    return SampleRule(each=True) if samples == "each" else SQUARED


Minibatch = Annotated[int, Field(ge=1, le=255)]  # counts of points are bytes


class CellShape(CellLists):
    """One of several kinds of cells, with a way to stop and a step size of its own if given."""

    not_multiplied = ("stop",)

    stop: Stop | None = None
    step_size: StepSize | None = None

    @field_validator("stop")
    @classmethod
    def _no_width(cls, stop: StopEntries | None) -> StopEntries | None:
        if any(width_of(entry) is not None for entry in stop or []):
            raise ValueError("relative_width holds for all cells; give it in the key stop")
        return stop


def _cells_form(value: Any) -> str:
    return LIST if isinstance(value, list) else MAPPING


Cells = Annotated[
    Annotated[CellLists, Tag(MAPPING)] | Annotated[list[CellShape], Field(min_length=1), Tag(LIST)],
    Discriminator(_cells_form),
]
