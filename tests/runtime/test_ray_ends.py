"""Clusters that are interrupted while they start, that ended before or end under a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from processes import _command, command, descendants, end_processes, identified, wait_until
from small_sweeps import spec
from test_faults import SLOW
from test_ray_start import TOKEN, account, give_token

pytest.importorskip("ray")

from ray._private import services

from mcrelu.errors import ResourceError
from mcrelu.runtime import ray_cluster

__all__ = ["account"]  # a fixture


def written(folder: Path, **changes: object) -> Path:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec(**changes)))
    return path


def of_ray(root: int) -> list[str]:
    return [text for text in map(_command, descendants(root)) if "gcs_server" in text]


@contextmanager
def cluster(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Iterator[tuple[str, int]]:
    """The address of a cluster of another process, and that process."""
    script = (
        "import ray, sys; ray.init(address='local', num_cpus=2, include_dashboard=False,"
        "log_to_driver=False, logging_level='ERROR');"
        "print(ray.get_runtime_context().gcs_address, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | environment, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            started = identified(descendants(process.pid))
            process.kill()
            process.wait()
            end_processes(started)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("seconds", [0.0, 2.0])
def test_a_signal_while_ray_starts(
    tmp_path: Path, number: signal.Signals, code: int, seconds: float
) -> None:
    path = written(tmp_path)
    with command("run", path, "--out", tmp_path / "out", "--workers", 1) as process:
        wait_until(lambda: of_ray(process.pid) or process.poll() is not None, "Ray to start")
        time.sleep(seconds)
        process.send_signal(number)
        said, _ = process.communicate(timeout=90)
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert "goes on from here" in said


def test_an_auto_that_has_ended(
    account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(services, "find_gcs_addresses", set)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    started = time.monotonic()
    with pytest.raises(ResourceError, match=r"no Ray cluster at auto .none runs on this machine"):
        ray_cluster.join("auto")
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:9")
    with pytest.raises(ResourceError, match=r"no Ray cluster at 127.0.0.1:9 .*refused"):
        ray_cluster.join("auto")
    assert time.monotonic() - started < 20


@pytest.mark.ray
@pytest.mark.slow
def test_every_way_to_give_a_token(
    account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Ray was imported long before, so it has read its environment already."""
    elsewhere = tmp_path / "token"
    elsewhere.write_text(TOKEN)
    with cluster(monkeypatch, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN) as (address, _):
        with pytest.raises(ResourceError, match="asks for its token: this account has none"):
            ray_cluster.join(address)
        for way in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "file"):
            with monkeypatch.context() as patch:
                if way == "file":
                    give_token(account, TOKEN)
                else:
                    patch.setenv(way, TOKEN if way == "RAY_AUTH_TOKEN" else str(elsewhere))
                assert ray_cluster.join(address), way
                assert ray_cluster.count("CPU") == 2
                ray_cluster.leave()
        give_token(account, "b" * 64)
        with pytest.raises(ResourceError, match="auth_token holds another; copy that"):
            ray_cluster.join(address)
    assert capfd.readouterr().err == ""


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_without_tokens_is_told_of(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mcrelu.runtime.ray_tasks import RayExecutor

    with cluster(monkeypatch, RAY_AUTH_MODE="disabled") as (address, _):
        executor = RayExecutor.join(address)
        described = executor.describe()
        executor.close()
    assert "asks for no token" in described


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.long
def test_a_head_that_ends_under_a_run(
    account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    path = written(tmp_path, **{**SLOW, "networks": 4000})
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    with cluster(monkeypatch, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=TOKEN) as (address, owner):
        monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
        with command("run", path, "--out", out, "--address", address) as process:
            shards = lambda: list(out.rglob("*.parquet")) or process.poll() is not None  # noqa: E731
            wait_until(shards, "the first block")
            for pid in [*descendants(owner), owner]:
                os.kill(pid, signal.SIGKILL)
            said, _ = process.communicate(timeout=180)
    status = json.loads((out / "status.json").read_text())
    assert status["state"] == "resources", said
    assert process.returncode == 3, said
    assert "has ended: its head node does not answer" in said
    assert "Traceback" not in said


def test_only_the_newest_cluster_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was shut down behind our back may be gone."""

    class Context:
        gcs_address = "127.0.0.1:7"

    monkeypatch.setattr(ray_cluster, "_head", [("127.0.0.1", 9)])
    monkeypatch.setattr("ray.get_runtime_context", Context)
    ray_cluster._remember_head()
    assert ray_cluster._head == [("127.0.0.1", 7)]
