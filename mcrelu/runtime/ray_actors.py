"""Blocks on Ray actors that own a device: one per GPU, or one per CPU where there is no GPU."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import RayActorError, RayError, RuntimeEnvSetupError

from mcrelu.errors import ResourceError
from mcrelu.experiments.base import BlockTask
from mcrelu.runtime import metrics, ray_cluster
from mcrelu.runtime.ray_tasks import all_ready, cannot_run, fetch
from mcrelu.runtime.submit import Event, SystemFaultError
from mcrelu.runtime.task import BlockResult
from mcrelu.runtime.warmup import warm_attempt

READY_SECONDS = 120.0  # for the first actor: its process starts and imports torch
ON_DEMAND_SECONDS = 1800.0  # for the first actor where a machine has to come first

# What a head says of GPUs that are not there and come on demand: Ray does not tell of those
# (`ray start --head --resources='{"gpus_on_demand": 4}'`, resources in cluster.yaml).
GPUS_ON_DEMAND = "gpus_on_demand"


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


class Handle:
    """An attempt at a block; it waits for an actor at first."""

    def __init__(self, task: BlockTask, number: int) -> None:
        self.task, self.number = task, number
        self.actor: Any = None
        self.reference: ObjectRef[BlockResult] | None = None


class ActorExecutor:
    """Blocks on actors, one at a time each; dead actors are replaced as long as there is a device.

    An actor counts once it has its device: others on the cluster may hold some for long. As many
    blocks again wait for actors, and for each of these an actor that has no device yet, which is
    what makes a cluster grow. Ray's own ActorPool drops what it has queued when its actors die, so
    this keeps its own books.
    """

    name = "ray"

    def __init__(self, wish: str, protected: bool = True) -> None:
        self._protected = protected
        to_come = ray_cluster.count(GPUS_ON_DEMAND) if wish != "cpu" else 0.0
        self._gpus = wish != "cpu" and ray_cluster.count("GPU") + to_come >= 1
        if wish == "cuda" and not self._gpus:
            raise ResourceError(
                "device = 'cuda': the cluster has no GPU; add a node with one, "
                "or use device auto or cpu"
            )
        self._wish = wish if self._gpus else "cpu"
        self._waiting: deque[Handle] = deque()
        self._starting: dict[Any, Any] = {}  # actors by the reference to their device
        self._idle: list[Any] = []
        self._busy: dict[ObjectRef[BlockResult], Handle] = {}
        self._unusable = 0  # devices whose actors could not use them
        self._device: str | None = None  # of the first actor that had one
        self._began = time.monotonic()
        self._follow()
        if self._starting and not to_come:
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
        actors = f"{self._devices()} actors with a {self._kind} each"
        where = f"training on {self._device}" if self._device else "more as machines come"
        return f"on Ray, {actors}, {where}{ray_cluster.warning(self._protected)}"

    def capacity(self) -> int:
        """Two blocks per actor with a device.

        Raises
        ------
        ResourceError
            If no actor can use its device, or no device came in time.
        """
        self._welcome()
        self._dispatch()
        return 2 * self.workers()

    def workers(self) -> int:
        """Actors with a device."""
        return len(self._idle) + len(self._busy)

    def memory(self) -> int | None:
        """Bytes that the largest node has for a block, None if larger ones may come."""
        return ray_cluster.node_memory()

    def submit(self, task: BlockTask, number: int) -> Handle:
        """Have a block done by the next actor that is free."""
        handle = Handle(task, number)
        self._waiting.append(handle)
        self._dispatch()
        return handle

    def wait(self, handles: Collection[Handle], seconds: float) -> list[Handle]:
        """Finished blocks, waiting for the first at most so long.

        Before, when it is known what waits: replaces dead actors, and follows the cluster.
        """
        self._follow()
        asked = [one.reference for one in handles if one.reference is not None]
        if asked:
            ready = set(all_ready(asked, seconds))
            return [one for one in handles if one.reference in ready]
        all_ready(self._starting, seconds)
        return []

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
        assert handle.reference is not None
        del self._busy[handle.reference]
        try:
            result: BlockResult = fetch(handle.reference)
        except SystemFaultError:
            for suspect in (handle.actor, *self._idle):
                ray.kill(suspect)
            self._idle.clear()
            raise
        self._idle.append(handle.actor)
        self._dispatch()
        return result

    def hear(self, event: Event, task: BlockTask) -> None:
        """Count it in Ray's metrics."""
        metrics.heard(event, task)

    def cancel(self, handles: Collection[Handle]) -> None:
        """Kill the actors of blocks in flight; shards and checkpoints are written whole."""
        for handle in handles:
            if handle.reference is None:
                self._waiting.remove(handle)
            else:
                del self._busy[handle.reference]
                ray.kill(handle.actor)

    def close(self) -> None:
        """Let all actors go and leave the cluster; an embedded one ends."""
        busy = (handle.actor for handle in self._busy.values())
        for actor in (*self._starting.values(), *self._idle, *busy):
            ray.kill(actor)
        ray_cluster.leave()

    @property
    def _kind(self) -> str:
        return "GPU" if self._gpus else "CPU"

    def _devices(self) -> int:
        """Devices that the cluster has now."""
        return int(ray_cluster.count(self._kind)) - self._unusable

    def _dispatch(self) -> None:
        """Give blocks that wait to actors that are free."""
        while self._idle and self._waiting:
            handle, actor = self._waiting.popleft(), self._idle.pop()
            reference = actor.do.remote(handle.task, handle.number)
            handle.actor, handle.reference = actor, reference
            self._busy[reference] = handle

    def _follow(self) -> None:
        """Have an actor for each device there is, and for each block that waits one to come.

        So a cluster that grows on demand gets to know how many devices there is work for.
        """
        wanted = self._devices()
        if not (self._unusable and self.workers()):  # else one to come may get what is of no use
            wanted = max(wanted, self.workers() + len(self._waiting))
        for _ in range(wanted - self.workers() - len(self._starting)):
            self._create()
        for reference in list(self._starting)[max(0, wanted - self.workers()) :]:
            ray.kill(self._starting.pop(reference))

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
                device = str(ray.get(reference))
            except RayError as error:
                ray.kill(actor)
                self._learn(error)
            else:
                self._device = self._device or device
                self._idle.append(actor)
        if self._device is None and time.monotonic() > self._began + ON_DEMAND_SECONDS:
            raise self._none_came(ON_DEMAND_SECONDS)

    def _learn(self, error: RayError) -> None:
        """Count a device that cannot be used; an actor that went with its node is no matter.

        Raises
        ------
        ResourceError
            If it was the only device, or the actor failed for another reason.
        """
        of_its_own = isinstance(error, RuntimeEnvSetupError) or (
            isinstance(error, RayActorError) and error.actor_init_failed
        )
        self._unusable += _refused(error)
        alone = not self.workers() and self._devices() < 1
        if of_its_own and (alone or not _refused(error)):
            raise cannot_run(error) from None

    def _first_device(self) -> str:
        """The device of the first actor that is ready.

        Raises
        ------
        ResourceError
            If none gets ready: all devices are taken, or torch cannot use them.
        """
        ready, _ = ray.wait(list(self._starting), num_returns=1, timeout=READY_SECONDS)
        if not ready:
            raise self._none_came(READY_SECONDS)
        try:
            return str(ray.get(ready[0]))
        except RayError as error:
            raise cannot_run(error) from None

    def _none_came(self, seconds: float) -> ResourceError:
        return ResourceError(
            f"no free {self._kind} in the cluster within {seconds:.0f} s; "
            "wait until other jobs end, or add nodes"
        )


def _refused(error: Exception) -> bool:
    """Whether an actor ended because it could not use its device, and not with its node."""
    return "ResourceError: " in str(error)
