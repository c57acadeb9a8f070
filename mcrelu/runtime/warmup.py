"""Kernels are compiled by one worker of a machine while the others wait, then read its cache."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from mcrelu.runtime.block import train_block
from mcrelu.store.shards import Provenance
from mcrelu.sweep.cell import Block, Cell, StepRule
from mcrelu.train import Checks

# A worker that waits longer compiles for itself: the machine may have no cache to share.
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.1

_WIDTH = 8
_FAR = StepRule(over_width=1e6)  # kinks cross at once: the kernels behind crossings run, too


def warm_up(cell: Cell) -> None:
    """Have the kernels of a cell compiled in this process, from the cache if there is one."""
    _rehearse(replace(cell, width=_WIDTH, checks=Checks(2, 1), offset=0.0, init="he"))


@cache
def _rehearse(cell: Cell) -> None:
    with _alone():
        for one in (cell, replace(cell, step_rule=_FAR)):
            train_block(Block(one, index=0, first=0, networks=1), Provenance(0, "philox", 1))


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
