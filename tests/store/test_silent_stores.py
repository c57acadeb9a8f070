"""Stores that do not answer: one line, exit code 3, and soon."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import BUCKET, FaultyApp

from mcrelu.errors import ExitCode, ResourceError, UserError
from mcrelu.store import uris
from mcrelu.store.files import Files

ROOT = Path(__file__).parent.parent.parent
SOON = 60.0  # seconds: 17 and a start, however busy the machine; it was 110 and more
REMEDY = "check the network, your credentials and the URI"


@pytest.fixture
def hole() -> Iterator[str]:
    """host:port of a socket that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        yield f"{host}:{port}"


@pytest.fixture
def dead() -> str:
    """host:port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
    return f"{host}:{port}"


@pytest.fixture(params=["hole", "dead"])
def place(request: pytest.FixtureRequest) -> str:
    where: str = request.getfixturevalue(request.param)
    return where


def uri_at(store: str, place: str) -> str:
    user = "key:word" if store == "s3" else "anonymous"
    region = "&region=us-east-1" if store == "s3" else ""
    return f"{store}://{user}@{BUCKET}/run?scheme=http&endpoint_override={place}{region}"


@pytest.mark.slow
@pytest.mark.parametrize("store", ["s3", "gs"])
def test_a_command_ends_soon(store: str, place: str) -> None:
    """It hung for minutes; pyarrow would wait for the answer at its end, too."""
    command = [sys.executable, "-m", "mcrelu", "status", uri_at(store, place)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    assert time.monotonic() - began < SOON
    assert done.returncode == ExitCode.RESOURCES
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"mcrelu: {store}://***@{BUCKET}/run?")
    assert line.endswith(REMEDY)


def test_a_store_that_takes_too_long_is_left_alone(
    s3: FaultyApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uris, "ANSWER_SECONDS", 1e-4)
    with pytest.raises(ResourceError, match="no answer within"):
        Files.at(f"s3://{BUCKET}/run")
    for _ in range(100):  # until moto has answered
        if not uris.still_asking():
            break
        time.sleep(0.05)
    assert not uris.still_asking()


def test_a_store_that_went_away_after_the_start_is_asked_as_patiently_as_before(
    s3: FaultyApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is that of the first answers."""
    files = Files.at(f"s3://{BUCKET}/run")
    files.publish("x", b"1")
    monkeypatch.setattr(uris, "ANSWER_SECONDS", 0.0)
    assert files.read("x") == b"1"


@pytest.mark.parametrize("uri", ["mock://bucket/run", "http://host/run", "ftp://host/run"])
def test_what_is_no_store_is_refused(uri: str) -> None:
    kind = uri.partition(":")[0]
    with pytest.raises(UserError, match=f"no stores of the kind {kind}://") as caught:
        Files.at(uri)
    assert caught.value.exit_code == ExitCode.USAGE
