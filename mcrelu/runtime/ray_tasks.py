"""Blocks as Ray tasks; short blocks share one."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import ray
from ray import ObjectRef
from ray.exceptions import RayError, RayTaskError, RuntimeEnvSetupError

from mcrelu.errors import ResourceError
from mcrelu.experiments.base import BlockTask
from mcrelu.runtime import metrics, ray_cluster
from mcrelu.runtime.block import versions
from mcrelu.runtime.submit import Event, SystemFaultError
from mcrelu.runtime.task import BlockResult
from mcrelu.runtime.warmup import warm_attempts
from mcrelu.sweep.cell import Cell

IN_FLIGHT_PER_CPU = 2  # tasks; enough to keep workers busy between polls

# A task costs driver and worker some milliseconds, so blocks share one that takes about so long.
TASK_SECONDS = 0.2
MAX_BLOCKS_PER_TASK = 256

CLUSTER_SECONDS = 1.0  # for which the number of CPUs is taken as known: asking takes a millisecond

# Ray keeps workers for each amount of memory that tasks ask for, so there shall be few.
MEMORY_STEP = 64 * 2**20  # bytes


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Attempt(NamedTuple):
    """One attempt at a block."""

    task: BlockTask
    number: int


class Done(NamedTuple):
    """What a Ray task returns."""

    results: list[BlockResult]
    seconds: float


# The submission loop retries, so that it can count; Ray would retry out-of-memory for ever.
@ray.remote(num_cpus=1, max_retries=0)
def _do_blocks(attempts: Sequence[Attempt]) -> Done:
    started = time.perf_counter()
    results = warm_attempts(attempts)
    metrics.done(results)
    return Done(results, time.perf_counter() - started)


class Handle:
    """A block that was submitted; two attempts at a block are two handles."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt


class RayExecutor:
    """Blocks as tasks of one CPU each and the memory that they need.

    Blocks of a cell share a task as far as they are short; each has its own result, and only the
    first attempts share: a block that kills its workers takes each neighbour with it once at most.
    """

    name = "ray"

    def __init__(self, protected: bool = True) -> None:
        self._protected = protected
        self._sizes = _TaskSizes()
        self._gathered: list[Handle] = []  # blocks of the next task
        self._tasks: dict[ObjectRef[Done], list[Handle]] = {}  # in flight
        self._outcomes: dict[Handle, BlockResult | Exception] = {}  # not asked for yet
        self._unwanted: set[Handle] = set()  # in flight beside others that are wanted
        self._cpus, self._asked = 0.0, -CLUSTER_SECONDS

    @classmethod
    def embed(cls, workers: int | None = None) -> RayExecutor:
        """Tasks on a cluster of this process's own."""
        ray_cluster.embed(workers)
        return cls()

    @classmethod
    def join(cls, address: str) -> RayExecutor:
        """Tasks on a running cluster."""
        protected = ray_cluster.join(address)
        return cls(protected)

    def describe(self) -> str:
        """Where blocks are done."""
        cpus = ray_cluster.count("CPU")
        found = f"{cpus:g} CPUs" if cpus else "no CPUs yet"
        return f"on Ray, {found}{ray_cluster.warning(self._protected)}"

    def memory(self) -> int | None:
        """Bytes that the largest node has for a block, None if larger ones may come."""
        return ray_cluster.node_memory()

    def capacity(self) -> int:
        """Blocks for a few tasks for every CPU that the cluster has now."""
        return int(IN_FLIGHT_PER_CPU * self._cpus_now()) * self._sizes.latest

    def workers(self) -> int:
        """One per CPU."""
        return int(self._cpus_now())

    def submit(self, task: BlockTask, number: int) -> Handle:
        """Put a block into the next task; it goes to Ray when it is full or waited for."""
        handle = Handle(Attempt(task, number))
        if number > 1:
            self._hand_over([handle])
            return handle
        if self._gathered and self._gathered[0].attempt.task.block.cell != task.block.cell:
            self._flush()
        self._gathered.append(handle)
        if len(self._gathered) >= self._sizes.of(task.block.cell):
            self._flush()
        return handle

    def wait(self, handles: Collection[Handle], seconds: float) -> list[Handle]:
        """Finished blocks, waiting for the first at most so long."""
        self._flush()
        for reference in all_ready(self._tasks, seconds):
            self._collect(reference)
        return [handle for handle in handles if handle in self._outcomes]

    def result(self, handle: Handle) -> BlockResult:
        """What the worker returned.

        Raises
        ------
        SystemFaultError
            If the worker or its node died, or memory ran out.
        ResourceError
            If workers cannot import what they are to run.
        """
        outcome = self._outcomes.pop(handle)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def hear(self, event: Event, task: BlockTask) -> None:
        """Count it in Ray's metrics."""
        metrics.heard(event, task)

    def cancel(self, handles: Collection[Handle]) -> None:
        """Kill the workers that do nothing but such blocks; a shard is whole or not there."""
        self._unwanted |= set(handles)
        self._gathered = [one for one in self._gathered if one not in self._unwanted]
        for handle in handles:
            self._outcomes.pop(handle, None)
        for reference, sharing in list(self._tasks.items()):
            if self._unwanted.issuperset(sharing):
                del self._tasks[reference]
                ray.cancel(reference, force=True)
        self._forget_unwanted()

    def close(self) -> None:
        """Leave the cluster; an embedded one ends."""
        ray_cluster.leave()

    def _cpus_now(self) -> float:
        now = time.monotonic()
        if now >= self._asked + CLUSTER_SECONDS:
            self._cpus, self._asked = ray_cluster.count("CPU"), now
        return self._cpus

    def _flush(self) -> None:
        if self._gathered:
            self._hand_over(self._gathered)
            self._gathered = []

    def _hand_over(self, handles: list[Handle]) -> None:
        attempts = [handle.attempt for handle in handles]
        need = max(_memory(task.block.cell, task.block.networks) for task, _ in attempts)
        self._tasks[_with_memory(need).remote(attempts)] = handles

    def _collect(self, reference: ObjectRef[Done]) -> None:
        handles = self._tasks.pop(reference)
        outcomes = self._results(reference, handles)
        for handle, outcome in zip(handles, outcomes, strict=True):
            if handle not in self._unwanted:
                self._outcomes[handle] = outcome
        self._forget_unwanted()

    def _forget_unwanted(self) -> None:
        """Keep those given up that share a task with others in flight, and no more."""
        if self._unwanted:
            self._unwanted &= {handle for sharing in self._tasks.values() for handle in sharing}

    def _results(
        self, reference: ObjectRef[Done], handles: Sequence[Handle]
    ) -> Sequence[BlockResult | Exception]:
        """What became of each block of a task that has ended."""
        try:
            done: Done = fetch(reference)
        except (SystemFaultError, ResourceError) as error:
            return [error] * len(handles)
        self._sizes.learn(handles[0].attempt.task.block.cell, len(handles), done.seconds)
        return done.results


