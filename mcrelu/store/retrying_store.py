"""An object store that is asked again where it failed for the moment.

Pauses grow exponentially, and a random half of each is left out, so that a thousand workers that
were told to slow down do not come back together.
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import pyarrow as pa

from mcrelu.store.local_store import MOST_BYTES
from mcrelu.store.remote_store import RemoteStore

# From the first failure of a request to its last try. Blocks that were trained wait with it, so
# nothing is lost in an outage that is shorter.
PATIENCE_SECONDS = 240.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0

# Of messages of errors that trying again does not mend. Others are taken for passing: stores, and
# their clients' versions, name those in too many ways.
_PERMANENT = (
    "ACCESS_DENIED",
    "QuotaExceeded",
    "InvalidAccessKeyId",
    "INVALID_ACCESS_KEY_ID",
    "SignatureDoesNotMatch",
    "SIGNATURE_DOES_NOT_MATCH",
    "NO_SUCH_BUCKET",
    "NoSuchBucket",
    "INVALID_CLIENT_TOKEN_ID",
    "EXPIRED_TOKEN",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "NOT_FOUND",
)

_patience: ContextVar[float | None] = ContextVar("patience", default=None)

T = TypeVar("T")


@contextmanager
def impatience() -> Iterator[None]:
    """Within this context a store has one try: for who comes back to it anyway."""
    token = _patience.set(0.0)
    try:
        yield
    finally:
        _patience.reset(token)


class RetryingStore:
    """Another store, each of whose operations is tried for PATIENCE_SECONDS."""

    def __init__(self, store: RemoteStore) -> None:
        self._store = store

    def read(self, path: str, most: int) -> bytes | None:
        """The content of a file, None if there is none; OSError if it has more than ``most``."""
        return tried(lambda: self._store.read(path, most))

    def publish(self, path: str, content: bytes | pa.Buffer) -> None:
        """Write a file, replacing what was there."""
        tried(lambda: self._store.publish(path, content))

    def create(self, path: str, content: bytes | pa.Buffer) -> bool:
        """Write a file unless there is one; whether it was written."""
        tries = 0

        def once() -> bool:
            nonlocal tries
            tries += 1
            # An earlier try may have written it, although its answer was lost.
            ours = tries > 1 and self._store.read(path, MOST_BYTES) == content
            return ours or self._store.create(path, content)

        return tried(once)

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, without leading-dot files."""
        return tried(lambda: self._store.names(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every file below a folder, by its path from there."""
        return tried(lambda: self._store.sizes(folder))

    def delete(self, path: str) -> None:
        """Remove a file if it is there."""
        tried(lambda: self._store.delete(path))


def is_passing(error: OSError) -> bool:
    """Whether trying again may help."""
    known = isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError)
    if known or error.errno == errno.EFBIG:
        return False
    return not any(word in str(error) for word in _PERMANENT)


def tried(do: Callable[[], T], patience: float | None = None) -> T:
    """What a request answers, which is made again where it failed for the moment.

    ``patience`` is in seconds, from the first failure to the last try; by default PATIENCE_SECONDS,
    or none within :func:`impatience`.
    """
    if patience is None:
        own = _patience.get()
        patience = PATIENCE_SECONDS if own is None else own
    pause, started = FIRST_PAUSE_SECONDS, None
    jitter = random.Random()  # noqa: S311 - of pauses, nothing else
    while True:
        try:
            return do()
        except OSError as error:
            started = time.monotonic() if started is None else started
            left = patience - (time.monotonic() - started)
            if left <= 0.0 or not is_passing(error):
                raise
        time.sleep(min(left, jitter.uniform(0.5, 1.0) * pause))
        pause = min(2.0 * pause, LONGEST_PAUSE_SECONDS)
