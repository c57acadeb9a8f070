"""Machines that come when blocks wait for them: Ray's own autoscaler, on the kinds of cluster.yaml.

Only its machines are pretended: each is one more raylet on this one. With one address for all of
them the autoscaler takes them for not yet set up, and starts no second one of a kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from machines import ROOT, Machine, machine, needs
from ray.autoscaler._private.util import prepare_config
from small_sweeps import assert_same_rows, output, run_serially, spec, sweep
from star_sweeps import star_spec, star_sweep

from mcrelu.errors import ExitCode

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    needs("unshare", "nsenter", "ip"),
]

ADDRESS = "10.9.0.1"
TOKEN = {"RAY_AUTH_MODE": "token"}
# The head in Ray's pretended cluster
HEAD_ID = "f" * 51 + "00000"
HEAD = "ray.head.default"

MEMORY = 2**31
MACHINES = {"cpu": {"CPU": 1, "memory": MEMORY}, "gpu": {"CPU": 1, "memory": MEMORY, "GPU": 1}}

TASKS: dict[str, Any] = {
    "stop": ["crossing"],
    "checks": {"interval": 100, "maximum": 10},
    "engine": "dense",
}
DEVICES: dict[str, Any] = {
    "networks": 4,
    "block_size": 2,
    "epochs": 1000,
    "cells": {"width": [8], "data": ["standard"], "depth": [2]},
}


def pretended(key: Path) -> dict[str, Any]:
    """cluster.yaml with small machines, as Ray's launcher has it.

    ``key`` is a file.
    """
    config: dict[str, Any] = prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text()))
    kinds = config["available_node_types"]
    kinds[HEAD] = kinds.pop(config["head_node_type"])
    for name, own in MACHINES.items():
        assert kinds[name]["min_workers"] == 0
        kinds[name]["resources"] = own
    for kind in kinds.values():
        kind["node_config"] = {}
    provider = {
        "type": "external",
        "module": "pretended.Machines",
        "head_node_id": HEAD_ID,
        "disable_node_updaters": True,  # nothing is to be installed
    }
    auth = {"ssh_user": "nobody", "ssh_private_key": str(key)}
    changed = {"provider": provider, "auth": auth, "file_mounts": {}, "head_node_type": HEAD}
    return config | changed


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The head of a cluster that begins without any other machine."""
    folder = tmp_path_factory.mktemp("on-demand")
    with machine(folder / "head", ADDRESS) as started:
        path = folder / "cluster.yaml"
        path.touch()
        config = pretended(key=path)
        path.write_text(yaml.safe_dump(config))
        started.run("ray", "get-auth-token", "--generate")
        own = config["available_node_types"][HEAD]["resources"]
        assert own.pop("CPU") == 0
        variables = {"RAY_FAKE_CLUSTER": "1", "PYTHONPATH": str(Path(__file__).parent)}
        started.run(
            "ray", "start", "--head", "--port=6379", "--disable-usage-stats", "--num-cpus=0",
            f"--resources={json.dumps(own)}", f"--autoscaling-config={path}",
            env=TOKEN | variables,
        )  # fmt: skip
        assert resources(started).get("CPU", 0) == 0
        yield started


def resources(there: Machine) -> dict[str, float]:
    """What a cluster has now."""
    script = (
        "import json, ray; ray.init(address='auto', log_to_driver=False, logging_level='ERROR'); "
        "print(json.dumps(ray.cluster_resources()))"
    )
    found: dict[str, float] = json.loads(there.run("python", "-c", script, env=TOKEN).stdout)
    return found


def run(there: Machine, folder: Path, wanted: dict[str, Any]) -> tuple[int, str]:
    """Run a sweep on the cluster; its exit code and what it said."""
    (folder / "sweep.yaml").write_text(yaml.safe_dump(wanted))
    command = ["python", "-m", "mcrelu", "run", folder / "sweep.yaml", "--out", folder / "out"]
    done = there.run(*command, "--address", f"{ADDRESS}:6379", check=False)
    return done.returncode, done.stderr


def test_tasks(head: Machine, tmp_path: Path) -> None:
    assert "CPU" not in resources(head)
    code, said = run(head, tmp_path, spec(**TASKS))
    assert code == ExitCode.DONE, said
    assert "running on Ray, no CPUs yet" in said
    wanted = sweep(**TASKS)
    assert_same_rows(output(tmp_path / "out", wanted), run_serially(tmp_path / "serial", wanted))
    there = resources(head)
    assert there["CPU"] == 1
    assert "GPU" not in there


def test_devices(head: Machine, tmp_path: Path) -> None:
    """And once more on the machine that came, if torch must find its GPU."""
    pytest.importorskip("torch")
    assert "GPU" not in resources(head)
    code, said = run(head, tmp_path, star_spec(**DEVICES))
    assert code == ExitCode.DONE, said
    assert "running on Ray, 0 actors with a GPU each, more as machines come" in said
    wanted = star_sweep(**DEVICES)
    assert_same_rows(output(tmp_path / "out", wanted), run_serially(tmp_path / "serial", wanted))
    assert resources(head)["GPU"] == 1
    other = tmp_path / "other"
    other.mkdir()
    code, said = run(head, other, star_spec(**(DEVICES | {"device": "cuda"})))
    assert code == ExitCode.RESOURCES, said
    assert "torch finds no CUDA device" in said.splitlines()[-1]
    assert not list((other / "out").rglob("*.parquet"))
