"""Blocks that take so long that whatever does them must be hanging, and their second tries.

A process that is stopped or waits for ever for its disk is no fault that anybody reports.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import NamedTuple

from mcrelu.experiments.base import BlockTask
from mcrelu.runtime.progress import duration
from mcrelu.sweep.cell import Block, Cell

# Blocks of a cell take about as long as each other: those that need more steps some times the
# median. Ten times that is no chance, and less than a minute is not worth a second try: a machine
# that swaps, or compiles kernels, takes as long.
FACTOR = 10.0
SECONDS = 60.0

REMEMBERED = 101  # times of a cell: the latest
MOST_NAMED = 3  # blocks in a message


class Flight(NamedTuple):
    """An attempt in flight."""

    task: BlockTask
    number: int  # of the attempt
    since: float  # when it was submitted


class Times:
    """How long blocks were in flight, by cell."""

    def __init__(self) -> None:
        self._seconds: dict[Cell, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    def finished(self, flight: Flight) -> None:
        """Take in the time of a block that is done."""
        self._seconds[flight.task.block.cell].append(time.monotonic() - flight.since)

    def overdue(self, flights: Iterable[Flight]) -> list[Flight]:
        """Those that take far longer than blocks of their cell did; none of a cell without any."""
        now = time.monotonic()
        limits: dict[Cell, float] = {}
        found = []
        for flight in flights:
            age, cell = now - flight.since, flight.task.block.cell
            if age > SECONDS and cell in self._seconds:
                if cell not in limits:
                    limits[cell] = FACTOR * self.usual(cell)
                if age > limits[cell]:
                    found.append(flight)
        return found

    def usual(self, cell: Cell) -> float:
        """The median time of a cell that has one."""
        return statistics.median(self._seconds[cell])

    def message(self, overdue: list[Flight]) -> str:
        """What to say of overdue blocks, of which there are some."""
        oldest = min(overdue, key=lambda flight: flight.since)
        names = ", ".join(_named(flight.task.block) for flight in overdue[:MOST_NAMED])
        more = len(overdue) - MOST_NAMED
        age = duration(time.monotonic() - oldest.since)
        usual = f"{self.usual(oldest.task.block.cell):.1f} s"
        return (
            f"no result for {age} of {names}{f' and {more} more' if more > 0 else ''} (others "
            f"took {usual}): a worker or node may hang. Each is done once more; the first result "
            "counts"
        )


def _named(block: Block) -> str:
    return f"{block.cell.label} block {block.index}"
