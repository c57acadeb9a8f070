"""Entries of ``cells.data`` with points of the user's own: written out, or columns of a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)

from mcrelu.data import KNOWN, OwnPoints, is_point_set
from mcrelu.sweep.point_files import read_columns
from mcrelu.sweep.spec import FOLDER, Model
from mcrelu.theory.rays import FREE_POINTS, rays

MOST_POINTS = 1000  # a step evaluates every network at all of them, and kernels are D x D
MOST_INPUTS = 100
FAR = 10**6
Coordinate = Annotated[float, Field(ge=-FAR, le=FAR)]


class PointRows(Model):
    """Points x (D, d) and targets y (D,) written out."""

    x: Annotated[list[list[Coordinate]], Field(min_length=1, max_length=MOST_POINTS)]
    y: Annotated[list[Coordinate], Field(min_length=1, max_length=MOST_POINTS)]

    @model_validator(mode="after")
    def _points(self) -> PointRows:
        _check(self.x, self.y)
        return self

    @property
    def points(self) -> OwnPoints:
        """As cells hold them."""
        return OwnPoints(tuple(tuple(map(float, row)) for row in self.x), tuple(map(float, self.y)))


class PointColumns(Model):
    """Columns of a CSV or Parquet file: some inputs and the target."""

    file: str
    inputs: Annotated[list[str], Field(min_length=1, max_length=MOST_INPUTS)]
    target: str = "y"


def _check(x: list[list[float]], y: list[float]) -> None:
    if len(x) != len(y):
        raise ValueError(f"has {len(x)} x and {len(y)} y; give as many of either")
    inputs = {len(row) for row in x}
    if len(inputs) > 1 or not 0 < min(inputs) <= MOST_INPUTS:
        raise ValueError(f"x has rows of {sorted(inputs)} numbers; give 1 to {MOST_INPUTS} in each")


_NAME, _ROWS, _FILE = "<name>", "<rows>", "<file>"


def _form_of(value: Any) -> str:
    if isinstance(value, dict):
        return _FILE if "file" in value else _ROWS
    return _ROWS if isinstance(value, BaseModel) else _NAME


def _known(value: Any) -> Any:
    if isinstance(value, str) and not is_point_set(value):
        raise ValueError(
            f"no such point set; use one of {KNOWN}, or {{file: points.csv, inputs: [a, b], "
            "target: y}"
        )
    return value


def _written_out(value: str | PointRows | PointColumns, info: ValidationInfo) -> str | PointRows:
    if not isinstance(value, PointColumns):
        return value
    folder = (info.context or {}).get(FOLDER, ".")
    *inputs, y = read_columns(value.file, [*value.inputs, value.target], folder, MOST_POINTS)
    if max(np.abs(column).max() for column in (*inputs, y)) > FAR:
        raise ValueError(f"{value.file}: has numbers beyond {FAR}; rescale the data")
    return PointRows.model_construct(x=np.stack(inputs, axis=1).tolist(), y=y.tolist())


Data = Annotated[
    Annotated[str, Tag(_NAME)]
    | Annotated[PointRows, Tag(_ROWS)]
    | Annotated[PointColumns, Tag(_FILE)],
    Discriminator(_form_of),
    BeforeValidator(_known),
    AfterValidator(_written_out),
]


def notes_on(points: OwnPoints) -> Iterator[str]:
    """What to know of points before networks are trained on them."""
    x, _ = points.with_offset(0.0)
    _, on_ray = np.unique(rays(x), return_counts=True)
    if on_ray.max() <= FREE_POINTS:
        yield (
            f"data of {points}: no three points lie on a ray from the origin, so functions that "
            "are affine on every ray fit them all: the threshold is 0, and no loss is below it"
        )
