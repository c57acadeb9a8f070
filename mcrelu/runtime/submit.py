"""The submission loop: bounded work in flight, on any executor. Knows no Ray."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Collection, Generator
from itertools import count
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

from mcrelu.experiments.base import BlockTask
from mcrelu.runtime.stalls import Flight, Times
from mcrelu.runtime.task import BlockDone, BlockFailed, BlockResult, StoreFailed

# How long the loop sleeps or waits for a result before it looks at everything else again: signals,
# the size of the cluster, the display.
POLL_SECONDS = 0.5

# Attempts at a block before a fault counts as its result: a block that itself kills its workers
# must end, and one that lost three workers in a row by chance is rare.
MAX_ATTEMPTS = 4

# Wait after the first failure of a store, doubled after each further one: with MAX_ATTEMPTS it has
# 3.5 s to come back. A block that lost its worker goes to another one at once. Attempts at an
# object store wait by themselves (store/retrying_store.py): another one after that is enough.
BACKOFF_SECONDS = 0.5
STORE_SECONDS = 10.0

Handle = TypeVar("Handle")

Event = Literal["retried", "failed"]  # what becomes of an attempt at a block that did not succeed


class SystemFaultError(Exception):
    """A worker or node died under a block, or memory ran out: trying again may help."""


class Executor(Protocol[Handle]):
    """Where blocks are done."""

    name: str

    def describe(self) -> str:
        """Where blocks are done, in a few words for people."""

    def capacity(self) -> int:
        """How many blocks to have in flight; may grow and shrink with a cluster."""

    def workers(self) -> int:
        """How many blocks are done at once; may grow and shrink with a cluster."""

    def memory(self) -> int | None:
        """Bytes of memory that a block may need at most, None if that may grow."""

    def submit(self, task: BlockTask, number: int) -> Handle:
        """Start the ``number``-th attempt at a block."""

    def wait(self, handles: Collection[Handle], seconds: float) -> list[Handle]:
        """Those that have finished, waiting for the first at most so long."""

    def result(self, handle: Handle) -> BlockResult:
        """The result of a finished block.

        Raises
        ------
        SystemFaultError
            If its worker was lost.
        ResourceError
            If no worker can do any block.
        """

    def hear(self, event: Event, task: BlockTask) -> None:
        """Be told what becomes of a block that was not done, for those who watch the run."""

    def cancel(self, handles: Collection[Handle]) -> None:
        """Give up blocks in flight."""

    def close(self) -> None:
        """Give back what the executor holds."""


def run_blocks(
    next_task: Callable[[], BlockTask | None],
    executor: Executor[Handle],
    stopping: Callable[[], bool],
    tick: Callable[[], None],
    say: Callable[[str], None] = lambda _: None,
) -> Generator[BlockResult]:
    """Results as they come, one per block.

    ``next_task()`` gives a block to do, or None where there is none before further results; once
    nothing is in flight or to be retried either, the loop ends. It is asked only after all results
    so far were taken from this generator, so it may depend on them.

    A block that lost its worker is tried again at once, one that found its store missing after a
    while, at most MAX_ATTEMPTS times in all. While a block waits for its store those in flight go
    on, but none begins: it would be trained in vain. A block that is overdue (:mod:`.stalls`) is
    told of by ``say`` and submitted once more, beyond the capacity, which it may be that holds;
    the first result counts, and the other attempt is given up. The loop ends early and gives up
    what is in flight once ``stopping()`` is true. ``tick`` is called at least every POLL_SECONDS
    while an executor does not block.
    """
    retries = _Retries()
    flights = _Flights(executor)
    try:
        while not stopping():
            limit = max(1, executor.capacity())  # a cluster may be without CPUs for a while
            while len(flights) < limit:
                attempt = retries.due()
                if attempt is None and not retries:
                    attempt = _first(next_task())
                if attempt is None:
                    break
                flights.submit(*attempt)
            if flights:
                finished = executor.wait(flights.handles(), POLL_SECONDS)
            elif retries:
                time.sleep(min(POLL_SECONDS, retries.seconds()))
                finished = []
            else:
                return
            for handle in finished:
                landed = flights.land(handle)
                final = None if landed is None else _settled(*landed, retries, executor)
                if final is not None:
                    yield final
            flights.repeat_overdue(say)
            tick()
    finally:
        flights.give_up()


def _settled(
    flight: Flight,
    result: BlockResult | SystemFaultError,
    retries: _Retries,
    executor: Executor[Handle],
) -> BlockResult | None:
    """The result of a block; None if it is to be tried again."""
    store_failed = isinstance(result, StoreFailed)
    gone = retries.store_is_gone(store_failed)
    task, number = flight.task, flight.number
    if isinstance(result, BlockDone):
        return result
    if isinstance(result, BlockFailed) or number >= MAX_ATTEMPTS or gone:
        return _final(executor, result, task, number)
    seconds = BACKOFF_SECONDS * 2 ** (number - 1) if store_failed else 0.0
    retries.add(task, number + 1, seconds)
    executor.hear("retried", task)
    return None


class _Flights(Generic[Handle]):
    """The attempts in flight; an overdue block has two."""

    def __init__(self, executor: Executor[Handle]) -> None:
        self._executor = executor
        self._flying: dict[Handle, Flight] = {}
        self._twins: dict[Handle, Handle] = {}  # both ways
        self._repeated: set[tuple[str, int]] = set()
        self._times = Times()
        self._next_look = time.monotonic() + POLL_SECONDS

    def __len__(self) -> int:
        return len(self._flying)

    def handles(self) -> Collection[Handle]:
        """All of them."""
        return self._flying.keys()

    def submit(self, task: BlockTask, number: int) -> Handle:
        """Submit an attempt at a block."""
        handle = self._executor.submit(task, number)
        self._flying[handle] = Flight(task, number, time.monotonic())
        return handle

    def land(self, handle: Handle) -> tuple[Flight, BlockResult | SystemFaultError] | None:
        """An attempt that has finished and its result; None if another attempt decides."""
        if handle not in self._flying:  # its twin finished in the same moment
            return None
        flight, result = self._flying.pop(handle), _result(self._executor, handle)
        twin = self._twins.pop(handle, None)
        if twin is not None:
            del self._twins[twin]
        if isinstance(result, BlockDone | BlockFailed):
            self._times.finished(flight)
            if twin is not None:
                del self._flying[twin]
                self._executor.cancel([twin])
        elif twin is not None:
            return None
        return flight, result

    def repeat_overdue(self, say: Callable[[str], None]) -> None:
        """Submit blocks that are overdue once more, each once."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + POLL_SECONDS
        fresh = {h: one for h, one in self._flying.items() if _name(one) not in self._repeated}
        overdue = self._times.overdue(fresh.values())
        if not overdue:
            return
        say(self._times.message(overdue))
        late = set(map(_name, overdue))
        for handle, flight in fresh.items():
            if _name(flight) in late:
                self._repeated.add(_name(flight))
                twin = self.submit(flight.task, flight.number + 1)
                self._executor.hear("retried", flight.task)
                self._twins |= {handle: twin, twin: handle}

    def give_up(self) -> None:
        """Cancel all of them."""
        self._executor.cancel(self._flying)


