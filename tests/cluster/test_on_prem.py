"""`ray up` of deploy/on-prem.yaml by ssh, a job on it, and `ray down`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
import yaml
from machines import ROOT, Machine, connect, listen_for_ssh, machine, needs
from processes import alive, descendants, identified, wait_until
from small_sweeps import assert_same_rows, output, run_serially, shard_files, spec, sweep

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    needs("unshare", "nsenter", "ip", "ssh", "sshd", "ssh-keygen", "rsync"),
]

TOKEN = {"RAY_AUTH_MODE": "token"}
V1 = {"RAY_UP_enable_autoscaler_v2": "0"}

SWEEP: dict[str, Any] = {
    "networks": 64,
    "block_size": 4,
    "cells": {"width": [256]},
    "stop": ["crossing"],
    "checks": {"interval": 1000, "maximum": 50},
    "engine": "dense",
}


class Lab(NamedTuple):
    """Machines of one's own."""

    laptop: Machine
    head: Machine
    worker: Machine


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A head and a worker that a laptop may enter by ssh."""
    with (
        machine(tmp_path / "head", "10.9.0.1") as head,
        machine(tmp_path / "worker", "10.9.0.2") as worker,
        machine(tmp_path / "laptop", "10.9.0.1", beside=head) as laptop,
    ):
        connect(head, worker)
        key = laptop.home / ".ssh" / "id_ed25519"
        key.parent.mkdir(mode=0o700)
        laptop.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        laptop.run("ray", "get-auth-token", "--generate")
        for node in (head, worker):
            listen_for_ssh(node, key.with_suffix(".pub").read_text())
            (node.home / ".bashrc").write_text("export RAY_worker_niceness=0\n")  # as in Machine
            (node.home / "mcrelu-env").symlink_to(sys.prefix)
        yield Lab(laptop, head, worker)


def filled_in(lab: Lab) -> str:
    """The file with what a user must change, except that nothing is installed."""
    config = yaml.safe_load((ROOT / "deploy" / "on-prem.yaml").read_text())
    config["provider"] |= {"head_ip": lab.head.address, "worker_ips": [lab.worker.address]}
    config["auth"]["ssh_user"] = lab.laptop.run("id", "-un").stdout.strip()
    installing = [one for one in config["setup_commands"] if one.startswith("pip install")]
    assert len(installing) == 1
    config["setup_commands"].remove(installing[0])
    text: str = yaml.safe_dump(config)
    return text


def raylets(there: Machine) -> list[str]:
    """The processes of a machine by which it is a node."""
    commands = alive(identified(descendants(there.pid)))
    return [one for one in commands if "raylet/raylet" in one.split("\0")[0]]


def test_up_submit_down(lab: Lab, tmp_path: Path) -> None:
    config, path = tmp_path / "on-prem.yaml", tmp_path / "sweep.yaml"
    config.write_text(filled_in(lab))
    path.write_text(yaml.safe_dump(spec(**SWEEP)))
    up = ["ray", "up", "--yes", "--no-config-cache", config]
    said = lab.laptop.run("env", f"--chdir={ROOT}", *up, env=V1)
    assert raylets(lab.head), said.stdout
    wait_until(lambda: raylets(lab.worker), "the worker to join")
    for node in (lab.head, lab.worker):
        assert (node.home / ".ray" / "auth_token").stat().st_mode & 0o077 == 0
    submit = ["ray", "job", "submit", "--address", "http://127.0.0.1:8265", "--working-dir", ROOT]
    job = [*submit, "--", "python", "jobs/sweep.py", path, "--out", tmp_path / "out"]
    assert lab.laptop.run(*job, check=False).returncode != 0  # without the token
    lab.laptop.run(*job, env=TOKEN)
    wanted = sweep(**SWEEP)
    metadata = [pq.read_schema(shard).metadata for shard in shard_files(tmp_path / "out", wanted)]
    assert {one[b"mcrelu.host"] for one in metadata} == {b"head", b"worker"}
    down = lab.laptop.run("ray", "down", "--yes", config)
    assert not raylets(lab.head), down.stdout
    assert_same_rows(output(tmp_path / "out", wanted), run_serially(tmp_path / "serial", wanted))
