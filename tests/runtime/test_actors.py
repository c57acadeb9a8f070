"""Actors that own devices: as many as there are, replaced when they die, refused where none is."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from clusters import QUICK_HEALTH_CHECKS, cluster_of, joined_cluster
from processes import Process, descendants, identified, wait_until
from small_sweeps import assert_same_rows, output, run_serially, shard_files
from star_sweeps import star_sweep

from mcrelu.errors import ExitCode, ResourceError
from mcrelu.runtime.progress import Silent, Tally
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.sweep.sweep import Sweep

pytest.importorskip("torch")
ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.slow]

from mcrelu.runtime import ray_actors  # noqa: E402
from mcrelu.runtime.ray_actors import ActorExecutor  # noqa: E402

# Eight blocks of about a second each.
DEEP: dict[str, Any] = {
    "networks": 16,
    "block_size": 2,
    "epochs": 4000,
    "cells": {"width": [8], "data": ["standard"], "depth": [2]},
}
BLOCKS = 8


class Injector(Silent):
    """Calls a function whenever the display is updated."""

    def __init__(self, inject: Callable[[Tally], None]) -> None:
        self._inject = inject

    def update(self, tally: Tally) -> None:
        self._inject(tally)


@pytest.fixture
def fake_gpus() -> Iterator[None]:
    """A local cluster that believes to have two GPUs."""
    with joined_cluster(num_cpus=2, num_gpus=2):
        yield


def attempts(folder: Path, wanted: Sweep) -> list[int]:
    metadata = [pq.read_schema(path).metadata for path in shard_files(folder, wanted)]
    return [int(each[b"mcrelu.attempt"]) for each in metadata]


def owners() -> list[int]:
    """The processes of actors below this one."""
    return [
        pid
        for pid in descendants(os.getpid())
        if "_DeviceOwner" in Path(f"/proc/{pid}/cmdline").read_text()
    ]


def test_one_actor_per_gpu_and_no_cpu_for_it(fake_gpus: None, tmp_path: Path) -> None:
    wanted = star_sweep(**DEEP)
    executor = ActorExecutor("auto")
    wait_until(lambda: executor.capacity() == 4, "both actors to have a GPU")
    assert executor.workers() == 2
    assert executor.describe() == "on Ray, 2 actors with a GPU each, training on cpu"
    assert ray.available_resources().get("GPU", 0) == 0
    assert ray.available_resources()["CPU"] == 2
    done = output(tmp_path / "out", wanted)
    assert do_sweep(done, lambda: executor) == ExitCode.DONE
    assert_same_rows(done, run_serially(tmp_path / "serial", wanted))


def test_without_gpus_one_actor_per_cpu(tmp_path: Path) -> None:
    wanted = star_sweep(**DEEP)
    done = output(tmp_path / "out", wanted)
    described: list[str] = []

    class Listener(Silent):
        def say(self, text: str) -> None:
            described.append(text)

    assert do_sweep(done, lambda: ActorExecutor.embed("auto", 2), Listener()) == ExitCode.DONE
    (line,) = described
    assert line.endswith("running on Ray, 2 actors with a CPU each, training on cpu")
    assert_same_rows(done, run_serially(tmp_path / "serial", wanted))
    assert not ray.is_initialized()


def test_asking_for_gpus_that_do_not_exist_fails_at_once(tmp_path: Path) -> None:
    wanted = star_sweep(**(DEEP | {"device": "cuda"}))
    started = time.monotonic()
    with pytest.raises(ResourceError, match="the cluster has no GPU; add a node") as caught:
        do_sweep(output(tmp_path / "out", wanted), lambda: ActorExecutor.embed("cuda", 1))
    assert time.monotonic() - started < 60.0
    assert caught.value.exit_code == ExitCode.RESOURCES
    assert not (tmp_path / "out").exists()
    assert not ray.is_initialized()


def test_gpus_that_torch_cannot_use_are_one_line(fake_gpus: None) -> None:
    with pytest.raises(ResourceError) as caught:
        ActorExecutor("cuda")
    assert "torch finds no CUDA device" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_gpus_that_others_hold_are_not_waited_for(
    fake_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    @ray.remote(num_gpus=2, num_cpus=0)
    class Holder:
        def ready(self) -> bool:
            return True

    holder = Holder.remote()  # type: ignore[attr-defined]
    assert ray.get(holder.ready.remote())
    monkeypatch.setattr(ray_actors, "READY_SECONDS", 3.0)
    with pytest.raises(ResourceError, match="no free GPU in the cluster within 3 s"):
        ActorExecutor("auto")


def test_only_devices_that_are_free_get_blocks(fake_gpus: None, tmp_path: Path) -> None:
    """Another job holds one of two: blocks must not wait for it."""

    @ray.remote(num_gpus=1, num_cpus=0)
    class Holder:
        def ready(self) -> bool:
            return True

    holder = Holder.remote()  # type: ignore[attr-defined]
    assert ray.get(holder.ready.remote())
    wanted = star_sweep(**DEEP)
    done = output(tmp_path / "out", wanted)
    executor = ActorExecutor("auto")
    workers: list[int] = []
    code = do_sweep(done, lambda: executor, Injector(lambda _: workers.append(executor.workers())))
    assert code == ExitCode.DONE
    assert set(workers) == {1}


def test_idle_actors_of_a_dead_node_cost_no_attempts(fake_gpus: None, tmp_path: Path) -> None:
    wanted = star_sweep(**(DEEP | {"networks": 2}))
    executor = ActorExecutor("auto")
    wait_until(lambda: executor.capacity() == 4, "both actors to have a GPU")
    for pid in owners():
        os.kill(pid, signal.SIGKILL)
    done = output(tmp_path / "out", wanted)
    assert do_sweep(done, lambda: executor) == ExitCode.DONE
    assert attempts(tmp_path / "out", wanted) == [2]


def test_a_killed_actor_is_replaced_and_its_block_redone(tmp_path: Path) -> None:
    wanted = star_sweep(**DEEP)
    killed: list[int] = []
    executors: list[ActorExecutor] = []

    def start() -> ActorExecutor:
        executors.append(ActorExecutor.embed("cpu", 2))
        return executors[0]

    def kill_one(tally: Tally) -> None:
        if tally.blocks_done >= 2 and not killed:
            victim = owners()[0]
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    done = output(tmp_path / "out", wanted)
    assert do_sweep(done, start, Injector(kill_one)) == ExitCode.DONE
    assert killed
    tries = attempts(tmp_path / "out", wanted)
    assert len(tries) == BLOCKS
    assert sum(tries) == BLOCKS + 1
    assert not (tmp_path / "out" / "errors").exists()
    assert_same_rows(done, run_serially(tmp_path / "serial", wanted))


def test_all_actors_killed_at_once(tmp_path: Path) -> None:
    wanted = star_sweep(**DEEP)
    killed: set[Process] = set()

    def kill_all(tally: Tally) -> None:
        if tally.blocks_done >= 2 and not killed:
            killed.update(identified(owners()))
            for pid, _ in killed:
                os.kill(pid, signal.SIGKILL)

    done = output(tmp_path / "out", wanted)
    code = do_sweep(done, lambda: ActorExecutor.embed("cpu", 2), Injector(kill_all))
    assert code == ExitCode.DONE
    assert len(killed) == 2
    assert_same_rows(done, run_serially(tmp_path / "serial", wanted))


# --- a cluster that changes -----------------------------------------------------------------


def test_a_node_with_a_gpu_leaves_and_another_comes(tmp_path: Path) -> None:
    with cluster_of(_system_config=QUICK_HEALTH_CHECKS) as cluster:
        nodes = [cluster.add_node(num_cpus=1, num_gpus=1) for _ in range(2)]
        cluster.wait_for_nodes()
        wanted = star_sweep(**(DEEP | {"networks": 60}))  # 30 blocks: actors take a while to begin
        executors: list[ActorExecutor] = []
        workers: list[int] = []

        def start() -> ActorExecutor:
            executors.append(ActorExecutor.join("auto", cluster.address))
            return executors[0]

        def change(tally: Tally) -> None:
            workers.append(executors[0].workers())
            if workers[-1] == 2 and tally.blocks_done >= 1 and len(nodes) == 2:
                cluster.remove_node(nodes.pop(), allow_graceful=False)
                wait_until(lambda: ray.cluster_resources().get("GPU") == 1, "the node to be gone")
            if workers[-1] == 1 and tally.blocks_done >= 4 and len(nodes) == 1:
                nodes.append(cluster.add_node(num_cpus=1, num_gpus=1))
                nodes.append(None)

        done = output(tmp_path / "out", wanted)
        assert do_sweep(done, start, Injector(change)) == ExitCode.DONE
        assert len(nodes) == 3
        assert workers[-1] == 2
        assert not (tmp_path / "out" / "errors").exists()
        assert_same_rows(done, run_serially(tmp_path / "serial", wanted))


def gpus_asked_for(address: str) -> int:
    """How many GPUs Ray would have its autoscaler bring."""
    from ray.autoscaler.v2.sdk import get_cluster_status

    demand = get_cluster_status(address).resource_demands.ray_task_actor_demand
    counts = [one for each in demand for one in each.bundles_by_count]
    return sum(one.count for one in counts if one.bundle.get("GPU"))


def test_actors_that_cannot_begin_on_demand_are_one_line(tmp_path: Path) -> None:
    """Nobody waits for the first actor before the run begins."""
    broken = {"env_vars": {"PYTHONPATH": str(tmp_path)}}
    (tmp_path / "torch.py").write_text("raise RuntimeError('is broken')")
    on_demand = {ray_actors.GPUS_ON_DEMAND: 1}
    with joined_cluster(num_cpus=1, num_gpus=1, resources=on_demand, runtime_env=broken):
        done = output(tmp_path / "out", star_sweep(**DEEP))
        refused = r"workers cannot run mcrelu \(.*is broken"
        with pytest.raises(ResourceError, match=refused) as caught:
            do_sweep(done, lambda: ActorExecutor("auto"))
        assert len(str(caught.value).splitlines()) == 1
        assert not ray.is_initialized()


def test_blocks_that_wait_ask_for_devices(tmp_path: Path) -> None:
    """No more than there are blocks for, and none once the last ones are being done."""
    with cluster_of(resources={ray_actors.GPUS_ON_DEMAND: 4}) as cluster:
        wanted = star_sweep(**(DEEP | {"networks": 60}))  # 30 blocks: machines take a while
        executors: list[ActorExecutor] = []
        asked: list[int] = []
        starting: list[int] = []  # actors without a device

        def start() -> ActorExecutor:
            executors.append(ActorExecutor.join("auto", cluster.address))
            return executors[0]

        def bring(tally: Tally) -> None:
            found = gpus_asked_for(cluster.address)
            here = int(ray.cluster_resources().get("GPU", 0))
            asked.append(found)
            starting.append(len(executors[0]._starting))
            if found and here < 2:
                cluster.add_node(num_cpus=1, num_gpus=1)

        done = output(tmp_path / "out", wanted)
        assert do_sweep(done, start, Injector(bring)) == ExitCode.DONE
        assert next(filter(None, asked)) == 1  # for the first block
        assert max(asked) == 2  # beside two that work
        assert starting[-1] == 0
        assert_same_rows(done, run_serially(tmp_path / "serial", wanted))
