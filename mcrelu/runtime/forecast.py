"""How much of a run is done and how long the rest will take, from the seconds that blocks took.

Work is counted in seconds of one worker. A cell of which blocks are done in this run has its own
seconds per network. The others have the rough costs that they state, times the seconds that a unit
of those took so far. In between two results workers are at work, too: without the blocks in flight,
a forecast would be far too long until the first blocks of all workers are done.

    F   seconds that finished blocks took       P   seconds that went into blocks in flight so far
    R   seconds that all others will take       B   seconds that workers had
    (F + P) / B   how much of the workers' time is training; R - P is left to be trained
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

from mcrelu.sweep.cell import Block

Key = tuple[str, int]  # cell and index of a block


@dataclass(frozen=True)
class _Cell:
    """What is known of a cell; a block that goes on from a checkpoint is the rest of its networks.

    ``done`` and ``left`` are networks, of which ``trained`` were in this run, in ``seconds``.
    """

    cost: float = 1.0
    done: float = 0.0
    left: float = 0.0
    trained: float = 0.0
    seconds: float = 0.0

    @property
    def measured(self) -> bool:
        return self.trained > 0.0

    @property
    def weight(self) -> float:
        """Of a network: seconds if they were measured, else the stated cost."""
        return self.seconds / self.trained if self.measured else self.cost


class _Running(NamedTuple):
    started: float
    networks: float


class Forecast:
    """Learns from blocks that begin and finish; no step costs more for more cells.

    Workers are taken to do blocks in the order in which those began.
    """

    def __init__(self) -> None:
        self._cells: dict[str, _Cell] = {}
        # Work done and left: seconds of measured cells, stated costs of the others.
        self._measured, self._stated = [0.0, 0.0], [0.0, 0.0]
        self._seconds = self._costs = 0.0  # of all blocks that finished: measured, stated
        self._workers = 1
        self._running: dict[Key, _Running] = {}
        self._waiting: dict[Key, float] = {}  # networks of blocks for which there is no worker yet
        self._had, self._until = 0.0, time.monotonic()  # seconds that workers had, up to a time

    def expect(self, cell: str, cost: float, done: float, left: float) -> None:
        """Set how many networks of a cell, given by its id, are there and are still wanted."""
        self._set(cell, replace(self._of(cell), cost=cost, done=done, left=left))

    def employ(self, workers: int) -> None:
        """Set how many blocks are done at once."""
        self._pass_time()
        self._workers = max(1, workers)
        self._promote()

    def begin(self, block: Block, networks: float) -> None:
        """A block was handed over, with so many networks to train."""
        self._pass_time()
        self._waiting[_key(block)] = networks
        self._promote()

    def finish(self, block: Block, seconds: float) -> None:
        """A block is done, and took a worker so long."""
        if not self._costs:  # what went before was no training: processes started, or compiled
            self._begin_with(seconds)
        self._pass_time()
        networks = self._end(block)
        if not networks:  # all of it was in a checkpoint: nothing was measured
            return
        cell = self._of(block.cell.id)
        self._seconds += seconds
        self._costs += networks * cell.cost
        self._set(
            block.cell.id,
            replace(
                cell,
                done=cell.done + networks,
                left=max(0.0, cell.left - networks),
                trained=cell.trained + networks,
                seconds=cell.seconds + seconds,
            ),
        )

    def leave(self, block: Block) -> None:
        """A block was done by another run."""
        self._pass_time()
        networks, cell = self._end(block), self._of(block.cell.id)
        left = max(0.0, cell.left - networks)
        self._set(block.cell.id, replace(cell, done=cell.done + networks, left=left))

    def drop(self, block: Block) -> None:
        """A block failed: nobody will do it in this run."""
        self._pass_time()
        networks, cell = self._end(block), self._of(block.cell.id)
        self._set(block.cell.id, replace(cell, left=max(0.0, cell.left - networks)))

    @property
    def fraction(self) -> float:
        """Share of the work that is done, in [0, 1]; what is in flight is not."""
        done, left = self._totals()
        return 1.0 if done + left <= 0.0 else min(1.0, done / (done + left))

    @property
    def seconds_left(self) -> float | None:
        """Time until all is done; None before the first block is."""
        if not self._costs:
            return None
        self._pass_time()
        ages = [self._age(key) for key in self._running]
        under_way = sum(min(age, whole) for age, whole in ages)
        longest = max((whole - age for age, whole in ages), default=0.0)
        per_worker = (self._seconds + under_way) / self._had
        left = self._totals()[1] - under_way
        return max(0.0, left / self._workers, longest) / per_worker

    def _totals(self) -> tuple[float, float]:
        """Work done and left, in seconds once one is known."""
        unit = self._unit
        done, left = (
            mine + unit * stated for mine, stated in zip(self._measured, self._stated, strict=True)
        )
        return max(0.0, done), max(0.0, left)

    @property
    def _unit(self) -> float:
        """Seconds per unit of stated cost, so far; 1 if none is known."""
        return self._seconds / self._costs if self._costs else 1.0

    def _age(self, key: Key) -> tuple[float, float]:
        """Seconds since a block began, and those that it will have taken."""
        cell, running = self._of(key[0]), self._running[key]
        whole = running.networks * cell.weight * (1.0 if cell.measured else self._unit)
        return self._until - running.started, whole

    def _begin_with(self, seconds: float) -> None:
        """Let the clock start where the first block that is done began."""
        now = time.monotonic()
        began = now - seconds
        self._running = {
            key: one._replace(started=max(one.started, began)) for key, one in self._running.items()
        }
        self._had, self._until = seconds * max(1, len(self._running)), now

    def _pass_time(self) -> None:
        now = time.monotonic()
        self._had += len(self._running) * (now - self._until)
        self._until = now

    def _promote(self) -> None:
        """Let free workers begin with the blocks that wait for the longest."""
        while self._waiting and len(self._running) < self._workers:
            key = next(iter(self._waiting))
            self._running[key] = _Running(self._until, self._waiting.pop(key))

    def _end(self, block: Block) -> float:
        """Take a block out of what is in flight; its networks."""
        key = _key(block)
        ended = self._running.pop(key, None)
        networks = self._waiting.pop(key) if ended is None else ended.networks
        self._promote()
        return networks

    def _of(self, cell: str) -> _Cell:
        return self._cells.get(cell, _Cell())

    def _set(self, cell: str, value: _Cell) -> None:
        for one, sign in ((self._of(cell), -1.0), (value, 1.0)):
            sums = self._measured if one.measured else self._stated
            sums[0] += sign * one.done * one.weight
            sums[1] += sign * one.left * one.weight
        self._cells[cell] = value


def _key(block: Block) -> Key:
    return block.cell.id, block.index
