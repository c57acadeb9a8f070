"""Cells and blocks: what a sweep consists of, and the identities that fix seeds and paths.

A cell is one parameter combination, one point of a figure. A block is a fixed run of networks of a
cell: the unit of randomness, of work, of retry and of one shard.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mcrelu.stopping import Criterion, Crossing, EarlyStopping, Sufficient
from mcrelu.train import Checks

CRITERIA: dict[str, type[Criterion]] = {
    "crossing": Crossing,
    "early_stopping": EarlyStopping,
    "sufficient": Sufficient,
}


@dataclass(frozen=True)
class StepRule:
    """Step size 1/lambda_max(A_ref M), or ``over_width``/n where that is given."""

    over_width: float | None = None

    def __str__(self) -> str:
        return "inv_lambda_max" if self.over_width is None else f"{self.over_width:g}/width"


@dataclass(frozen=True)
class Cell:
    """One parameter combination of a crossing sweep."""

    width: int
    offset: float
    optimizer: str
    init: str
    step_rule: StepRule
    criteria: tuple[Criterion, ...]
    checks: Checks
    engine: str
    semantics: int  # of the engine
    leaky_slope: float = 0.0

    def trained(self) -> dict[str, Any]:
        """What is trained, as opposed to how it is computed and when it stops.

        This alone fixes the random streams: the same networks are drawn whichever engine trains
        them and whichever criteria stop them.
        """
        values = {
            "experiment": "crossing",
            "width": self.width,
            "offset": float(self.offset),
            "optimizer": self.optimizer,
            "init": self.init,
            "step_size": self.step_rule.over_width,
        }
        if self.leaky_slope:  # not where it is 0: cells of ReLU networks keep their identities
            values["leaky_slope"] = self.leaky_slope
        return values

    def parameters(self) -> dict[str, Any]:
        """Everything that the rows of the cell depend on, except seed and block size."""
        return {
            **self.trained(),
            "stop": [describe(criterion) for criterion in self.criteria],
            "checks": [self.checks.interval, self.checks.maximum],
            "engine": self.engine,
            "semantics": self.semantics,
        }

    @property
    def stream(self) -> int:
        """The cell's part of the seed."""
        return int(_digest(self.trained()), 16)

    @property
    def id(self) -> str:
        """Name of the cell's folder: a hash of its parameters, never of source code."""
        return _digest(self.parameters())

    @property
    def label(self) -> str:
        """A few words that tell the cell from the others of a sweep."""
        leak = f" leaky_slope={self.leaky_slope:g}" if self.leaky_slope else ""
        return f"{self.optimizer} n={self.width} offset={self.offset:g} {self.init}{leak}"


@dataclass(frozen=True)
class Block:
    """Networks ``first`` .. ``first + networks - 1`` of a cell."""

    cell: Cell
    index: int
    first: int
    networks: int


def blocks_of(cell: Cell, networks: int, block_size: int) -> Iterator[Block]:
    """Cut a cell of ``networks`` networks into blocks; only the last may be shorter."""
    for index, first in enumerate(range(0, networks, block_size)):
        yield Block(cell, index, first, min(block_size, networks - first))


def describe(criterion: Criterion) -> dict[str, Any]:
    """A criterion as it stands in a spec: its name and its options."""
    name = next(name for name, kind in CRITERIA.items() if isinstance(criterion, kind))
    return {name: dict(vars(criterion))}


def _digest(value: dict[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
