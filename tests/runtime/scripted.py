"""An executor whose blocks fail and succeed as a script says, and which counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from mcrelu.experiments.base import BlockTask
from mcrelu.runtime.submit import Event, SystemFaultError
from mcrelu.runtime.task import BlockDone, BlockResult, StoreFailed
from mcrelu.store.shards import Published
from mcrelu.sweep.cell import Block


@dataclass(frozen=True)
class Ticket:
    """An attempt in flight."""

    index: int  # of the block
    number: int  # of the attempt
    task: BlockTask


def done(block: Block, k: int) -> BlockDone:
    """That a block is done, with so many networks in the event."""
    return BlockDone(block, 0.1, Published(bytes=0, checksum=""), {"k": k})


class ScriptedExecutor:
    """Takes away the first ``faults[block index]`` attempts at a block by a system fault.

    After those, the next ``store_faults[block index]`` attempts do not find their store.
    ``order`` picks which of the attempts in flight finish next; ``capacity`` may change with the
    number of calls so far. An attempt that is submitted beyond the capacity of the moment is
    noted in ``overbooked``. ``count`` says how many networks of a block are in
    the event that estimates are of.
    """

    name = "scripted"

    def __init__(
        self,
        faults: Mapping[int, int] | None = None,
        capacity: Callable[[], int] = lambda: 3,
        order: Callable[[list[Ticket]], list[Ticket]] = lambda flying: flying[:1],
        count: Callable[[Block], int] = lambda _: 0,
        store_faults: Mapping[int, int] | None = None,
    ) -> None:
        self._faults = faults or {}
        self._store_faults = store_faults or {}
        self._capacity = capacity
        self._order = order
        self._count = count
        self.flying: list[Ticket] = []
        self.attempts: Counter[int] = Counter()
        self.heard: Counter[tuple[Event, int]] = Counter()  # by block index
        self.numbers: list[tuple[int, int]] = []  # (block index, attempt), as submitted
        self.most_in_flight = 0
        self.overbooked: list[Ticket] = []
        self.cancelled: list[Ticket] = []
        self.waits = 0

    def describe(self) -> str:
        return "from a script"

    def capacity(self) -> int:
        return self._capacity()

    def workers(self) -> int:
        return 1

    def memory(self) -> int | None:
        return None

    def submit(self, task: BlockTask, number: int) -> Ticket:
        ticket = Ticket(task.block.index, number, task)
        self.flying.append(ticket)
        self.attempts[ticket.index] += 1
        self.numbers.append((ticket.index, number))
        self.most_in_flight = max(self.most_in_flight, len(self.flying))
        if len(self.flying) > self._capacity():
            self.overbooked.append(ticket)
        return ticket

    def wait(self, handles: Collection[Ticket], seconds: float) -> list[Ticket]:
        assert set(handles) == set(self.flying)
        self.waits += 1
        done = self._order(list(self.flying))
        self.flying = [ticket for ticket in self.flying if ticket not in done]
        return done

    def result(self, handle: Ticket) -> BlockResult:
        assert handle not in self.flying
        lost = self._faults.get(handle.index, 0)
        if handle.number <= lost:
            raise SystemFaultError(f"the worker of block {handle.index} died")
        if handle.number <= lost + self._store_faults.get(handle.index, 0):
            return StoreFailed(handle.task.block, "the store is away")
        return done(handle.task.block, self._count(handle.task.block))

    def hear(self, event: Event, task: BlockTask) -> None:
        self.heard[event, task.block.index] += 1

    def cancel(self, handles: Collection[Ticket]) -> None:
        self.cancelled += list(handles)
        self.flying = [ticket for ticket in self.flying if ticket not in self.cancelled]

    def close(self) -> None:
        return
