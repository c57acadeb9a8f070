"""Starting or joining a cluster where something is in the way: one line says what, and soon."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("ray")

import grpc

from mcrelu.errors import ResourceError
from mcrelu.runtime import ray_cluster, ray_preflight, ray_probe
from mcrelu.runtime.ray_preflight import MIN_ADDRESS_SPACE
from mcrelu.runtime.ray_probe import probe

TOKEN = "a" * 64


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of an account without a token."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


class TestProbe:
    def test_what_accepts_and_never_answers(
        self, account: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ray_probe, "PROBE_SECONDS", 0.3)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            started = time.monotonic()
            with pytest.raises(ResourceError, match="did not answer as Ray does") as caught:
                probe(f"127.0.0.1:{port}")
            assert time.monotonic() - started < 5.0
        assert f"no Ray cluster at 127.0.0.1:{port}" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1

    def test_three_steps_take_half_a_minute_at_most(self) -> None:
        assert 3 * ray_probe.PROBE_SECONDS <= 30.0

    def test_a_cluster_without_tokens(self, account: Path) -> None:
        with head(None) as address:
            probe(address)

    def test_an_account_without_a_token(self, account: Path) -> None:
        with head(TOKEN) as address, pytest.raises(ResourceError) as caught:
            probe(address)
        wanted = account / ".ray" / "auth_token"
        assert str(caught.value).endswith(
            f"asks for its token: this account has none; copy that of the head node to {wanted}"
        )

    def test_another_token(self, account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        give_token(account, "b" * 64)
        with head(TOKEN) as address, pytest.raises(ResourceError, match="holds another"):
            probe(address)
        monkeypatch.setenv("RAY_AUTH_TOKEN", "c" * 64)
        with head(TOKEN) as address, pytest.raises(ResourceError, match="RAY_AUTH_TOKEN is anoth"):
            probe(address)

    def test_a_token_that_is_not_sent(self, account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        give_token(account, TOKEN)
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        with head(TOKEN) as address, pytest.raises(ResourceError, match="RAY_AUTH_MODE = disabled"):
            probe(address)

    def test_the_right_token(self, account: Path) -> None:
        give_token(account, TOKEN)
        with head(TOKEN) as address:
            probe(address)

    def test_a_server_that_is_not_ray(self, account: Path) -> None:
        with server() as address, pytest.raises(ResourceError, match="no Ray cluster at"):
            probe(address)


class TestPreflight:
    def test_nothing_in_the_way(self, account: Path) -> None:
        ray_preflight.check()

    def test_a_home_that_is_a_file(self, account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (account / "file").touch()
        monkeypatch.setenv("HOME", str(account / "file"))
        with pytest.raises(ResourceError, match=r"file/\.ray: cannot be written.*set HOME"):
            ray_preflight.check()

    @pytest.mark.parametrize("variable", ["RAY_AUTH_TOKEN", "RAY_AUTH_MODE"])
    def test_a_home_that_is_not_needed(
        self, variable: str, account: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(account / "file"))
        (account / "file").touch()
        monkeypatch.setenv(variable, "disabled")
        ray_preflight.check()

    def test_a_session_folder_that_is_a_file(
        self, account: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (account / "file").touch()
        monkeypatch.setenv("RAY_TMPDIR", str(account / "file"))
        with pytest.raises(ResourceError, match=r"file/ray: cannot be written.*set RAY_TMPDIR"):
            ray_preflight.check()

    @pytest.mark.parametrize(
        ("option", "lacking"),
        [("size=64k", "64 MiB"), ("nr_inodes=5", "1000 files"), ("ro", "Read-only file system")],
    )
    def test_a_session_folder_without_room(
        self, option: str, lacking: str, account: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RAY_TMPDIR", str(account / "disk"))
        disk = mounted(account / "disk", option)
        with disk, pytest.raises(ResourceError, match=lacking) as caught:
            ray_preflight.check()
        assert str(account / "disk" / "ray") in str(caught.value)
        assert "set RAY_TMPDIR" in str(caught.value)

    @pytest.mark.slow
    def test_a_limit_on_addresses(self, account: Path) -> None:
        script = "from mcrelu.runtime import ray_preflight; ray_preflight.check()"

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (MIN_ADDRESS_SPACE - 1, MIN_ADDRESS_SPACE - 1))

        ended = subprocess.run(
            [sys.executable, "-c", script], preexec_fn=limit, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        last = ended.stderr.splitlines()[-1]
        assert "ResourceError: ulimit -v = 3145727: Ray needs at least 3145728" in last
        assert "--serial" in last


def test_cpus_are_those_of_the_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(everything)})
        assert ray_cluster.usable_cpus() == 1
    finally:
        os.sched_setaffinity(0, everything)


@pytest.mark.ray
@pytest.mark.slow
def test_a_local_cluster_keeps_to_the_affinity_and_leaves_no_trace(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, everything = dict(os.environ), os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(everything)})
        ray_cluster.embed()
        assert ray_cluster.count("CPU") == 1
        assert all(os.getenv(name) == "10000" for name in ray_cluster.KEEPALIVE)
    finally:
        os.sched_setaffinity(0, everything)
        ray_cluster.leave()
    changed = {name for name in before.keys() | os.environ if before.get(name) != os.getenv(name)}
    assert not [name for name in changed if name in (*ray_cluster.KEEPALIVE, "RAY_AUTH_MODE")]


@pytest.mark.ray
@pytest.mark.slow
def test_ray_that_does_not_start_is_one_line(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sockets of a session have names of 107 characters at most."""
    monkeypatch.setenv("RAY_TMPDIR", str(account / ("long" * 20)))
    with pytest.raises(ResourceError, match=r"Ray does not start here .*AF_UNIX") as caught:
        ray_cluster.embed(1)
    assert len(str(caught.value).splitlines()) == 1
    assert not ray_cluster.KEEPALIVE.keys() & os.environ.keys()


