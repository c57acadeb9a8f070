"""The outputs of a page, looked at for as long as anybody watches."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import TypeVar

from mcrelu.serve.errors import NotThereError, TooLongError
from mcrelu.serve.reading import Reading, Seen
from mcrelu.serve.workers import Worker
from mcrelu.store.output import Output
from mcrelu.store.uris import shown

PAUSE = 1.0  # seconds between two looks, at least
REST = 5.0  # times as long as a look took
SLOW = 5.0  # seconds after which a page says that it waits for a store
END_SECONDS = 3.0  # that a look may still take when the server ends
LIMIT = 30.0  # seconds that anything else may take

T = TypeVar("T")


class Changes:
    """A count of changes that others wait for."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def tell(self) -> None:
        """Something changed."""
        self.count += 1
        for one in self._waiting:
            if not one.done():
                one.set_result(None)
        self._waiting.clear()

    async def after(self, count: int, seconds: float) -> int:
        """Wait for a change after the one of this count, or so long; the count then."""
        if self.count == count:
            change = asyncio.get_running_loop().create_future()
            self._waiting.add(change)
            await asyncio.wait([change], timeout=seconds)
            self._waiting.discard(change)
        return self.count


class Watched:
    """An output and its thread."""

    def __init__(self, reading: Reading, changes: Changes) -> None:
        self.reading, self._changes = reading, changes
        self.worker = Worker()
        self.seen: Seen | None = None
        self._late = False

    @property
    def brief(self) -> dict[str, object]:
        """What the list of outputs shows of it."""
        reading = self.reading
        names = {"key": reading.key, "name": reading.name, "where": reading.shown}
        told = names if self.seen is None else self.seen.brief
        return {**told, "waiting": self._late or self.seen is None, "late": self._late}

    async def look(self) -> float:
        """See what there is now; seconds that it took."""
        started = time.monotonic()
        looking = asyncio.ensure_future(self.worker.do(self.reading.look))
        try:
            await asyncio.wait([looking], timeout=SLOW)
            if not looking.done():
                self._late = True
                self._changes.tell()
            seen = await looking
        finally:
            looking.cancel()
        changed = self._late or self.seen is None or seen.version != self.seen.version
        self.seen, self._late = seen, False
        if changed:
            self._changes.tell()
        return time.monotonic() - started

    async def do(self, function: Callable[[Output], T]) -> T:
        """What a function makes of the output, in its thread.

        Raises
        ------
        NotThereError
            If the output cannot be read.
        TooLongError
            If its store does not answer in LIMIT seconds.
        """

        def with_output() -> T:
            if self.reading.output is None:
                raise NotThereError(f"{self.reading.shown}: cannot be read; see its page")
            return function(self.reading.output)

        try:
            return await asyncio.wait_for(self.worker.do(with_output), LIMIT)
        except TimeoutError:
            raise TooLongError(
                f"{self.reading.shown}: no answer within {LIMIT:.0f} s; try again in a while"
            ) from None


class Watch:
    """All outputs of a page."""

    def __init__(self, places: Sequence[str]) -> None:
        self.changes = Changes()
        readings = [
            Reading(key, name_of(place), place, shown(place))
            for key, place in zip(keys_of(places), places, strict=True)
        ]
        self.outputs = {one.key: Watched(one, self.changes) for one in readings}
        self.watchers = 0
        self.closed = False
        self._somebody = asyncio.Event()

    def output(self, key: str) -> Watched:
        """The output of a key.

        Raises
        ------
        NotThereError
            If there is none.
        """
        if key not in self.outputs:
            raise NotThereError(f"output {key}: there is none; reload the page")
        return self.outputs[key]

    def come(self) -> None:
        """Somebody watches."""
        self.watchers += 1
        self._somebody.set()

    def leave(self) -> None:
        """Somebody watches no more."""
        self.watchers -= 1
        if not self.watchers:
            self._somebody.clear()

    def close(self) -> None:
        """Send everybody home."""
        self.closed = True
        self.changes.tell()

    async def end(self) -> None:
        """Let all workers end, and wait for those whose store answers."""
        workers = [one.worker for one in self.outputs.values()]
        for worker in workers:
            worker.end()
        latest = time.monotonic() + END_SECONDS
        while not all(worker.ended for worker in workers) and time.monotonic() < latest:
            await asyncio.sleep(0.02)

    async def follow(self) -> None:
        """Look at all outputs, once and then whenever somebody watches, until cancelled."""
        await asyncio.gather(*(self._follow(one) for one in self.outputs.values()))

    async def _follow(self, one: Watched) -> None:
        while True:
            took = await one.look()
            await asyncio.sleep(max(PAUSE, REST * took))
            await self._somebody.wait()


def name_of(place: str) -> str:
    """What an output is called: the last part of its path."""
    return PurePath(shown(place).partition("?")[0]).name or shown(place)


def keys_of(places: Sequence[str]) -> list[str]:
    """A word for each place, by which addresses name it; the same for the same places."""
    keys: list[str] = []
    for place in places:
        word = re.sub(r"[^a-z0-9]+", "-", name_of(place).lower()).strip("-") or "output"
        key, count = word, 1
        while key in keys:
            count += 1
            key = f"{word}-{count}"
        keys.append(key)
    return keys
