"""One block: do it and publish its shard, whatever experiment it is of."""

from __future__ import annotations

import os
import platform
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple, TypeVar

import pyarrow as pa

from mcrelu.counting import Counts, counting
from mcrelu.errors import ResourceError, UserError
from mcrelu.experiments.base import BlockTask, experiment_of
from mcrelu.runtime.task import BlockDone, BlockFailed, BlockResult, StoreFailed
from mcrelu.store.files import Files
from mcrelu.store.shards import publish_shard, shard_of
from mcrelu.sweep.cell import Block

PACKAGES = ("mcrelu", "numpy", "numba", "ray", "torch")

PUBLISHERS = 16  # threads that wait for the store

T = TypeVar("T")


def attempt(task: BlockTask, number: int = 1) -> BlockResult:
    """Do a block and publish its shard; exceptions become results."""
    return as_result(task.block, lambda: _publish(_train(task, number)))


def attempt_all(attempts: Sequence[tuple[BlockTask, int]]) -> list[BlockResult]:
    """:func:`attempt` for short blocks: while one is trained, shards of earlier ones are written.

    Forcing a file to the disk takes milliseconds of waiting, which many files share.
    """
    begun = [_begin(_publishers(), task, number) for task, number in attempts]
    return [finish() for finish in begun]


@cache
def _publishers() -> ThreadPoolExecutor:
    """One pool for the life of a worker: threads that come and go leave memory in pieces."""
    return ThreadPoolExecutor(PUBLISHERS, "publishes")


def _begin(pool: ThreadPoolExecutor, task: BlockTask, number: int) -> Callable[[], BlockResult]:
    trained = as_result(task.block, lambda: _train(task, number))
    if not isinstance(trained, _Trained):
        return lambda: trained
    return pool.submit(as_result, task.block, lambda: _publish(trained)).result


def as_result(block: Block, do: Callable[[], T]) -> T | BlockFailed | StoreFailed:
    """What ``do`` returns for a block, or what its exception says of it.

    A missing resource (the store, torch, a device) may come back and is no fault of the block;
    anything else would be raised again by every further attempt.
    """
    try:
        return do()
    except ResourceError as error:
        return StoreFailed(block, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other blocks go on
        first_line = str(error).partition("\n")[0]
        return BlockFailed(block, f"{type(error).__name__}: {first_line}", traceback.format_exc())


class _Trained(NamedTuple):
    """A block whose shard is not written yet."""

    task: BlockTask
    shard: pa.Buffer
    summary: dict[str, int]
    seconds: float
    counts: Counts


def _train(task: BlockTask, number: int) -> _Trained:
    """Do a block, up to its shard: threads that take memory from Arrow each keep some of it."""
    started, experiment = time.perf_counter(), experiment_of(task.block.cell)
    with counting() as counts:
        rows = experiment.do(task, _files_at(task.out))
    seconds = time.perf_counter() - started
    shard = shard_of(task.block, task.provenance, rows, _metadata(task, seconds, number))
    return _Trained(task, shard, experiment.summary(rows), seconds, counts)


def _publish(trained: _Trained) -> BlockDone:
    task, shard, summary, seconds, counts = trained
    started = time.perf_counter()
    published = publish_shard(_files_at(task.out), task.block, shard)
    write_seconds = time.perf_counter() - started
    return BlockDone(task.block, seconds, published, summary, write_seconds, counts)


@cache
def _files_at(out: str) -> Files:
    """The files of an output, opened once per process."""
    try:
        return Files.at(out)
    except UserError as error:  # the output was there when the run began
        raise ResourceError(str(error)) from error


@cache
def versions() -> dict[str, str]:
    """Versions of what the rows depend on; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _metadata(task: BlockTask, seconds: float, attempt_number: int) -> dict[str, str]:
    """What a shard says beside its identity; its rows depend on it through versions at most."""
    return {
        **_of_this_process(),
        "device": task.device,
        "wall_seconds": f"{seconds:.6f}",
        "attempt": str(attempt_number),
    }


@cache
def _of_this_process() -> dict[str, str]:
    """Metadata that all shards of a process share."""
    return {
        **{f"version.{package}": number for package, number in versions().items()},
        "host": socket.gethostname(),
        "pid": str(os.getpid()),
    }
