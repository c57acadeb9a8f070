"""A sweep: a validated spec, its cells and its blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from mcrelu.errors import SpecError
from mcrelu.rng import stream_version
from mcrelu.sweep.cell import Block, Cell, Provenance
from mcrelu.sweep.reading import Settings, apply_settings, parse_yaml, read_yaml
from mcrelu.sweep.spec import MAX_CELLS, CommonSpec
from mcrelu.sweep.validation import validate

MAX_BLOCKS = 10**7


@dataclass(frozen=True)
class Sweep:
    """A validated sweep. Build it with :meth:`from_yaml`, :meth:`from_text` or :meth:`of`."""

    spec: CommonSpec
    cells: tuple[Cell, ...]

    @classmethod
    def from_yaml(cls, path: str | Path, settings: Settings = ()) -> Sweep:
        """Read the spec at a path or URI, with settings on top: ``key=value``, or a mapping.

        Raises
        ------
        SpecError
            In one line: what is wrong with the file or a field of it, and what would be right.
        """
        return cls.of(apply_settings(read_yaml(path), settings), str(path), _folder_of(str(path)))

    @classmethod
    def from_text(cls, text: str, name: str = "spec") -> Sweep:
        """Read a spec from YAML text."""
        return cls.of(parse_yaml(text, name), name)

    @classmethod
    def of(cls, values: Mapping[str, Any], name: str = "spec", folder: str | Path = ".") -> Sweep:
        """Validate plain values, as YAML would give them.

        Files that the spec names (data) are relative to ``folder``.
        """
        try:
            spec = validate(dict(values), folder)
            sweep = cls(spec, tuple(islice(spec.expand(), MAX_CELLS + 1)))
            sweep._check_sizes()
        except SpecError as error:
            raise SpecError(f"{name}: {error}") from None
        return sweep

    def with_cells(self, more: Iterable[Cell]) -> Sweep:
        """The sweep with those of ``more`` that it does not have yet; itself if it has all."""
        new = {cell.id: cell for cell in more}
        for cell in self.cells:
            new.pop(cell.id, None)
        return replace(self, cells=(*self.cells, *new.values())) if new else self

    @property
    def experiment(self) -> str:
        """The name of the experiment."""
        return self.spec.experiment

    @property
    def device(self) -> str | None:
        """Where engines train that have a choice (auto, cpu, cuda); None if none has one."""
        return self.spec.device if any(cell.owns_device for cell in self.cells) else None

    def block_size(self, cell: Cell) -> int:
        """Networks per block of a cell."""
        return self.spec.block_size_of(cell)

    def provenance(self, cell: Cell) -> Provenance:
        """What fixes the streams of a cell's blocks."""
        spec = self.spec
        return Provenance(spec.seed, spec.rng, self.block_size(cell), stream_version())

    def blocks(self, cell: Cell) -> Iterator[Block]:
        """The blocks of a cell, in index order."""
        return (self.block(cell, index) for index in range(self.block_count(cell)))

    def block(self, cell: Cell, index: int) -> Block:
        """A block of a cell by its index; only the last may be shorter than the others."""
        size = self.block_size(cell)
        return Block(cell, index, index * size, min(size, self.spec.networks - index * size))

    def block_count(self, cell: Cell) -> int:
        """How many blocks a cell has at most."""
        return -(-self.spec.networks // self.block_size(cell))

    def all_blocks(self) -> Iterator[Block]:
        """The blocks of all cells, cell by cell."""
        for cell in self.cells:
            yield from self.blocks(cell)

    def notes(self) -> list[str]:
        """What a user should know of the sweep before it runs, a sentence each."""
        return list(self.spec.notes())

    def to_yaml(self) -> str:
        """The spec with its defaults spelled out; reading it gives the same sweep."""
        spec = self.spec.model_dump(mode="json", exclude_none=True)
        return yaml.safe_dump(spec, sort_keys=False, default_flow_style=None)

    def _check_sizes(self) -> None:
        if len(self.cells) > MAX_CELLS:
            raise SpecError(
                f"cells: are more than the {MAX_CELLS} that a sweep may have; shorten lists, or "
                "make several sweeps"
            )
        blocks = sum(self.block_count(cell) for cell in self.cells)
        if blocks > MAX_BLOCKS:
            raise SpecError(
                f"networks = {self.spec.networks}: makes {blocks} blocks, more than {MAX_BLOCKS}; "
                "ask for fewer networks or raise block_size"
            )


def _folder_of(path: str) -> str:
    """The folder, or prefix, that a path or URI is in."""
    return path.rpartition("/")[0] if "://" in path else str(Path(path).parent)
