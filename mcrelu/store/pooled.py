"""Several outputs read as one: cells that are the same sweep's at different seeds are one cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import pyarrow as pa

from mcrelu.errors import UserError
from mcrelu.store.contents import StoredCell
from mcrelu.store.output import Output
from mcrelu.store.reader import Reader

Key = tuple[str, tuple[tuple[str, int], ...]]  # a cell's id and extent


class Part(NamedTuple):
    """What one output has of a cell."""

    output: Output
    reader: Reader
    cell: StoredCell

    @property
    def seed(self) -> int:
        """The seed of the output."""
        return self.output.contents.seed

    def draws_as(self, other: Part) -> bool:
        """Whether both have the same networks, so that they are not independent."""
        return self.seed == other.seed and self.cell.draws_as(other.cell)

    def sample(self, columns: Iterable[str]) -> Iterator[pa.Table]:
        """Some columns of the blocks that count, in index order."""
        return self.reader.sample(self.cell, columns)


class PooledReader:
    """The rows of several outputs; see :class:`mcrelu.experiments.base.BlockReader`.

    The sample of a cell is that of the first output that has it, then that of the next: so what is
    computed of it is what one sample of all these networks would give.

    Raises
    ------
    UserError
        If the outputs are of different experiments, or two of them have the same networks.
    """

    def __init__(self, outputs: Sequence[Output]) -> None:
        names = {output.contents.experiment for output in outputs}
        if len(names) > 1:
            raise UserError(
                f"the outputs are of {' and '.join(sorted(names))} sweeps; give outputs of one "
                "experiment"
            )
        self.experiment = outputs[0].experiment
        self._parts: dict[Key, list[Part]] = {}
        for output in outputs:
            reader = output.reader()
            for cell in output.cells:
                self._parts.setdefault(_key(cell), []).append(Part(output, reader, cell))
        for parts in self._parts.values():
            _refuse_shared_networks(parts)

    @property
    def cells(self) -> tuple[StoredCell, ...]:
        """The cells that any of the outputs has."""
        return tuple(parts[0].cell for parts in self._parts.values())

    def parts(self, cell: StoredCell) -> list[Part]:
        """What the outputs have of a cell."""
        return self._parts[_key(cell)]

    def relative_width(self, cell: StoredCell) -> float | None:
        """The least relative width that a sweep asks for of the cell, if one does."""
        asked = (part.reader.relative_width(part.cell) for part in self.parts(cell))
        return min((width for width in asked if width is not None), default=None)

    def sample(self, cell: StoredCell, columns: Iterable[str]) -> Iterator[pa.Table]:
        """Some columns of the blocks that count, output by output."""
        names = list(columns)
        for part in self.parts(cell):
            yield from part.sample(names)

    def refuse_ambiguous_points(self, cells: pa.Table) -> None:
        """Raise UserError where outputs mean different things by a point of the cell table.

        Of cells that are not the same, one must not stand for the other in a figure or comparison:
        they differ in their engine, say, or in their epochs.
        """
        by_point: dict[tuple[Any, ...], list[list[Part]]] = {}
        points = cells.select(list(self.experiment.point_columns)).to_pylist()
        for point, parts in zip(points, self._parts.values(), strict=True):
            for others in by_point.setdefault(tuple(point.values()), []):
                ours, theirs = ({id(part.output) for part in some} for some in (parts, others))
                if not ours & theirs:
                    _refuse_point(point, others[0], parts[0])
            by_point[tuple(point.values())].append(parts)


def _key(cell: StoredCell) -> Key:
    return cell.id, tuple(sorted(cell.extent.items()))


def _refuse_shared_networks(parts: Iterable[Part]) -> None:
    for one, other in combinations(parts, 2):
        if one.draws_as(other):
            raise UserError(
                f"seed {one.seed}: the networks of {one.cell.label} are in "
                f"{one.output.files.shown} and in {other.output.files.shown}; give outputs of "
                "different seeds"
            )


def _refuse_point(point: Mapping[str, Any], one: Part, other: Part) -> None:
    before, after = ({**part.cell.parameters, **part.cell.extent} for part in (one, other))
    differences = [name for name, value in before.items() if value != after.get(name)]
    shown = ", ".join(f"{name} {value}" for name, value in point.items())
    raise UserError(
        f"{shown} is in {one.output.files.shown} and, with other {', '.join(differences)}, in "
        f"{other.output.files.shown}; give outputs that agree in it, or without common points"
    )