class _TaskSizes:
    """How many blocks of each cell share a task, from the time that they took."""

    def __init__(self) -> None:
        self.latest = 1  # for the cell of the last block that was submitted
        self._seconds: dict[Cell, float] = {}  # per block: a mean of which the last task is half
        self._sizes: dict[Cell, int] = {}

    def of(self, cell: Cell) -> int:
        """Blocks per task of a cell."""
        self.latest = self._sizes.get(cell, 1)
        return self.latest

    def learn(self, cell: Cell, blocks: int, seconds: float) -> None:
        """Take in the time of a task; a size at most doubles, should its blocks be exceptions."""
        mean = seconds / blocks
        mean = (mean + self._seconds.get(cell, mean)) / 2
        self._seconds[cell] = mean
        most = min(MAX_BLOCKS_PER_TASK, 2 * blocks)
        self._sizes[cell] = max(1, min(most, int(TASK_SECONDS / mean)))


@cache
def _with_memory(need: int) -> Any:
    return _do_blocks.options(memory=need)


@cache
def _memory(cell: Cell, networks: int) -> int:
    """Bytes that a task asks for."""
    return -(-cell.memory(networks) // MEMORY_STEP) * MEMORY_STEP


def all_ready(references: Iterable[Any], seconds: float) -> list[Any]:
    """All results that are there, waiting for the first at most so long."""
    asked = list(references)
    if not asked:
        return []
    ready, rest = ray.wait(asked, num_returns=1, timeout=seconds, fetch_local=True)
    if ready and rest:
        more, _ = ray.wait(rest, num_returns=len(rest), timeout=0, fetch_local=True)
        ready += more
    return list(ready)


def fetch(reference: Any) -> Any:
    """What a worker returned.

    Raises
    ------
    SystemFaultError
        If it died or its node did, or memory ran out.
    ResourceError
        If it cannot run this package: blocks turn their own exceptions into results.
    """
    try:
        return ray.get(reference)
    except (RayTaskError, RuntimeEnvSetupError) as error:
        raise cannot_run(error) from None
    except RayError as error:
        raise SystemFaultError(f"{type(error).__name__}: {_plain_lines(error)[0]}") from error


def cannot_run(error: RayError) -> ResourceError:
    """What kept workers from running this package, in one line.

    The last line of Ray's text is the exception that began it.
    """
    cause = _plain_lines(error)[-1]
    _, ours, message = cause.partition(f"{ResourceError.__name__}: ")
    if ours:
        return ResourceError(message)
    return ResourceError(
        f"workers cannot run mcrelu ({cause}); install mcrelu {versions()['mcrelu']} with all it "
        "needs on every node, then give the same command again"
    )


def _plain_lines(error: RayError) -> list[str]:
    lines = [_COLOUR.sub("", line).strip() for line in str(error).splitlines()]
    return [line for line in lines if line] or [type(error).__name__]
