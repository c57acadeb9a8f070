"""Doing a sweep: claim the output, find what is missing, do it, record it, tally it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcrelu.errors import ExitCode, ResourceError, by_closed_pipe
from mcrelu.experiments.base import BlockTask
from mcrelu.runtime.block import versions
from mcrelu.runtime.company import Company
from mcrelu.runtime.executors import check_memory
from mcrelu.runtime.heartbeat import (
    RUNNING,
    STATUS_SECONDS,
    last_status,
    now,
    this_run,
)
from mcrelu.runtime.interrupts import Interrupts
from mcrelu.runtime.lease import Lease
from mcrelu.runtime.progress import Display, Silent
from mcrelu.runtime.submit import Executor, run_blocks
from mcrelu.runtime.task import BlockDone, BlockFailed, BlockResult, StoreFailed
from mcrelu.runtime.work import OneBlock, Work, work_of
from mcrelu.store.checkpoints import newest_epochs
from mcrelu.store.inventory import Inventory
from mcrelu.store.output import STATUS, Output
from mcrelu.store.retrying_store import impatience
from mcrelu.sweep.cell import Block

ERRORS = "errors"

# What a status says of the run that did the work
_OF_WORK = (
    "run", "started", "updated", "seconds", "versions", "networks_per_second", "seconds_left",
)  # fmt: skip

HOW_TO_GO_ON = {
    ExitCode.UNEXPECTED: "an unexpected error ended the run; report it, the same command goes on",
    ExitCode.RESOURCES: "a resource was missing; provide it, then give the same command again",
    ExitCode.FAILED_BLOCKS: "some blocks failed, see errors/; the same command tries them again",
    ExitCode.BUDGET: "raise networks or relative_width; the same command then goes on",
    ExitCode.INTERRUPTED: "interrupted; the same command goes on from here",
    ExitCode.CLOSED_PIPE: "nobody read its messages any more; the same command goes on from here",
    ExitCode.TERMINATED: "terminated; the same command goes on from here",
}


def do_sweep(
    output: Output,
    start_executor: Callable[[], Executor[Any]],
    display: Display | None = None,
    *,
    lease: Lease | None = None,
    only: Block | None = None,
) -> ExitCode:
    """Do the blocks of a claimed output that it needs and that are not there yet.

    Parameters
    ----------
    lease : of a caller that goes on with the output; by default one for this call is taken
    only : the only block to do

    Raises
    ------
    ForeignOutputError
        If another run writes the output now, or took it over.
    ResourceError
        If the output cannot be written or the executor cannot be started. What is there stays.
    """
    with Lease(output.files) if lease is None else nullcontext(lease) as held:
        held.refuse_company()
        manifest = output.manifest  # first: what others add from now on is news
        inventory = output.inventory()
        work: Work
        if only is None:
            work = work_of(output.sweep, inventory, newest_epochs(output.files))
        else:
            work = OneBlock(only, inventory)
        company = Company(work, manifest, inventory.cells, held.joins)
        session = _Session(output, held, work, company, inventory, display or Silent())
        try:
            return session.run(start_executor) if work.something() else session.finish_idle()
        except BaseException as error:
            session.try_to_say_why_it_ended(_code_of(error))
            raise


def _code_of(error: BaseException) -> ExitCode:
    """How a run ended that an exception ended."""
    if isinstance(error, ResourceError):
        return ExitCode.RESOURCES
    return ExitCode.CLOSED_PIPE if by_closed_pipe(error) else ExitCode.UNEXPECTED


@dataclass
class _Session:
    output: Output
    lease: Lease
    work: Work
    company: Company
    inventory: Inventory
    display: Display
    _started: str = field(default_factory=now)
    _began: bool = False
    _complained: bool = False
    _next_status: float = 0.0
    _kept: dict[str, Any] = field(default_factory=dict)  # of the status of an earlier run
    _old_errors: frozenset[str] = field(init=False)
    # Files of errors/ to be written, or deleted where they are None
    _errors: dict[str, dict[str, Any] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = self.output.files.names(ERRORS)
        self._old_errors = frozenset(f"{ERRORS}/{name}" for name in names)

    def run(self, start_executor: Callable[[], Executor[Any]]) -> ExitCode:
        """Start the executor, do blocks on it, and end it."""
        with Interrupts(raising=False) as interrupts:
            try:
                executor = start_executor()
            except BaseException:
                if interrupts.received is None:  # else it may be what ended the start
                    raise
                return interrupts.exit_code
            try:
                if interrupts.received is not None:
                    return interrupts.exit_code
                return self._run_on(executor)
            except BaseException as error:
                # Before the executor is closed: with its cluster gone that may end this process.
                self.try_to_say_why_it_ended(_code_of(error))
                raise
            finally:
                executor.close()

    def _run_on(self, executor: Executor[Any]) -> ExitCode:
        check_memory(self.output.sweep, executor)
        self.take()
        self.begin()
        self.display.say(f"{_ourselves()}, running {executor.describe()}")
        return self.finish(self.do(executor))

    def take(self) -> None:
        """Have the output from now on, and its manifest in order."""
        self.lease.take()
        self.output.take()
        self.output.record(self.inventory.entered)

    def begin(self) -> None:
        """Say in status.json that the output is being written, and by whom."""
        self._began = True
        self._write_status(None)

    def do(self, executor: Executor[Any]) -> ExitCode:
        """Do blocks until there are no more to do or a signal comes."""
        with Interrupts(raising=executor.name == "serial") as interrupts:
            try:
                stopping = lambda: interrupts.received is not None or self.lease.lost  # noqa: E731
                self.work.tally.forecast.employ(executor.workers())
                with closing(self._blocks(executor, stopping)) as results:
                    for result in results:
                        self._take(result)
            except KeyboardInterrupt:
                if interrupts.received is None:
                    raise
        if interrupts.received is not None:
            return interrupts.exit_code
        if self.lease.lost:
            raise self.lease.loss()
        return self.verdict()

    def _blocks(
        self, executor: Executor[Any], stopping: Callable[[], bool]
    ) -> Generator[BlockResult]:
        tick = lambda: self._tick(executor.workers())  # noqa: E731
        return run_blocks(self._next, executor, stopping, tick, self.display.say)

    def verdict(self) -> ExitCode:
        """How a run ended that did all there was to do."""
        if self.work.tally.failed:
            return ExitCode.FAILED_BLOCKS
        return ExitCode.DONE if self.work.reached() else ExitCode.BUDGET

    def finish(self, code: ExitCode) -> ExitCode:
        """Record what was done, and say in status.json and on the display how the run ended."""
        self._record()
        self._write_status(code)
        self.display.close(self.work.tally)
        return code

    def finish_idle(self) -> ExitCode:
        """As :meth:`finish` where there was nothing to do.

        The status still says when and how long the run took that did the work.
        """
        self.take()
        last = last_status(self.output) or {}
        self._kept = {key: last[key] for key in _OF_WORK if key in last}
        return self.finish(self.verdict())

    def try_to_say_why_it_ended(self, code: ExitCode) -> None:
        """As :meth:`finish`, on an output that may not take another byte, if the run had begun."""
        if not self._began:
            return
        self._began = False  # said once
        try:
            self.finish(code)
        except ResourceError:
            self.display.close(self.work.tally)

    def _next(self) -> BlockTask | None:
        block = self.company.next()
        if block is None:
            return None
        provenance = self.output.sweep.provenance(block.cell)
        return BlockTask(block, provenance, self.output.files.uri)

    def _take(self, result: BlockResult) -> None:
        if isinstance(result, StoreFailed):
            raise ResourceError(result.error)
        name = f"{ERRORS}/{result.block.cell.id}-{result.block.index:06d}.json"
        if isinstance(result, BlockDone):
            self.output.manifest.add(result.entry)
            if name in self._old_errors:
                self._errors[name] = None
        else:
            self._errors[name] = self._describe(result)
        self.work.take(result)
        self.display.update(self.work.tally)

    def _describe(self, failed: BlockFailed) -> dict[str, Any]:
        where = self.output.files.shown
        return {
            "error": failed.error,
            "cell": failed.block.cell.parameters(),
            "block": failed.block.index,
            "seed": self.output.sweep.spec.seed,
            "replay": f"mcrelu run {where}/spec.yaml --out {where} --serial --block "
            f"{failed.block.cell.id}/{failed.block.index}",
            "versions": versions(),
            "traceback": failed.traceback,
        }

    def _tick(self, workers: int) -> None:
        self.work.tally.forecast.employ(workers)
        self.display.update(self.work.tally)
        if time.monotonic() >= self._next_status:
            with impatience():  # what is not written waits for the next time
                self._write_status(None)
                try:
                    self._record()
                    self.company.look()
                except ResourceError as error:
                    self._complain(error)

    def _record(self) -> None:
        """Write what the manifest does not have yet, and what is said of failed blocks."""
        self.output.manifest.flush()
        for name, value in list(self._errors.items()):
            if value is None:
                self.output.files.delete(name)
            else:
                self.output.publish_json(name, value)
            del self._errors[name]

    def _write_status(self, code: ExitCode | None) -> None:
        """Write status.json; where that is not possible the run goes on and tries again.

        Once another run took the output over, the status is that one's.
        """
        if self.lease.lost:
            return
        self._next_status = time.monotonic() + STATUS_SECONDS
        try:
            self.output.publish_json(STATUS, self._status(code))
        except ResourceError as error:
            self._complain(error)

    def _complain(self, error: ResourceError) -> None:
        """Say once that what only tells of the run cannot be written: that ends no run."""
        if not self._complained:
            self._complained = True
            self.display.say(f"{error}. The run goes on and tries again")

    def _status(self, code: ExitCode | None) -> dict[str, Any]:
        tally = self.work.tally
        cells = {"total": tally.cells, "reached": tally.reached}
        go_on = HOW_TO_GO_ON.get(code) if code is not None else None
        return {
            "state": RUNNING if code is None else code.name.lower(),
            "exit_code": code,
            **({} if go_on is None else {"go_on": go_on}),
            "run": this_run(),
            "blocks": {
                "total": tally.blocks,
                "done": tally.blocks_done,
                "failed": tally.failed,
            },
            "networks": {"total": tally.networks, "done": tally.networks_done},
            "networks_per_second": round(tally.rate, 3),
            "seconds_left": tally.seconds_left,
            **({} if tally.reached is None else {"cells": cells}),
            "started": self._started,
            "updated": now(),
            "seconds": round(tally.seconds, 3),
            "versions": versions(),
            **self._kept,
        }


def _ourselves() -> str:
    """Which copy of the package this is: on a cluster there may be several."""
    return f"mcrelu {versions()['mcrelu']} from {Path(__file__).parents[1]}"
