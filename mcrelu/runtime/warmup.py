"""Kernels are compiled by one worker of a machine while the others wait, then read its cache."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from mcrelu.experiments.base import BlockTask, experiment_of
from mcrelu.runtime.block import as_result, attempt, attempt_all
from mcrelu.runtime.task import BlockResult
from mcrelu.sweep.cell import Cell, Provenance

# A worker that waits longer compiles for itself: the machine may have no cache to share.
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.1

LOCK = "kernels.lock"


@cache
def warm_up(cell: Cell) -> None:
    """Have the kernels of a cell compiled in this process, from the cache if there is one."""
    for small in experiment_of(cell).warm_up_cells(cell):
        _train(small)


def warm_attempt(task: BlockTask, number: int) -> BlockResult:
    """:func:`~mcrelu.runtime.block.attempt` in a worker that may be new."""
    return _cold(task) or attempt(task, number)


def warm_attempts(attempts: Sequence[tuple[BlockTask, int]]) -> list[BlockResult]:
    """:func:`~mcrelu.runtime.block.attempt_all` in a worker that may be new."""
    cold = [_cold(task) for task, _ in attempts]
    done = iter(attempt_all([one for one, fault in zip(attempts, cold, strict=True) if not fault]))
    return [fault or next(done) for fault in cold]


def _cold(task: BlockTask) -> BlockResult | None:
    """What keeps the kernels of a block from being compiled, if anything does."""
    return as_result(task.block, lambda: warm_up(task.block.cell))


@cache
def _train(warm_up_cell: Cell) -> None:
    with _alone():
        # Of the streams, this is the one whose kernels must be compiled.
        provenance = Provenance(0, "philox4x32", 1, "")
        experiment_of(warm_up_cell).seconds(warm_up_cell, provenance, networks=1)


@contextmanager
def _alone() -> Iterator[None]:
    """Hold this user's lock on the machine, or go on without it: it only saves time."""
    descriptor = _lock_file()
    try:
        if descriptor is not None:
            _wait_for(descriptor)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _lock_file() -> int | None:
    """The open lock file in a private folder of this user, None where there can be none.

    Temporary folders are shared: whatever another user has put in the way, a link too, is neither
    followed nor changed nor waited for.
    """
    folder = Path(tempfile.gettempdir()) / f"mcrelu-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        within = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            found = os.fstat(within)
            if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                return None
            return os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=within)
        finally:
            os.close(within)
    except OSError:
        return None


def _wait_for(descriptor: int) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while not _locked(descriptor) and time.monotonic() < ends:
        time.sleep(POLL_SECONDS)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a filesystem without locks: nothing to wait for
        return True
    return True
