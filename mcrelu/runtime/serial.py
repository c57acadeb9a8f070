"""Blocks in this process, one after the other: for debugging, breakpoints work."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from mcrelu.experiments.base import BlockTask
from mcrelu.runtime.block import attempt
from mcrelu.runtime.submit import Event
from mcrelu.runtime.task import BlockResult


class Attempt(NamedTuple):
    """A block that waits to be done."""

    task: BlockTask
    number: int


class SerialExecutor:
    """Does a block when it is waited for."""

    name = "serial"

    def __init__(self, device: str = "cpu") -> None:
        self._device = device

    def describe(self) -> str:
        """Where blocks are done."""
        return f"in this process, on {self._device}"

    def capacity(self) -> int:
        """One at a time."""
        return 1

    def workers(self) -> int:
        """One: this process."""
        return 1

    def memory(self) -> int:
        """Bytes of memory that this machine has."""
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def submit(self, task: BlockTask, number: int) -> Attempt:
        """Remember the block."""
        return Attempt(task, number)

    def wait(self, handles: Collection[Attempt], seconds: float) -> list[Attempt]:
        """All of them are ready to be done."""
        return list(handles)

    def result(self, handle: Attempt) -> BlockResult:
        """Do the block."""
        return attempt(replace(handle.task, device=self._device), handle.number)

    def hear(self, event: Event, task: BlockTask) -> None:
        """Nobody watches."""

    def cancel(self, handles: Collection[Attempt]) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing is held."""
