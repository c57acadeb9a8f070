"""Sweeps as jobs of a cluster with token authentication, whose head is a machine of its own."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from machines import COMMAND_SECONDS, ROOT, Machine, machine, needs
from processes import busy_workers, descendants, wait_until
from small_sweeps import assert_same_rows, output, run_serially, shard_files, spec, sweep

from mcrelu.errors import ExitCode
from mcrelu.store.output import STATUS

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    needs("unshare", "nsenter", "ip"),
]

DASHBOARD = "http://127.0.0.1:8265"
TOKEN = {"RAY_AUTH_MODE": "token"}  # Ray's own commands take a token only if they are told to

# All have the same kernels, which are compiled once.
QUICK: dict[str, Any] = {
    "stop": ["crossing"],
    "checks": {"interval": 100, "maximum": 10},
    "engine": "dense",
}
# Blocks of about a second: a job can be stopped meanwhile.
SLOW: dict[str, Any] = {
    **QUICK,
    "networks": 80,
    "block_size": 4,
    "cells": {"width": [256]},
    "checks": {"interval": 1000, "maximum": 150},
}


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which a cluster runs."""
    with machine(tmp_path_factory.mktemp("head"), "10.9.0.1") as started:
        started.run("ray", "get-auth-token", "--generate")
        start = ["ray", "start", "--head", "--num-cpus=2", "--disable-usage-stats"]
        started.run(*start, env=TOKEN)
        yield started


def write(folder: Path, **changes: Any) -> Path:
    """The file of a small sweep."""
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(spec(**changes)))
    return path


def submission(path: Path, out: Path, *options: object) -> list[object]:
    """The command that has the cluster run a sweep."""
    where = ["--out", out, "--address", DASHBOARD]
    return ["python", "-m", "mcrelu", "submit", path, *where, *options]


def test_a_sweep_on_points_of_ones_own(head: Machine, tmp_path: Path) -> None:
    """The file with the points stays here, the driver and its workers run this very package."""
    points = [[-1.5, -0.4], [-0.2, 0.3], [0.4, -0.1], [1.1, 0.8]]
    lines = [",".join(map(str, pair)) for pair in points]
    (tmp_path / "points.csv").write_text("\n".join(["x,y", *lines]))
    path = write(tmp_path, **QUICK, data={"file": "points.csv", "x": "x", "y": "y"})
    done = head.run(*submission(path, tmp_path / "out", "--json"))
    said = json.loads(done.stdout)
    assert said["exit_code"] == ExitCode.DONE
    assert said["job"] in done.stderr
    assert "py_modules_files" in done.stderr  # where workers have the package that was sent
    assert "Uploading" not in done.stderr
    (tmp_path / "points.csv").unlink()
    inside = sweep(**QUICK, data={"x": [x for x, _ in points], "y": [y for _, y in points]})
    assert_same_rows(output(tmp_path / "out", inside), run_serially(tmp_path / "serial", inside))


def test_rays_own_command_does_as_well(head: Machine, tmp_path: Path) -> None:
    path, out = write(tmp_path, **QUICK), tmp_path / "out"
    command = ["ray", "job", "submit", "--address", DASHBOARD, "--working-dir", ROOT]
    job = [*command, "--", "python", "jobs/sweep.py", path, "--out", out]
    refused = head.run(*job, env={"RAY_AUTH_MODE": "disabled"}, check=False)
    assert refused.returncode != 0
    assert not out.exists()
    head.run(*job, env=TOKEN)
    wanted = sweep(**QUICK)
    assert_same_rows(output(out, wanted), run_serially(tmp_path / "serial", wanted))
    foreign = head.run(*submission(path, out, "--set", "seed=8"), check=False)
    assert foreign.returncode == ExitCode.FOREIGN_OUTPUT
    assert "belongs to another spec" in foreign.stderr


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"RAY_AUTH_TOKEN": "not this one"}, "RAY_AUTH_TOKEN is another"),
        ({"RAY_AUTH_TOKEN_PATH": "/nowhere"}, "this account has none"),
        ({"RAY_AUTH_MODE": "disabled"}, "no token is sent"),
    ],
)
def test_without_the_token_nothing_is_taken(
    head: Machine, tmp_path: Path, variables: dict[str, str], why: str
) -> None:
    command = submission(write(tmp_path), tmp_path / "out")
    said = head.run(*command, env=variables, check=False)
    assert said.returncode == ExitCode.RESOURCES
    assert why in said.stderr
    assert len(said.stderr.splitlines()) == 1


def test_a_port_that_is_not_the_dashboards(head: Machine, tmp_path: Path) -> None:
    command = submission(write(tmp_path), tmp_path / "out", "--address", "http://127.0.0.1:6379")
    said = head.run(*command, check=False)
    assert said.returncode == ExitCode.RESOURCES
    assert "does not answer as Ray's dashboard does" in said.stderr


def test_blocks_that_fail_are_the_exit_code(head: Machine, tmp_path: Path) -> None:
    path, out = write(tmp_path, **SLOW | {"networks": 8}), tmp_path / "out"
    with head.start(*submission(path, out)) as process:
        while process.poll() is None and not list(out.glob("errors/*")):
            for pid in busy_workers(head.pid):
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        _, err = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == ExitCode.FAILED_BLOCKS, err


def test_stop_and_resume(head: Machine, tmp_path: Path) -> None:
    wanted, path, out = sweep(**SLOW), write(tmp_path, **SLOW), tmp_path / "out"
    with head.start(*submission(path, out)) as process:
        some = lambda: out.exists() and len(shard_files(out, wanted)) > 1  # noqa: E731
        wait_until(some, "blocks", COMMAND_SECONDS)
        for pid in descendants(process.pid):
            os.kill(pid, signal.SIGINT)
        said, err = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "the job goes on" in err
    stop = err.partition("To stop it: ")[2].partition(";")[0].split()
    follow = err.rpartition("again: ")[2].split()
    assert follow[:3] == ["ray", "job", "logs"]
    assert said
    running = output(out, wanted).read_json(STATUS)
    assert running is not None
    assert running["state"] == "running"
    head.run(*stop, env=TOKEN)
    ended = output(out, wanted).read_json(STATUS)
    assert ended is not None
    assert ended["state"] == "terminated"
    assert "same command" in ended["go_on"]
    missing = len(output(out, wanted).missing())
    assert missing > 0
    blocks = len(list(wanted.all_blocks()))
    assert len(shard_files(out, wanted)) == blocks - missing  # none is torn
    assert not list(out.rglob(".*.tmp"))
    head.run(*submission(path, out))
    assert_same_rows(output(out, wanted), run_serially(tmp_path / "serial", wanted))
