"""Blocks as Ray tasks."""

from __future__ import annotations

from collections.abc import Collection

import ray
from ray import ObjectRef
from ray.exceptions import RayError

from mcrelu.runtime import ray_cluster
from mcrelu.runtime.submit import SystemFaultError
from mcrelu.runtime.task import BlockResult, BlockTask
from mcrelu.runtime.warmup import warm_attempt

IN_FLIGHT_PER_CPU = 2  # enough to keep workers busy between polls

Handle = ObjectRef[BlockResult]


# The submission loop retries, so that it can count; Ray would retry out-of-memory for ever.
@ray.remote(num_cpus=1, max_retries=0)
def _do_block(task: BlockTask, number: int) -> BlockResult:
    return warm_attempt(task, number)


class RayExecutor:
    """Blocks as tasks of one CPU each."""

    name = "ray"

    @classmethod
    def embed(cls, workers: int | None = None) -> RayExecutor:
        """Tasks on a cluster of this process's own."""
        ray_cluster.embed(workers)
        return cls()

    @classmethod
    def join(cls, address: str) -> RayExecutor:
        """Tasks on a running cluster."""
        ray_cluster.join(address)
        return cls()

    def describe(self) -> str:
        """Where blocks are done."""
        return f"on Ray, {ray_cluster.count('CPU'):g} CPUs"

    def capacity(self) -> int:
        """A few blocks for every CPU that the cluster has now."""
        return int(IN_FLIGHT_PER_CPU * ray_cluster.count("CPU"))

    def submit(self, task: BlockTask, number: int) -> Handle:
        """Hand a block to Ray."""
        return _do_block.remote(task, number)

    def wait(self, handles: Collection[Handle], seconds: float) -> list[Handle]:
        """Finished blocks, waiting for the first at most so long."""
        return first_of(handles, seconds)

    def result(self, handle: Handle) -> BlockResult:
        """What the worker returned.

        Raises
        ------
        SystemFaultError
            If the worker or its node died, or memory ran out.
        """
        return result_of(handle)

    def cancel(self, handles: Collection[Handle]) -> None:
        """Kill the workers of blocks in flight; a shard is written whole or not at all."""
        for handle in handles:
            ray.cancel(handle, force=True)

    def close(self) -> None:
        """Leave the cluster; an embedded one ends."""
        ray_cluster.leave()


def first_of(handles: Collection[Handle], seconds: float) -> list[Handle]:
    """The first result that is there, waiting for it at most so long."""
    done, _ = ray.wait(list(handles), num_returns=1, timeout=seconds, fetch_local=True)
    return list(done)


def result_of(handle: Handle) -> BlockResult:
    """What a worker returned, or a SystemFaultError where none could."""
    try:
        result: BlockResult = ray.get(handle)
    except RayError as error:
        line = str(error).strip().splitlines()[0]
        raise SystemFaultError(f"{type(error).__name__}: {line}") from error
    return result
