"""Which points of two sets of outputs rest on the same networks, and how each network fared.

Outputs of the same seed train the same networks wherever what their draws depend on is the same, so
their estimates are not independent, and tests that take them for independent find too little. They
are compared network by network instead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mcrelu.errors import UserError
from mcrelu.experiments.base import Point, Source
from mcrelu.store.contents import StoredCell
from mcrelu.store.pooled import Part, PooledReader
from mcrelu.types import Floats

Pairs = tuple[Floats, Floats]  # (m,) each: ours and theirs, by network


class Side(NamedTuple):
    """One side of a comparison: outputs, and their table of cells."""

    reader: PooledReader
    cells: pa.Table

    @classmethod
    def of(cls, reader: PooledReader, cells: pa.Table) -> Side:
        """The side; its points are not ambiguous.

        Raises
        ------
        UserError
            If outputs mean different things by a point.
        """
        reader.refuse_ambiguous_points(cells)
        return cls(reader, cells)

    def sources(self) -> Mapping[Point, tuple[StoredCell, Source]]:
        """The cell behind each point."""
        by_id = {cell.id: cell for cell in self.reader.cells}
        sources = self.reader.experiment.sources(self.cells)
        return {point: (by_id[source.cell], source) for point, source in sources.items()}


def paired_points(ours: Side, theirs: Side) -> dict[Point, Pairs]:
    """The points that both have of the same networks, with what came of each of these.

    Raises
    ------
    UserError
        If some networks of a point are the same on both sides and others are not.
    """
    our_sources, their_sources = ours.sources(), theirs.sources()
    by_cells: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for point in our_sources:
        if point in their_sources:
            by_cells[our_sources[point][1].cell, their_sources[point][1].cell].append(point)
    found: dict[Point, Pairs] = {}
    for points in by_cells.values():
        parts = ours.reader.parts(our_sources[points[0]][0])
        others = theirs.reader.parts(their_sources[points[0]][0])
        matched = [(one, other) for one in parts for other in others if one.draws_as(other)]
        if not matched:
            continue
        if not len(parts) == len(matched) == len(others):
            _refuse_partly_shared(matched[0][0])
        found |= _pairs(matched, {p: (our_sources[p][1], their_sources[p][1]) for p in points})
    return found


def _refuse_partly_shared(part: Part) -> None:
    raise UserError(
        f"seed {part.seed}: is on both sides of {part.cell.label}, beside other seeds; give the "
        "same seeds on both sides, or none in common"
    )


def _pairs(
    matched: Iterable[tuple[Part, Part]], sources: Mapping[Point, tuple[Source, Source]]
) -> dict[Point, Pairs]:
    """What came of the networks in common: one read of either side for all points."""
    parts: dict[Point, list[Pairs]] = {point: [] for point in sources}
    for ours, theirs in matched:
        our_rows = _rows(ours, [one for one, _ in sources.values()])
        their_rows = _rows(theirs, [other for _, other in sources.values()])
        common = min(len(our_rows), len(their_rows), _same_draws(ours, theirs))
        for point, (one, other) in sources.items():
            values = (
                one.values(our_rows.slice(0, common)),
                other.values(their_rows.slice(0, common)),
            )
            parts[point].append(values)
    return {point: _known(some) for point, some in parts.items()}


def _rows(part: Part, sources: Iterable[Source]) -> pa.Table:
    columns = dict.fromkeys(column for source in sources for column in source.columns)
    blocks = list(part.sample(columns))
    if not blocks:
        return part.output.experiment.schema.empty_table().select(list(columns))
    return pa.concat_tables(blocks)


def _same_draws(one: Part, other: Part) -> int:
    """How many networks, from the first on, are the same for certain.

    Draws belong to blocks, row by row: where these are of different sizes, only the first starts
    with the same networks on both sides.
    """
    if one.cell.block_size == other.cell.block_size:
        return max(one.output.contents.networks, other.output.contents.networks)
    return min(one.cell.block_size, other.cell.block_size)


def _known(parts: Iterable[Pairs]) -> Pairs:
    """All pairs of which both values are known."""
    ours, theirs = (np.concatenate(side) for side in zip(*parts, strict=True))
    known = ~(np.isnan(ours) | np.isnan(theirs))
    return ours[known], theirs[known]
