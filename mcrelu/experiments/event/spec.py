"""The spec of an event sweep: what a user may write, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field

from mcrelu.experiments.event.cell import ENGINE, SEMANTICS, EventCell
from mcrelu.sweep.cell import Cell
from mcrelu.sweep.spec import CommonSpec, Lists, Values

MAX_WIDTH = 2**24

# A block should take a second or so.
MOST_NETWORKS_PER_BLOCK = 10_000
FEWEST_NETWORKS_PER_BLOCK = 16
MOST_NEURONS_PER_BLOCK = 2**27


class EventLists(Lists):
    """The cells are the product of these lists."""

    width: Values[Annotated[int, Field(ge=1, le=MAX_WIDTH)]]
    rhs_factor: Values[Annotated[float, Field(gt=0, le=1e6)]] = [1.0, 10.0]


class EventSpec(CommonSpec):
    """An event sweep as it is written in YAML."""

    experiment: Literal["event"]
    cells: EventLists
    device: Literal["auto", "cpu"] = "auto"
    rng: Literal["philox4x32", "philox"] = "philox4x32"

    def expand(self) -> Iterator[Cell]:
        """The cells."""
        for rhs_factor, width in product(self.cells.rhs_factor, self.cells.width):
            yield EventCell(width, ENGINE, SEMANTICS, float(rhs_factor))

    def block_size_of(self, cell: Cell) -> int:
        """Networks per block of a cell."""
        fitting = min(MOST_NETWORKS_PER_BLOCK, MOST_NEURONS_PER_BLOCK // cell.width)
        return self.block_size or max(FEWEST_NETWORKS_PER_BLOCK, fitting)

    def settings(self) -> dict[str, Any]:
        """What all cells share and an output cannot change."""
        values = self.model_dump(mode="json")
        return {key: values[key] for key in ("experiment", "seed", "rng")}


SPEC = EventSpec
