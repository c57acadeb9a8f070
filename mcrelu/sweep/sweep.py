"""A sweep: a validated spec, its cells and its blocks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mcrelu.engines import ENGINES, default_engine
from mcrelu.errors import SpecError
from mcrelu.rng import legacy_block_size
from mcrelu.sweep.cell import Block, Cell, StepRule, blocks_of
from mcrelu.sweep.problems import explain
from mcrelu.sweep.reading import apply_settings, parse_yaml, read_yaml
from mcrelu.sweep.spec import OverWidth, Spec
from mcrelu.train import Checks

# docs/method.md 1: with swapped variances kinks move fast, so the original looked more often.
DEFAULT_CHECKS = {"he": Checks(1000, 1000), "swapped": Checks(100, 10_000)}
MAX_BLOCKS = 10**7

# A block should take seconds, fill lanes well while its last networks run, and fit in memory.
MOST_NETWORKS_PER_BLOCK = 1000
FEWEST_NETWORKS_PER_BLOCK = 32
MOST_NEURONS_PER_BLOCK = 2**22


@dataclass(frozen=True)
class Sweep:
    """A validated sweep. Build it with :meth:`from_yaml`, :meth:`from_text` or :meth:`of`."""

    spec: Spec
    cells: tuple[Cell, ...]

    @classmethod
    def from_yaml(cls, path: str | Path, settings: Iterable[str] = ()) -> Sweep:
        """Read a spec file, with ``key=value`` settings on top.

        Raises
        ------
        SpecError
            In one line: what is wrong with the file or a field of it, and what would be right.
        """
        return cls.of(apply_settings(read_yaml(Path(path)), settings), str(path))

    @classmethod
    def from_text(cls, text: str, name: str = "spec") -> Sweep:
        """Read a spec from YAML text."""
        return cls.of(parse_yaml(text, name), name)

    @classmethod
    def of(cls, values: dict[str, Any], name: str = "spec") -> Sweep:
        """Validate plain values, as YAML would give them."""
        try:
            spec = Spec.model_validate(values)
        except ValidationError as error:
            raise SpecError(f"{name}: {explain(error, Spec)}") from None
        sweep = cls(spec, tuple(_cells(spec)))
        try:
            sweep._check_sizes()
        except SpecError as error:
            raise SpecError(f"{name}: {error}") from None
        return sweep

    def block_size(self, cell: Cell) -> int:
        """Networks per block of a cell."""
        if self.spec.rng == "legacy":
            return legacy_block_size(cell.width)
        return self.spec.block_size or default_block_size(cell.width)

    def blocks(self, cell: Cell) -> Iterator[Block]:
        """The blocks of a cell, in index order."""
        return blocks_of(cell, self.spec.networks, self.block_size(cell))

    def block(self, cell: Cell, index: int) -> Block:
        """A block of a cell by its index."""
        size = self.block_size(cell)
        return Block(cell, index, index * size, min(size, self.spec.networks - index * size))

    def block_count(self, cell: Cell) -> int:
        """How many blocks a cell has at most."""
        return -(-self.spec.networks // self.block_size(cell))

    def all_blocks(self) -> Iterator[Block]:
        """The blocks of all cells, cell by cell."""
        for cell in self.cells:
            yield from self.blocks(cell)

    def to_yaml(self) -> str:
        """The spec with its defaults spelled out; reading it gives the same sweep."""
        spec = self.spec.model_dump(mode="json", exclude_none=True)
        return yaml.safe_dump(spec, sort_keys=False, default_flow_style=None)

    def _check_sizes(self) -> None:
        blocks = sum(self.block_count(cell) for cell in self.cells)
        if blocks > MAX_BLOCKS:
            raise SpecError(
                f"networks = {self.spec.networks}: makes {blocks} blocks, more than {MAX_BLOCKS}; "
                "ask for fewer networks or raise block_size"
            )
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        for cell in self.cells:
            networks = min(self.block_size(cell), self.spec.networks)
            need = ENGINES[cell.engine].memory(networks, cell.width, cell.optimizer)
            if need > memory:
                raise SpecError(
                    f"cells.width = {cell.width}: a block of {networks} networks needs "
                    f"{need / 2**30:.1f} GiB, this machine has {memory / 2**30:.1f}; "
                    "lower block_size or the width"
                )


def default_block_size(width: int) -> int:
    """Networks per block where the spec does not say it; a function of the width alone."""
    size = min(MOST_NETWORKS_PER_BLOCK, MOST_NEURONS_PER_BLOCK // width)
    return max(FEWEST_NETWORKS_PER_BLOCK, size)


def _cells(spec: Spec) -> Iterator[Cell]:
    lists = spec.cells
    rule = StepRule(spec.step_size.over_width if isinstance(spec.step_size, OverWidth) else None)
    checks = spec.checks and Checks(spec.checks.interval, spec.checks.maximum)
    order = product(lists.init, lists.optimizer, lists.leaky_slope, lists.offset, lists.width)
    for init, optimizer, leaky_slope, offset, width in order:
        engine = default_engine(optimizer) if spec.engine == "auto" else spec.engine
        yield Cell(
            width=width,
            offset=float(offset),
            optimizer=optimizer,
            init=init,
            step_rule=rule,
            criteria=spec.criteria(),
            checks=checks or DEFAULT_CHECKS[init],
            engine=engine,
            semantics=ENGINES[engine].semantics,
            leaky_slope=leaky_slope + 0.0,  # -0.0 is 0
        )
