"""The tables that a page shows: as they were written, or made anew where that is cheap."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from mcrelu.errors import UserError
from mcrelu.experiments.base import CELLS, Tables
from mcrelu.stats.sequential import Sample
from mcrelu.store.contents import StoredCell
from mcrelu.store.inventory import Inventory
from mcrelu.store.output import Output
from mcrelu.store.reader import Reader
from mcrelu.store.reduce import written_tables

MOST_BYTES = 64 * 2**20  # of shards that are read for a page
REST = 10.0  # times as long as making tables took they are left as they are


class Shown(NamedTuple):
    """Tables, and whether they count all that is there."""

    tables: Tables
    current: bool


class _Nothing:
    """A reader of an output in which no block is complete yet."""

    def __init__(self, output: Output) -> None:
        self._contents = output.contents

    @property
    def cells(self) -> tuple[StoredCell, ...]:
        return self._contents.cells

    def relative_width(self, cell: Any) -> float | None:
        return self._contents.relative_width

    def sample(self, cell: Any, columns: Iterable[str]) -> Iterator[pa.Table]:
        return iter(())


class TableKeeper:
    """The newest tables of an output that could be had."""

    def __init__(self) -> None:
        self._made: Tables | None = None
        self._next = 0.0  # when to make tables again
        self._stale = False  # what was shown last does not count all there is, and could

    @property
    def due(self) -> bool:
        """Whether another look would give newer tables, though nothing changed."""
        return self._stale and time.monotonic() >= self._next

    def of(self, output: Output, inventory: Inventory, samples: Mapping[str, Sample]) -> Shown:
        """The tables of an output of whose cells so much is there."""
        written, self._stale = _written(output), False
        for tables in (self._made, written):
            if tables is not None and counts(tables) == _wanted(samples):
                return Shown(tables, True)
        if _stored_bytes(inventory) <= MOST_BYTES:
            if time.monotonic() >= self._next:
                # As good as it gets, should shards turn out to be damaged.
                return Shown(self._make(output, inventory), True)
            self._stale = True
        return Shown(self._made or written or _empty(output), False)

    def _make(self, output: Output, inventory: Inventory) -> Tables:
        started = time.monotonic()
        reader = Reader(output.files, output.contents, inventory)
        self._made = output.experiment.tables(reader)
        ended = time.monotonic()
        self._next = ended + REST * (ended - started)
        return self._made


def counts(tables: Tables) -> dict[str, int]:
    """How many networks of each cell tables count."""
    cells = tables[CELLS]
    return dict(zip(cells["cell"].to_pylist(), cells["networks"].to_pylist(), strict=True))


def _wanted(samples: Mapping[str, Sample]) -> dict[str, int]:
    return {cell: sample.n for cell, sample in samples.items()}


def _empty(output: Output) -> Tables:
    return output.experiment.tables(_Nothing(output))


def _stored_bytes(inventory: Inventory) -> int:
    known = sum(int(one.known.bytes.sum()) for one in inventory.cells.values())
    return known + sum(entry.bytes for entry in inventory.entered)


def _written(output: Output) -> Tables | None:
    try:
        return written_tables(output)
    except UserError:  # none yet, or damaged
        return None
