"""Blocks on Ray actors that own a device: one per GPU, or one per CPU where there is no GPU."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import RayError

from mcrelu.errors import ResourceError
from mcrelu.experiments.base import BlockTask
from mcrelu.runtime import metrics, ray_cluster
from mcrelu.runtime.ray_tasks import all_ready, cannot_run, fetch
from mcrelu.runtime.submit import Event, SystemFaultError
from mcrelu.runtime.task import BlockResult
from mcrelu.runtime.warmup import warm_attempt

Handle = ObjectRef[BlockResult]

READY_SECONDS = 120.0  # for the first actor: its process starts and imports torch


# Never restarted by Ray: a restart would wait for resources that may be gone for good.
@ray.remote(max_restarts=0, max_task_retries=0)
class _DeviceOwner:
    """A process with a device of its own."""

    def __init__(self, wish: str) -> None:
        from mcrelu.engines.torch_device import device_here

        self._device = device_here(wish)

    def device(self) -> str:
        """What it got."""
        return self._device

    def do(self, task: BlockTask, number: int) -> BlockResult:
        """Do a block on the device."""
        result = warm_attempt(replace(task, device=self._device), number)
        metrics.done([result])
        return result


class ActorExecutor:
    """Blocks on actors, one at a time each; dead actors are replaced as long as there is a device.

    An actor counts once it has its device: others on the cluster may hold some for long. Ray's own
    ActorPool drops what it has queued when its actors die, so this keeps its own books.
    """

    name = "ray"

    def __init__(self, wish: str, protected: bool = True) -> None:
        self._protected = protected
        self._gpus = wish != "cpu" and ray_cluster.count("GPU") >= 1
        if wish == "cuda" and not self._gpus:
            raise ResourceError(
                "device = 'cuda': the cluster has no GPU; add a node with one, "
                "or use device auto or cpu"
            )
        self._wish = wish if self._gpus else "cpu"
        self._starting: dict[Any, Any] = {}  # actors by the reference to their device
        self._idle: list[Any] = []
        self._busy: dict[Handle, Any] = {}
        self._unusable = 0  # devices whose actors could not use them
        self._refill()
        self._device = self._first_device()

    @classmethod
    def embed(cls, wish: str, workers: int | None = None) -> ActorExecutor:
        """Actors on a cluster of this process's own."""
        ray_cluster.embed(workers)
        return cls._on_cluster(wish)

    @classmethod
    def join(cls, wish: str, address: str) -> ActorExecutor:
        """Actors on a running cluster."""
        protected = ray_cluster.join(address)
        return cls._on_cluster(wish, protected)

    @classmethod
    def _on_cluster(cls, wish: str, protected: bool = True) -> ActorExecutor:
        try:
            return cls(wish, protected)
        except BaseException:
            ray_cluster.leave()
            raise

    def describe(self) -> str:
        """Where blocks are done."""
        kind = "GPU" if self._gpus else "CPU"
        actors = f"{self._wanted()} actors with a {kind} each, training on {self._device}"
        return f"on Ray, {actors}{ray_cluster.warning(self._protected)}"

    def capacity(self) -> int:
        """One block per actor with a device; replaces the dead, and follows the cluster."""
        self._refill()
        self._welcome()
        return len(self._idle) + len(self._busy)

    def workers(self) -> int:
        """Actors with a device."""
        return len(self._idle) + len(self._busy)

    def memory(self) -> int | None:
        """Bytes that the largest node has for a block, None if larger ones may come."""
        return ray_cluster.node_memory()

    def submit(self, task: BlockTask, number: int) -> Handle:
        """Hand a block to an actor that has none; where there is no such actor, to one to come."""
        actor = self._idle.pop() if self._idle else self._next_to_come()
        handle: Handle = actor.do.remote(task, number)
        self._busy[handle] = actor
        return handle

    def wait(self, handles: Collection[Handle], seconds: float) -> list[Handle]:
        """Finished blocks, waiting for the first at most so long."""
        return all_ready(handles, seconds)

    def result(self, handle: Handle) -> BlockResult:
        """What the actor returned; after a death all that are idle are let go.

        They may have been on the same node, and each would cost a block an attempt.

        Raises
        ------
        SystemFaultError
            If the actor or its node died.
        ResourceError
            If actors cannot import what they are to run.
        """
        actor = self._busy.pop(handle)
        try:
            result: BlockResult = fetch(handle)
        except SystemFaultError:
            for suspect in (actor, *self._idle):
                ray.kill(suspect)
            self._idle.clear()
            raise
        self._idle.append(actor)
        return result

    def hear(self, event: Event, task: BlockTask) -> None:
        """Count it in Ray's metrics."""
        metrics.heard(event, task)

    def cancel(self, handles: Collection[Handle]) -> None:
        """Kill the actors of blocks in flight; shards and checkpoints are written whole."""
        for handle in handles:
            ray.kill(self._busy.pop(handle))

    def close(self) -> None:
        """Let all actors go and leave the cluster; an embedded one ends."""
        for actor in (*self._starting.values(), *self._idle, *self._busy.values()):
            ray.kill(actor)
        ray_cluster.leave()

    def _wanted(self) -> int:
        return int(ray_cluster.count("GPU" if self._gpus else "CPU")) - self._unusable

    def _refill(self) -> None:
        while len(self._starting) + len(self._idle) + len(self._busy) < self._wanted():
            self._create()

    def _create(self) -> None:
        # Without num_cpus an actor with a GPU would hold a CPU for life, too.
        share = {"num_gpus": 1, "num_cpus": 0} if self._gpus else {"num_cpus": 1}
        actor = _DeviceOwner.options(**share).remote(self._wish)  # type: ignore[attr-defined]
        self._starting[actor.device.remote()] = actor

    def _welcome(self) -> None:
        """Take the actors that have got their devices."""
        asked = list(self._starting)
        ready, _ = ray.wait(asked, num_returns=len(asked), timeout=0) if asked else ([], [])
        for reference in ready:
            actor = self._starting.pop(reference)
            try:
                ray.get(reference)
            except RayError as error:
                ray.kill(actor)
                self._unusable += _refused(error)
            else:
                self._idle.append(actor)

    def _next_to_come(self) -> Any:
        if not self._starting:
            self._create()
        return self._starting.pop(next(iter(self._starting)))

    def _first_device(self) -> str:
        """The device of the first actor that is ready.

        Raises
        ------
        ResourceError
            If none gets ready: all devices are taken, or torch cannot use them.
        """
        asked = list(self._starting)
        ready, _ = ray.wait(asked, num_returns=1, timeout=READY_SECONDS) if asked else ([], [])
        if not ready:
            kind = "GPU" if self._gpus else "CPU"
            raise ResourceError(
                f"no free {kind} in the cluster within {READY_SECONDS:.0f} s; "
                "wait until other jobs end, or add nodes"
            )
        try:
            return str(ray.get(ready[0]))
        except RayError as error:
            raise cannot_run(error) from None


def _refused(error: Exception) -> bool:
    """Whether an actor ended because it could not use its device, and not with its node."""
    return "ResourceError: " in str(error)
