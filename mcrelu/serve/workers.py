"""A thread per output, so that a store that hangs stalls nothing but its own output.

A thread that is ended in the middle of its work takes the program with it, so workers are asked to
end, and waited for; of one whose store hangs, its name tells whoever ends the program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from mcrelu.store.uris import ASKING

T = TypeVar("T")

_Job = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class Worker:
    """Does one thing after another, in a thread that does not keep the program from ending."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._ending = False
        self._thread = Thread(target=self._work, name=ASKING, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Do no more than what it does now."""
        self._ending = True
        self._jobs.put(None)

    @property
    def ended(self) -> bool:
        """Whether nothing is done any more."""
        return not self._thread.is_alive()

    async def do(self, function: Callable[[], T]) -> T:
        """What the function returns or raises."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._jobs.put((function, answer, loop))
        return await answer

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._ending:
            function, answer, loop = job
            if answer.cancelled():  # whoever asked waits no more
                continue
            try:
                result, error = function(), None
            except Exception as raised:  # noqa: BLE001 - raised again by whoever waits
                result, error = None, raised
            try:
                loop.call_soon_threadsafe(_settle, answer, result, error)
            except RuntimeError:  # the loop is closed: the program ends
                return


def _settle(answer: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)
