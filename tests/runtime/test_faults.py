"""Real faults: killed workers, a node that goes away, a full disk. Rows are right afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweeps import SPEC, rows, same_rows, sweep

import mcrelu
from mcrelu.errors import ResourceError
from mcrelu.sweep.sweep import Sweep

SLOW = SPEC.replace("[4, 8]", "[256]").replace("networks: 100", "networks: 960")
# A node counts as dead after two seconds instead of a minute.
IMPATIENT = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference")
    mcrelu.run(Sweep.from_text(SLOW), out, executor="serial")
    return out


def working_pids() -> list[int]:
    """Processes of this user's Ray workers that have a block in hand."""
    listed = subprocess.run(["pgrep", "-f", "^ray::_do_block"], capture_output=True, text=True)  # noqa: PLW1510 - 1 means none
    return [int(pid) for pid in listed.stdout.split()]


def when_shards_are_there(out: Path, count: int, act: threading.Event) -> None:
    """Set an event once an output has some shards."""
    while len(list(out.glob("shards/*/*.parquet"))) < count:
        time.sleep(0.02)
    act.set()


@pytest.mark.ray
@pytest.mark.slow
def test_killed_workers_lose_no_block(reference: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill() -> None:
        ready = threading.Event()
        for shards in (1, 6):
            when_shards_are_there(tmp_path, shards, ready)
            victims = []
            while not victims:
                victims = [pid for pid in working_pids() if pid not in killed]
            os.kill(victims[0], signal.SIGKILL)
            killed.append(victims[0])

    killer = threading.Thread(target=kill)
    killer.start()
    run = mcrelu.run(Sweep.from_text(SLOW), tmp_path, executor="ray", workers=2)
    killer.join()
    assert len(killed) == 2
    assert run.exit_code == 0
    assert same_rows(tmp_path, reference)


@pytest.mark.ray
@pytest.mark.slow
def test_a_block_that_kills_its_workers_fails_and_the_others_go_on(tmp_path: Path) -> None:
    """A worker that always dies must not be retried for ever."""
    stop = threading.Event()

    def kill_all() -> None:
        while not stop.is_set():
            for pid in working_pids():
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    killer = threading.Thread(target=kill_all)
    killer.start()
    text = SLOW.replace("[256]", "[2048]").replace("networks: 960", "networks: 40")
    run = mcrelu.run(Sweep.from_text(text), tmp_path, executor="ray", workers=1)
    stop.set()
    killer.join()
    assert run.exit_code == 4
    (error,) = tmp_path.glob("errors/*.json")
    assert "(4 attempts)" in error.read_text()


@pytest.fixture
def cluster() -> Iterator[object]:
    """A head without CPUs and two nodes of one CPU."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_AUTH_MODE"] = "token"
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": IMPATIENT}
    made = Cluster(initialize_head=True, head_node_args=head)
    made.leaving = made.add_node(num_cpus=1)
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()
    del os.environ["RAY_AUTH_MODE"]


@pytest.mark.ray
@pytest.mark.slow
def test_a_node_that_leaves_takes_no_block_with_it(
    reference: Path, tmp_path: Path, cluster: object
) -> None:
    removed = []

    def remove() -> None:
        ready = threading.Event()
        when_shards_are_there(tmp_path, 2, ready)
        cluster.remove_node(cluster.leaving, allow_graceful=False)
        removed.append(True)

    remover = threading.Thread(target=remove)
    remover.start()
    run = mcrelu.run(Sweep.from_text(SLOW), tmp_path, executor="ray", address=cluster.address)
    remover.join()
    assert removed == [True]
    assert run.exit_code == 0
    assert same_rows(tmp_path, reference)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
@pytest.mark.parametrize("executor", ["serial", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_full_disk_ends_the_run_with_one_line_and_is_resumed(
    executor: str, small_disk: Path, tmp_path: Path
) -> None:
    wanted = sweep(networks=800)
    with pytest.raises(ResourceError) as caught:
        mcrelu.run(wanted, small_disk / "out", executor=executor)
    assert "\n" not in str(caught.value)
    assert "No space left" in str(caught.value)
    assert not list(small_disk.rglob("*.tmp"))
    kept = len(rows(small_disk / "out"))
    assert kept > 0
    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True)
    assert mcrelu.run(wanted, small_disk / "out", executor="serial").exit_code == 0
    mcrelu.run(wanted, tmp_path / "roomy", executor="serial")
    assert same_rows(small_disk / "out", tmp_path / "roomy")
