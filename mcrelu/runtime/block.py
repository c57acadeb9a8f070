"""One block: do it and publish its shard, whatever experiment it is of."""

from __future__ import annotations

import os
import platform
import socket
import time
import traceback
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from mcrelu.errors import UserError
from mcrelu.experiments.base import BlockTask, experiment_of
from mcrelu.runtime.task import BlockDone, BlockFailed, BlockResult, StoreFailed
from mcrelu.store.files import Files
from mcrelu.store.shards import publish_shard

PACKAGES = ("mcrelu", "numpy", "numba", "ray", "torch")


def attempt(task: BlockTask, number: int = 1) -> BlockResult:
    """Do a block and publish its shard; exceptions become results.

    Nothing is caught so that a retry can help: a retry of a deterministic error repeats it, and
    system faults (a killed worker) never come here.
    """
    try:
        started = time.perf_counter()
        files, experiment = Files.at(task.out), experiment_of(task.block.cell)
        rows = experiment.do(task, files)
        seconds = time.perf_counter() - started
        metadata = _metadata(task, seconds, number)
        shard = publish_shard(files, task.block, task.provenance, rows, metadata)
        summary = experiment.summary(rows)
    except UserError as error:
        return StoreFailed(task.block, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other blocks go on
        line = f"{type(error).__name__}: {error}"
        return BlockFailed(task.block, line, traceback.format_exc())
    return BlockDone(task.block, seconds, shard, summary)


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
        **{f"version.{package}": number for package, number in versions().items()},
        "host": socket.gethostname(),
        "pid": str(os.getpid()),
        "device": task.device,
        "wall_seconds": f"{seconds:.6f}",
        "attempt": str(attempt_number),
    }
