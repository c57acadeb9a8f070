"""Doing a sweep: claim the output, find what is missing, do it, tally it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcrelu.errors import ExitCode, ResourceError
from mcrelu.runtime.block import versions
from mcrelu.runtime.executors import check_memory
from mcrelu.runtime.interrupts import Interrupts
from mcrelu.runtime.progress import Display, Silent
from mcrelu.runtime.submit import Executor, run_blocks
from mcrelu.runtime.task import BlockDone, BlockFailed, BlockResult, BlockTask, StoreFailed
from mcrelu.runtime.work import Work, work_of
from mcrelu.store.output import STATUS, Output

ERRORS = "errors"
STATUS_SECONDS = 5.0


def do_sweep(
    output: Output,
    start_executor: Callable[[], Executor[Any]],
    display: Display | None = None,
) -> ExitCode:
    """Do the blocks of a claimed output that it needs and that are not there yet.

    Raises
    ------
    ResourceError
        If the output cannot be written or the executor cannot be started. What is there stays.
    """
    work = work_of(output)
    session = _Session(output, work, display or Silent())
    if not work.something():
        output.take()
        return session.finish(session.verdict())
    executor = start_executor()
    try:
        check_memory(output.sweep, executor)
        output.take()
        session.display.say(f"{_ourselves()}, running {executor.describe()}")
        return session.finish(session.do(executor))
    except ResourceError:
        session.try_to_say_why_it_ended(ExitCode.RESOURCES)
        raise
    finally:
        executor.close()


@dataclass
class _Session:
    output: Output
    work: Work
    display: Display
    _started: str = field(init=False)
    _next_status: float = 0.0
    _old_errors: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._started = _now()
        names = self.output.files.names(ERRORS)
        self._old_errors = frozenset(f"{ERRORS}/{name}" for name in names)

    def do(self, executor: Executor[Any]) -> ExitCode:
        """Do blocks until there are no more to do or a signal comes."""
        with Interrupts(raising=executor.name == "serial") as interrupts:
            try:
                stopping = lambda: interrupts.received is not None  # noqa: E731
                with closing(run_blocks(self._next, executor, stopping, self._tick)) as results:
                    for result in results:
                        self._take(result)
            except KeyboardInterrupt:
                if interrupts.received is None:
                    raise
        if interrupts.received is not None:
            return interrupts.exit_code
        return self.verdict()

    def verdict(self) -> ExitCode:
        """How a run ended that did all there was to do."""
        if self.work.tally.failed:
            return ExitCode.FAILED_BLOCKS
        return ExitCode.DONE if self.work.precise() else ExitCode.BUDGET

    def finish(self, code: ExitCode) -> ExitCode:
        """Say in status.json and on the display how the run ended."""
        self._write_status(code)
        self.display.close(self.work.tally)
        return code

    def try_to_say_why_it_ended(self, code: ExitCode) -> None:
        """As :meth:`finish`, on an output that may not take another byte."""
        try:
            self.finish(code)
        except ResourceError:
            self.display.close(self.work.tally)

    def _next(self) -> BlockTask | None:
        block = self.work.next()
        if block is None:
            return None
        return BlockTask(block, self.output.origin(block.cell), self.output.files.uri)

    def _take(self, result: BlockResult) -> None:
        if isinstance(result, StoreFailed):
            raise ResourceError(result.error)
        name = f"{ERRORS}/{result.block.cell.id}-{result.block.index:06d}.json"
        if isinstance(result, BlockDone):
            if name in self._old_errors:
                self.output.files.delete(name)
        else:
            self.output.publish_json(name, self._describe(result))
        self.work.take(result)
        self.display.update(self.work.tally)

    def _describe(self, failed: BlockFailed) -> dict[str, Any]:
        where = self.output.files.uri
        return {
            "error": failed.error,
            "cell": failed.block.cell.parameters(),
            "block": failed.block.index,
            "seed": self.output.sweep.spec.seed,
            "replay": f"mcrelu run {where}/spec.yaml --out {where} --serial",
            "versions": versions(),
            "traceback": failed.traceback,
        }

    def _tick(self) -> None:
        self.display.update(self.work.tally)
        if time.monotonic() >= self._next_status:
            self._write_status(None)
            self._next_status = time.monotonic() + STATUS_SECONDS

    def _write_status(self, code: ExitCode | None) -> None:
        tally = self.work.tally
        cells = {"total": tally.cells, "precise": tally.precise}
        self.output.publish_json(
            STATUS,
            {
                "state": "running" if code is None else code.name.lower(),
                "exit_code": code,
                "blocks": {
                    "total": tally.blocks,
                    "done": tally.blocks_done,
                    "failed": tally.failed,
                },
                "networks": {"total": tally.networks, "done": tally.networks_done},
                **({} if tally.precise is None else {"cells": cells}),
                "started": self._started,
                "updated": _now(),
                "seconds": round(tally.seconds, 3),
                "versions": versions(),
            },
        )


def _ourselves() -> str:
    """Which copy of the package this is: on a cluster there may be several."""
    return f"mcrelu {versions()['mcrelu']} from {Path(__file__).parents[1]}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
