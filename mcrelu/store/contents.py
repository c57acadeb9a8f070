"""What an output says of itself, in cells.json: enough to read it with any later program.

The ids of cells depend on the version of their engine, so a later program could not derive them
from the spec. An output names them instead, with all that a reader must know of their blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import isfinite
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from mcrelu.experiments.base import experiment
from mcrelu.rng import stream_version
from mcrelu.sweep.cell import Provenance, digest
from mcrelu.sweep.sweep import MAX_BLOCKS, Sweep
from mcrelu.texts import is_plain

CELLS_FILE = "cells.json"
FORMAT: Final = 1


MOST_BYTES = 2**26  # of cells.json
MOST_VALUES = 2**22  # in it: some thirty per cell; in memory each may take fifty times its bytes

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

# In parameters
_LONGEST = 100  # characters of a text; figures name curves by them
_LEVELS = 8  # of lists and mappings

# What names folders, is shown, or sizes arrays is held to what we write.
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Word = Annotated[str, Field(max_length=1000, pattern=r"^[A-Za-z0-9 .,:;=+*/^()_'-]*$")]
Count = Annotated[int, Field(ge=1, lt=2**63)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


@dataclass(frozen=True, repr=False)
class StoredCell:
    """A cell of an output."""

    __pydantic_config__ = _STRICT

    id: Id
    label: Word
    training: Word  # digest of what is trained, whichever engine does it
    parameters: dict[str, Any]
    extent: Mapping[Word, Seed]
    block_size: Annotated[int, Field(ge=1, le=2**16)]  # as in specs
    draws: str = ""  # digest of what the random streams depend on; older outputs do not say

    def draws_as(self, other: StoredCell) -> bool:
        """Whether both have the same networks, if they have the same seed.

        Where it is not known what was drawn, it is where the same is trained.
        """
        return self.training == other.training or self.draws == other.draws != ""

    def __repr__(self) -> str:
        return f"<cell {self.id}: {self.label}>"


@dataclass(frozen=True)
class Contents:
    """What the blocks of an output are, and how many of them are wanted."""

    __pydantic_config__ = _STRICT

    experiment: Word
    schema_version: int  # of the rows
    program: Word  # version of mcrelu that wrote it
    settings: Mapping[str, Any]  # keys of the spec that all cells share
    seed: Seed
    rng: Word
    streams: Word  # rng.stream_version
    networks: Count  # per cell
    relative_width: float | None
    cells: tuple[StoredCell, ...]
    format: Literal[1] = FORMAT

    @classmethod
    def of(cls, sweep: Sweep) -> Contents:
        """What an output of a sweep will hold if this program writes it."""
        spec = sweep.spec
        cells = (
            StoredCell(
                id=cell.id,
                label=cell.label,
                training=digest(cell.trained()),
                parameters=cell.parameters(),
                extent=cell.extent(),
                block_size=sweep.block_size(cell),
                draws=digest(cell.drawn()),
            )
            for cell in sweep.cells
        )
        return cls(
            experiment=sweep.experiment,
            schema_version=experiment(sweep.experiment).schema_version,
            program=version("mcrelu"),
            settings=spec.settings(),
            seed=spec.seed,
            rng=spec.rng,
            streams=stream_version(),
            networks=spec.networks,
            relative_width=spec.relative_width,
            cells=tuple(cells),
        )

    @staticmethod
    def from_json(content: bytes) -> Contents:
        """The inverse of :meth:`to_json`.

        Raises
        ------
        ValueError
            If it is of another format, or damaged.
        """
        if sum(map(content.count, (b",", b"[", b"{"))) > MOST_VALUES:
            raise ValueError("too many values")
        found: Contents = _STORED.validate_json(content)
        blocks = sum(found.block_count(cell) for cell in found.cells)
        if blocks > MAX_BLOCKS:
            raise ValueError(f"{blocks} blocks")
        if not all(is_plain([cell.draws, cell.parameters]) for cell in found.cells):
            raise ValueError("names or parameters with other characters than ours")
        if not all(_is_sane(cell.parameters) for cell in found.cells):
            raise ValueError("parameters with numbers, texts or levels beyond ours")
        if len({cell.id for cell in found.cells}) < len(found.cells):
            raise ValueError("a cell stands twice")
        for cell in found.cells:
            if digest(cell.parameters) != cell.id:
                raise ValueError(f"cell {cell.id} has other parameters")
            engine, semantics = (cell.parameters.get(name) for name in ("engine", "semantics"))
            if not isinstance(engine, str) or type(semantics) is not int:
                raise ValueError(f"cell {cell.id} is done by no engine")
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values for cells.json."""
        return asdict(self)

    def provenance(self, cell: StoredCell) -> Provenance:
        """What fixes the streams of a cell's blocks."""
        return Provenance(self.seed, self.rng, cell.block_size, self.streams)

    def block_count(self, cell: StoredCell) -> int:
        """How many blocks a cell has at most."""
        return -(-self.networks // cell.block_size)

    def block_networks(self, cell: StoredCell, index: int) -> int:
        """How many networks a block has; only the last may have fewer than the others."""
        return min(cell.block_size, self.networks - index * cell.block_size)


_STORED = TypeAdapter(Contents)


def _is_sane(value: Any, levels: int = _LEVELS) -> bool:
    """Whether plain values are finite numbers, and texts and nesting as short as ours."""
    match value:
        case str():
            return len(value) <= _LONGEST
        case float():
            return isfinite(value)
        case int():
            return -(2**63) <= value < 2**63
        case dict():
            return bool(levels) and all(
                _is_sane(key, levels) and _is_sane(inner, levels - 1)
                for key, inner in value.items()
            )
        case list():
            return bool(levels) and all(_is_sane(inner, levels - 1) for inner in value)
    return value is None