@pytest.mark.ray
@pytest.mark.slow
def test_joining_a_cluster_with_tokens(
    account: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with embedded_elsewhere() as address:
        ray_cluster.join(address)  # the other process has left a token in this home
        assert ray_cluster.count("CPU") == 1
        ray_cluster.leave()
        assert "RAY_AUTH_MODE" not in os.environ
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(account / "nothing"))
        with pytest.raises(ResourceError, match="this account has none"):
            ray_cluster.join(address)
    assert capfd.readouterr().err == ""


@contextmanager
def embedded_elsewhere() -> Iterator[str]:
    """A cluster that another process has embedded."""
    script = (
        "import ray, sys; from mcrelu.runtime import ray_cluster; ray_cluster.embed(1);"
        "print(ray.get_runtime_context().gcs_address, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


def give_token(home: Path, token: str) -> None:
    (home / ".ray").mkdir(exist_ok=True)
    (home / ".ray" / "auth_token").write_text(token)


@contextmanager
def head(token: str | None) -> Iterator[str]:
    """What a head node says to the probe, with or without token authentication."""

    def check_alive(_: bytes, call: grpc.ServicerContext) -> bytes:
        sent = dict(call.invocation_metadata()).get("authorization")
        if token is not None and sent != f"Bearer {token}":
            call.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken: missing or incorrect")
        return b""

    handler = grpc.method_handlers_generic_handler(
        "ray.rpc.NodeInfoGcsService",
        {"CheckAlive": grpc.unary_unary_rpc_method_handler(check_alive)},
    )
    with server(handler) as address:
        yield address


@contextmanager
def server(*handlers: grpc.GenericRpcHandler) -> Iterator[str]:
    with futures.ThreadPoolExecutor(1) as pool:
        started = grpc.server(pool)
        started.add_generic_rpc_handlers(handlers)
        port = started.add_insecure_port("127.0.0.1:0")
        started.start()
        yield f"127.0.0.1:{port}"
        started.stop(None).wait()


@contextmanager
def mounted(folder: Path, option: str) -> Iterator[None]:
    """A small or read-only disk; skips where mounting is not permitted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no permission to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
