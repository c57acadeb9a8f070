"""A sweep: a validated spec, its cells and its blocks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mcrelu.errors import SpecError
from mcrelu.sweep.cell import Block, Cell, blocks_of
from mcrelu.sweep.reading import apply_settings, parse_yaml, read_yaml
from mcrelu.sweep.spec import CommonSpec
from mcrelu.sweep.validation import validate

MAX_BLOCKS = 10**7


@dataclass(frozen=True)
class Sweep:
    """A validated sweep. Build it with :meth:`from_yaml`, :meth:`from_text` or :meth:`of`."""

    spec: CommonSpec
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
            spec = validate(values)
            sweep = cls(spec, tuple(spec.expand()))
            sweep._check_sizes()
        except SpecError as error:
            raise SpecError(f"{name}: {error}") from None
        return sweep

    @property
    def experiment(self) -> str:
        """What is done: ``crossing`` or ``star``."""
        return self.spec.experiment

    @property
    def device(self) -> str | None:
        """Where engines train that have a choice (auto, cpu, cuda); None if none has one."""
        chooses = any(cell.engine == "torch" for cell in self.cells)
        return self.spec.device if chooses else None

    def block_size(self, cell: Cell) -> int:
        """Networks per block of a cell."""
        return self.spec.block_size_of(cell)

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
        memory, cores = _this_machine()
        for cell in self.cells:
            networks = min(self.block_size(cell), self.spec.networks)
            at_once = min(cores, self.block_count(cell))  # a core does one block at a time
            need = cell.memory(networks)
            if need * at_once > memory:
                raise SpecError(
                    f"cells.width = {cell.width}: a block of {networks} networks needs "
                    f"{need / 2**30:.1f} GiB, this machine has {memory / 2**30:.1f} for the "
                    f"{at_once} that it does at once; lower block_size or the width"
                )


def _this_machine() -> tuple[int, int]:
    """Bytes of memory, and the cores that this process may use."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return memory, len(os.sched_getaffinity(0))
