"""Reading the rows of an output block by block, each verified, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from math import isnan
from typing import NamedTuple, TypeVar

import pyarrow as pa

from mcrelu.stats.sequential import Sample
from mcrelu.store.contents import Contents, StoredCell
from mcrelu.store.files import Files
from mcrelu.store.inventory import (
    NOWHERE,
    READERS,
    CellInventory,
    Inventory,
    columns_of,
    take_inventory,
    verified_rows,
)
from mcrelu.store.shards import Shard, checksum, shard_content

# What is read before it is asked for: files of at most so many bytes together, and so many blocks,
# or those of one file. Of these only files whose rows take little are decoded, too.
AHEAD = 2 * READERS
BYTES_AHEAD = 2**26
LITTLE = 2**23  # bytes

T = TypeVar("T")
R = TypeVar("R")


class Counted(NamedTuple):
    """What of a cell was given to be counted."""

    blocks: int = 0
    networks: int = 0
    seconds: float | None = 0.0  # of a core; None if a shard does not say

    def and_one(self, networks: int, seconds: float) -> Counted:
        """With one more block, whose seconds are NaN if they are not known."""
        before = self.seconds
        total = None if before is None or isnan(seconds) else before + seconds
        return Counted(self.blocks + 1, self.networks + networks, total)


class Reader:
    """The rows of an output that count; see :class:`mcrelu.experiments.base.BlockReader`.

    That is as ``inventory`` has it, by default what is there now.
    ``refused`` names the shards that are there and cannot be counted: torn, foreign, or changed.
    """

    def __init__(
        self, files: Files, contents: Contents, inventory: Inventory | None = None
    ) -> None:
        self._files, self._contents = files, contents
        self._inventory = inventory or take_inventory(files, contents)
        self._refused = dict.fromkeys(self._inventory.refused)
        self._counted: dict[str, Counted] = {}

    @property
    def cells(self) -> tuple[StoredCell, ...]:
        """The cells of the output."""
        return self._contents.cells

    def relative_width(self, cell: StoredCell) -> float | None:
        """The relative width that the sweep asks for, if it does."""
        return self._contents.relative_width

    @property
    def inventory(self) -> Inventory:
        """What was there when reading began."""
        return self._inventory

    @property
    def refused(self) -> list[str]:
        """Names of shards that are not counted though they are there."""
        return list(self._refused)

    def counted(self, cell: StoredCell) -> Counted:
        """What :meth:`sample` gave of a cell the last time."""
        return self._counted.get(cell.id, Counted())

    def sample(self, cell: StoredCell, columns: Iterable[str] | None) -> Iterator[pa.Table]:
        """Some columns (None: all) of the blocks of a cell that count, in index order.

        Networks that cross finish earlier than those that converge, so blocks behind a gap must not
        be counted: which of them are there depends on their outcome.
        """
        names = None if columns is None else list(columns)
        inventory, sample = self._inventory.cells[cell.id], Sample()
        target = self._contents.relative_width
        blocks = range(inventory.prefix())
        counted = self._counted[cell.id] = Counted()
        for index, read in zip(blocks, self._read(cell, inventory, names, blocks), strict=False):
            if read is None:
                self._refuse(inventory.name(cell, index))
                return
            rows, seconds = read
            counted = self._counted[cell.id] = counted.and_one(rows.num_rows, seconds)
            yield rows
            k = int(inventory.summary["k"][index])
            sample = sample.grown([(k, rows.num_rows)], None)
            if sample.reaches(target):
                return

    def block(self, cell: StoredCell, index: int) -> pa.Table | None:
        """The rows of one block; None if it is not there, or not good."""
        inventory = self._inventory.cells[cell.id]
        if not inventory.good[index]:
            return None
        (read,) = self._read(cell, inventory, None, [index])
        return None if read is None else read[0]

    def damaged(self) -> list[str]:
        """Read every shard of a wanted block; the names of those that are not good."""
        for cell in self.cells:
            inventory = self._inventory.cells[cell.id]
            there = [k for k, good in enumerate(inventory.good.tolist()) if good]
            for index, read in zip(there, self._read(cell, inventory, None, there), strict=True):
                if read is None:
                    self._refuse(inventory.name(cell, index))
        return self.refused

    def _refuse(self, name: str) -> None:
        """Remember a shard that is not good, unless it vanished in the meantime."""
        if shard_content(self._files, name) is not None:
            self._refused[name] = None

    def _read(
        self,
        cell: StoredCell,
        inventory: CellInventory,
        columns: list[str] | None,
        blocks: Iterable[int],
    ) -> Iterator[tuple[pa.Table, float] | None]:
        """Rows of some blocks, and the seconds they took; None where a shard is not what it was.

        Blocks in a row that share a file are read at once.
        """

        def read(indices: list[int]) -> Iterable[tuple[pa.Table, float] | None]:
            content = shard_content(self._files, inventory.name(cell, indices[0]))
            if content is None:
                return [None] * len(indices)
            whole = checksum(content)
            with Shard.of(content) as shard:
                if shard.bytes_at_most() <= LITTLE:
                    return [one(shard, whole, index) for index in indices]
            return when_taken(content, whole, indices)

        def when_taken(
            content: bytes, whole: str, indices: list[int]
        ) -> Iterator[tuple[pa.Table, float] | None]:
            # Not within the context, which other threads may wait for (large footers).
            left = deque(indices)
            while left:
                batch, size = [], 0
                with Shard.of(content) as shard:
                    while left and size < BYTES_AHEAD:
                        batch.append(one(shard, whole, left.popleft()))
                        size += 0 if batch[-1] is None else batch[-1][0].nbytes
                yield from batch

        def one(shard: Shard, whole: str, index: int) -> tuple[pa.Table, float] | None:
            place = int(inventory.place[index])
            # The manifest's checksum guards the whole file: then the columns alone need be decoded.
            if place != NOWHERE and inventory.known.checksum[place].decode() == whole:
                rows = columns_of(self._contents, cell, index, shard, columns)
            else:
                rows = verified_rows(self._contents, cell, index, shard)
                rows = rows if rows is None or columns is None else rows.select(columns)
            return None if rows is None else (rows, shard.seconds(index))

        by_file = groupby(blocks, lambda index: int(inventory.file[index]))
        files = (
            (int(inventory.files.bytes[number]) / BYTES_AHEAD, list(indices))
            for number, indices in by_file
        )
        with ThreadPoolExecutor(READERS) as pool:
            yield from _ahead(pool, read, files)


def _ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[list[T]], Iterable[R]],
    lists: Iterable[tuple[float, list[T]]],
) -> Iterator[R]:
    """What ``function`` makes of each list, item by item, in order.

    It is never more than AHEAD items ahead of what is taken, nor lists whose sizes add up to more
    than one, except for a list that is larger.
    """
    waiting: deque[tuple[float, Future[Iterable[R]]]] = deque()
    ahead = 0.0
    try:
        for size, items in lists:
            share = max(size, len(items) / AHEAD)
            waiting.append((share, pool.submit(function, items)))
            ahead += share
            while ahead > 1.0:
                share, future = waiting.popleft()
                ahead -= share
                yield from future.result()
        for _, future in waiting:
            yield from future.result()
    finally:
        for _, future in waiting:
            future.cancel()
