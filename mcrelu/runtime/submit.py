"""The submission loop: bounded work in flight, on any executor. Knows no Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator
from typing import Protocol, TypeVar

from mcrelu.runtime.task import BlockFailed, BlockResult, BlockTask

POLL_SECONDS = 0.5
MAX_ATTEMPTS = 4

Handle = TypeVar("Handle")


class SystemFaultError(Exception):
    """A worker or node died under a block, or memory ran out: trying again may help."""


class Executor(Protocol[Handle]):
    """Where blocks are done."""

    name: str

    def describe(self) -> str:
        """Where blocks are done, in a few words for people."""

    def capacity(self) -> int:
        """How many blocks to have in flight; may grow and shrink with a cluster."""

    def submit(self, task: BlockTask, number: int) -> Handle:
        """Start the ``number``-th attempt at a block."""

    def wait(self, handles: Collection[Handle], seconds: float) -> list[Handle]:
        """Those that have finished, waiting for the first at most so long."""

    def result(self, handle: Handle) -> BlockResult:
        """The result of a finished block; raises SystemFaultError."""

    def cancel(self, handles: Collection[Handle]) -> None:
        """Give up blocks in flight."""

    def close(self) -> None:
        """Give back what the executor holds."""


def run_blocks(
    next_task: Callable[[], BlockTask | None],
    executor: Executor[Handle],
    stopping: Callable[[], bool],
    tick: Callable[[], None],
) -> Generator[BlockResult]:
    """Results as they come, one per block.

    ``next_task()`` gives a block to do, or None where there is none before further results; once
    nothing is in flight either, the loop ends. It is asked only after all results so far were
    taken from this generator, so it may depend on them.

    A block that a system fault took is tried again, MAX_ATTEMPTS times in all. The loop ends early
    and gives up what is in flight once ``stopping()`` is true. ``tick`` is called at least every
    POLL_SECONDS while an executor does not block.
    """
    again: deque[tuple[BlockTask, int]] = deque()  # blocks that a fault took
    flying: dict[Handle, tuple[BlockTask, int]] = {}
    try:
        while not stopping():
            limit = max(1, executor.capacity())  # a cluster may be without CPUs for a while
            while len(flying) < limit:
                if again:
                    attempt = again.popleft()
                elif (task := next_task()) is not None:
                    attempt = (task, 1)
                else:
                    break
                flying[executor.submit(*attempt)] = attempt
            if not flying:
                return
            for handle in executor.wait(flying, POLL_SECONDS):
                task, number = flying.pop(handle)
                try:
                    yield executor.result(handle)
                except SystemFaultError as fault:
                    if number == MAX_ATTEMPTS:
                        yield BlockFailed(task.block, f"{fault} ({number} attempts)", "")
                    else:
                        again.append((task, number + 1))
            tick()
    finally:
        executor.cancel(flying)
