"""Workers, nodes and drivers that are killed at random, until a sweep is done all the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import yaml
from clusters import QUICK_HEALTH_CHECKS, cluster_of
from processes import ROOT, busy_workers
from small_sweeps import assert_same_rows, output, run_serially

from mcrelu.errors import ExitCode
from mcrelu.sweep.sweep import Sweep

NODES = 3
KILLS = 12  # then the sweep is left alone
PAUSE = 1.5, 4.0  # seconds between two
LIMIT = 900.0  # seconds of a test
WORKER_SECONDS = 30.0  # to wait for one that does a block

COMMON = {"version": 1, "seed": 20200212}
SPECS: dict[str, dict[str, Any]] = {
    "crossing": {
        "experiment": "crossing",
        "networks": 500,
        "block_size": 1,
        "cells": {"width": [64]},
        "stop": ["crossing"],
        "checks": {"interval": 1000, "maximum": 8},
        "engine": "dense",
    },
    "star": {
        "experiment": "star",
        "networks": 500,
        "block_size": 1,
        "epochs": 20_000,
        "checkpoint_every": 10_000,
        "cells": {"width": [16], "data": ["star-3"]},
    },
    "setups": {
        "experiment": "setups",
        "networks": 500,
        "block_size": 1,
        "epochs": 64,
        "validate_every": 16,
        "cells": {
            "data": ["ex"],
            "parametrization": ["he"],
            "optimizer": ["adam"],
            "width": [64],
            "batch": [64],
            "learning_rate": [0.01],
        },
    },
}


@dataclass
class Publications:
    """Watches a folder: how often each file was published, as far as one can see from outside."""

    folder: Path
    seen: defaultdict[str, set[tuple[int, int]]] = field(default_factory=lambda: defaultdict(set))
    _ended: Event = field(default_factory=Event)

    def __enter__(self) -> Publications:
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.look()

    def look(self) -> None:
        """Note what is there now."""
        for path in self.folder.glob("shards/*/[0-9]*.parquet"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            self.seen[f"{path.parent.name}/{path.name}"].add((status.st_ino, status.st_mtime_ns))

    @property
    def repeated(self) -> int:
        """Publications of what was published before."""
        return sum(len(versions) - 1 for versions in self.seen.values())


@pytest.fixture
def cluster() -> Iterator[Any]:
    with cluster_of(_system_config=QUICK_HEALTH_CHECKS) as started:
        yield started


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_rows_are_those_of_an_undisturbed_run(
    spec: dict[str, Any], cluster: Any, tmp_path: Path
) -> None:
    wanted = Sweep.of(COMMON | spec)
    path, folder = tmp_path / "spec.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(COMMON | spec))
    chance = random.Random(spec["experiment"])
    nodes = [cluster.add_node(num_cpus=1) for _ in range(NODES)]
    cluster.wait_for_nodes()
    killed: list[str] = []
    with Publications(folder) as publications:
        driver = started(path, folder, cluster.address)
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            time.sleep(chance.uniform(*PAUSE))
            if driver.poll() is not None:
                out, _ = driver.communicate()
                assert driver.returncode in (ExitCode.DONE, -signal.SIGKILL), out
                if driver.returncode == ExitCode.DONE:
                    break
                driver = started(path, folder, cluster.address)
            elif len(killed) < KILLS:
                killed += kill_something(chance, cluster, nodes, driver)
        driver.kill()  # if it is still there
        assert driver.wait() == ExitCode.DONE
        publications.look()
    assert set(killed) == {"worker", "node", "driver"}, killed
    assert len(killed) == KILLS
    assert len(publications.seen) == len(list(wanted.all_blocks()))
    # At most what was in flight at each kill: two blocks for each CPU, and bundles of short ones
    print(f"{publications.repeated} of {wanted.spec.networks} blocks published twice, {killed}")
    assert publications.repeated <= KILLS * 2 * NODES
    undisturbed = run_serially(tmp_path / "serial", wanted)
    assert_same_rows(output(folder, wanted), undisturbed)


def started(spec: Path, out: Path, address: str) -> subprocess.Popen[str]:
    """A driver on the cluster."""
    return subprocess.Popen(
        [sys.executable, "-m", "mcrelu", "run", spec, "--out", out, "--address", address],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def kill_something(
    chance: random.Random, cluster: Any, nodes: list[Any], driver: subprocess.Popen[str]
) -> list[str]:
    """Kill one of what there is; which kind it was."""
    kind = chance.choice(["worker", "worker", "node", "driver"])
    if kind == "worker":
        end = time.monotonic() + WORKER_SECONDS
        while not (workers := busy_workers(os.getpid())):  # blocks are short, starting is not
            if time.monotonic() > end or driver.poll() is not None:
                return []
            time.sleep(0.02)
        os.kill(chance.choice(workers), signal.SIGKILL)
    elif kind == "node":
        cluster.remove_node(nodes.pop(chance.randrange(len(nodes))), allow_graceful=False)
        nodes.append(cluster.add_node(num_cpus=1))
    else:
        driver.kill()
    return [kind]