def _name(flight: Flight) -> tuple[str, int]:
    block = flight.task.block
    return block.cell.id, block.index


def _first(task: BlockTask | None) -> tuple[BlockTask, int] | None:
    return None if task is None else (task, 1)


def _result(executor: Executor[Handle], handle: Handle) -> BlockResult | SystemFaultError:
    try:
        return executor.result(handle)
    except SystemFaultError as fault:
        return fault


def _final(
    executor: Executor[Handle],
    result: BlockResult | SystemFaultError,
    task: BlockTask,
    number: int,
) -> BlockResult:
    """The result after which a block is not tried again."""
    if not isinstance(result, BlockDone):
        executor.hear("failed", task)
    if isinstance(result, SystemFaultError):
        return BlockFailed(task.block, f"{result} ({number} attempts)", "")
    return result


class _Waiting(NamedTuple):
    """An attempt that is to be made; compared by when, then by which came first."""

    due: float
    order: int
    task: BlockTask
    number: int


class _Retries:
    """Blocks that are to be tried again, each at its time."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []  # a heap
        self._order = count()
        self._store_failed: float | None = None  # when, if no block was done since

    def store_is_gone(self, failed: bool) -> bool:
        """Be told whether an attempt found the store missing; whether it was so for too long."""
        if not failed:
            self._store_failed = None
            return False
        if self._store_failed is None:
            self._store_failed = time.monotonic()
        return time.monotonic() - self._store_failed > STORE_SECONDS

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, task: BlockTask, number: int, seconds: float) -> None:
        """Have the ``number``-th attempt at a block made after so long."""
        due = time.monotonic() + seconds
        heapq.heappush(self._waiting, _Waiting(due, next(self._order), task, number))

    def due(self) -> tuple[BlockTask, int] | None:
        """An attempt whose time has come, None if there is none."""
        if not self._waiting or self.seconds() > 0:
            return None
        waiting = heapq.heappop(self._waiting)
        return waiting.task, waiting.number

    def seconds(self) -> float:
        """Until the first attempt is due."""
        return max(0.0, self._waiting[0].due - time.monotonic())
