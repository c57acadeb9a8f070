"""What all specs have in common.

Types are strict: text is never taken for a number, and a number never for a list. Every key that
is not named is refused. :mod:`mcrelu.sweep.messages` turns what pydantic finds into one line.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from mcrelu.errors import UserError
from mcrelu.sweep.cell import Cell
from mcrelu.sweep.messages import shortened

T = TypeVar("T")

FOLDER = "folder"  # of the validation context: what the paths in a spec are relative to


MAX_CELLS = 50_000  # of a sweep: they are kept in memory, a few kilobytes each
MAX_VALUES = 10_000  # of one parameter


def _distinct(values: list[T]) -> list[T]:
    for k, value in enumerate(values):
        if value in values[:k]:
            raise ValueError(f"{shortened(value)} is listed twice; list every value once")
    return values


class Model(BaseModel):
    """A mapping of a spec."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


# The values of one parameter; the cells of a sweep are the product of such lists.
Values = Annotated[list[T], Field(min_length=1, max_length=MAX_VALUES), AfterValidator(_distinct)]


class Lists(Model):
    """Lists whose product are cells."""

    not_multiplied: ClassVar[tuple[str, ...]] = ()  # lists that say something else

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        refuse_too_many(self.combinations)
        return self

    @property
    def combinations(self) -> int:
        """How many cells the product has."""
        lists = (value for name, value in self if name not in self.not_multiplied)
        return prod(len(values) for values in lists if isinstance(values, list))


def refuse_too_many(cells: int) -> None:
    """Raise ValueError if a sweep has more than MAX_CELLS cells, before they are built."""
    if cells > MAX_CELLS:
        raise ValueError(
            f"cells: the lists make {cells} cells, more than the {MAX_CELLS} that a sweep may "
            "have; shorten lists, or make several sweeps"
        )


def _whole(version: object) -> object:
    if type(version) is not int:  # 1.0 and true equal 1
        raise ValueError("must be 1")
    return version


class CommonSpec(Model, ABC):
    """The keys that every experiment has, and what the machinery asks of a spec."""

    version: Annotated[Literal[1], BeforeValidator(_whole)]
    experiment: str
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    networks: Annotated[int, Field(ge=1, lt=2**63)]
    device: str = "auto"
    rng: str = "philox"
    block_size: Annotated[int, Field(ge=1, le=2**16)] | None = None

    @abstractmethod
    def expand(self) -> Iterator[Cell]:
        """The cells."""

    def later_cells(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Cell]:
        """What the rows of finished cells ask for: those of a search's next stage, and the like.

        ``rows`` are those of the cell table. Cells that are there already may be among the answer.
        """
        yield from ()

    def recalled_cells(self, remembered: Iterable[Mapping[str, Any]]) -> Iterator[Cell]:
        """Cells that :meth:`later_cells` asked for once, from the parameters of an output's cells.

        Others of the output may be among the answer.
        """
        yield from ()

    @property
    def later_share(self) -> float:
        """How many cells :meth:`later_cells` will ask for, per cell of the spec."""
        return 0.0

    @abstractmethod
    def block_size_of(self, cell: Cell) -> int:
        """Networks per block of a cell."""

    def notes(self) -> Iterator[str]:
        """What a user should know of the sweep before it runs, a sentence each."""
        yield from ()

    def independent(self) -> dict[str, Any]:
        """The keys to change so that an independent program trains the same kind of networks.

        Raises
        ------
        UserError
            If there is no such program.
        """
        raise UserError(f"experiment {self.experiment!r}: no independent program does it")

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What all cells share and an output cannot change, unless the cells say it clearer."""

    @property
    def relative_width(self) -> float | None:
        """How narrow a cell's confidence sequence must be for it to end, if that is asked."""
        return None
