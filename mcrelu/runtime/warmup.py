"""Kernels are compiled by one worker of a machine while the others wait, then read its cache."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from mcrelu.errors import UserError
from mcrelu.experiments.base import experiment_of
from mcrelu.runtime.block import attempt
from mcrelu.runtime.task import BlockResult, BlockTask, StoreFailed
from mcrelu.sweep.cell import Cell, Provenance

# A worker that waits longer compiles for itself: the machine may have no cache to share.
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.1


def warm_up(cell: Cell) -> None:
    """Have the kernels of a cell compiled in this process, from the cache if there is one."""
    for toy in experiment_of(cell).warm_up_cells(cell):
        _rehearse(toy)


def warm_attempt(task: BlockTask, number: int) -> BlockResult:
    """:func:`~mcrelu.runtime.block.attempt` in a worker that may be new."""
    try:
        warm_up(task.block.cell)
    except UserError as error:
        return StoreFailed(task.block, str(error))
    return attempt(task, number)


@cache
def _rehearse(toy: Cell) -> None:
    with _alone():
        experiment_of(toy).seconds(toy, Provenance(0, "philox", 1, ""), networks=1)


@contextmanager
def _alone() -> Iterator[None]:
    """Hold this user's lock on the machine, or go on without it after a while."""
    path = Path(tempfile.gettempdir()) / f"mcrelu-kernels-{os.getuid()}.lock"
    with path.open("w") as lock:
        ends = time.monotonic() + PATIENCE_SECONDS
        while not _locked(lock.fileno()) and time.monotonic() < ends:
            time.sleep(POLL_SECONDS)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
