"""The server as a process: how it begins and ends, and stores that are far away or gone."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from page_server import Server, served
from s3_server import BUCKET, point_clients_at, s3_server
from small_sweeps import run_serially, sweep

from mcrelu.errors import ExitCode
from mcrelu.figures.plot import draw
from mcrelu.store.reduce import reduce

pytestmark = pytest.mark.slow


def answer(server: Server, path: str) -> Any:
    with urllib.request.urlopen(f"{server.address}{path}") as stream:
        return json.load(stream)


def briefs(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer(server, "api/outputs")["outputs"]
    return found


@pytest.mark.parametrize(
    ("by", "code"), [(signal.SIGINT, ExitCode.DONE), (signal.SIGTERM, ExitCode.TERMINATED)]
)
def test_a_server_can_be_ended_at_once(by: signal.Signals, code: int, folder: Path) -> None:
    """Also in the middle of its first look."""
    for _ in range(3):
        assert Server([folder]).end(by) == code


def test_it_listens_on_this_machine_alone(folder: Path) -> None:
    with served(folder) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5):
            pass
        listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        places = [line.split()[1] for line in listening.splitlines() if ":" in line]
        own = [place for place in places if place.endswith(f":{server.port:04X}")]
        assert f"0100007F:{server.port:04X}" in own
        assert all(place.startswith("0100007F:") for place in own)


def test_a_port_that_is_taken_is_told(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "mcrelu", "serve", str(folder), "--port", str(port)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == ExitCode.RESOURCES
    assert found.stderr.count("\n") == 1
    assert f"port {port}" in found.stderr


def test_outputs_on_object_stores_are_shown(folder: Path) -> None:
    with s3_server():
        output = run_serially(f"s3://{BUCKET}/there", sweep(cells={"width": [4, 8]}))
        reduce(output)
        draw(output)
        with served(f"s3://{BUCKET}/there", folder) as server:
            while any(one["waiting"] for one in briefs(server)):
                time.sleep(0.1)
            far, near = (answer(server, f"api/outputs/{key}") for key in ("there", "small"))
            assert far["panels"] == near["panels"]
            assert far["figures"] == near["figures"]
            cell = far["cells"][0]["id"]
            pages = [
                answer(server, f"api/outputs/{key}/cells/{cell}/networks")
                for key in ("there", "small")
            ]
            assert pages[0] == pages[1]


def test_a_store_that_hangs_stalls_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_clients_at(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        server = Server([f"s3://{BUCKET}/hangs", folder])
        try:
            while briefs(server)[1]["waiting"]:
                time.sleep(0.1)
            assert answer(server, "api/outputs/small")["panels"]
            far, _ = briefs(server)
            assert far["waiting"]
            while (far := briefs(server)[0])["waiting"]:
                time.sleep(0.2)
            assert "no answer within" in far["error"]
        finally:
            code = server.end()
        assert code == ExitCode.DONE
