"""What `mcrelu submit` refuses before anything is sent, and what becomes of a job's end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.job_submission import JobDetails, JobStatus, JobType
from small_sweeps import spec, sweep
from test_cli import mcrelu

from mcrelu.errors import ExitCode, ResourceError, UserError
from mcrelu.runtime import submission
from mcrelu.runtime.interrupts import Interrupts
from mcrelu.runtime.parcel import packed
from mcrelu.runtime.submission import Job, _end, _Log, submit
from mcrelu.sweep.sweep import Sweep

JOB = Job("raysubmit_1", "http://127.0.0.1:8265")
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "right")
    for name in ("RAY_AUTH_MODE", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """A server that answers as ``answer`` of it says."""
    handler = type("Handler", (BaseHTTPRequestHandler,), {"do_GET": _answer, "log_message": _quiet})
    with HTTPServer(("127.0.0.1", 0), handler) as started:
        thread = threading.Thread(target=started.serve_forever, args=(0.01,))
        thread.start()
        yield started
        started.shutdown()
        thread.join()


def _answer(request: Any) -> None:
    token = request.headers["Authorization"]
    status = request.server.answers(token)
    request.send_response(status)
    request.end_headers()
    request.wfile.write(b"whatever")


def _quiet(*_: Any) -> None:
    """No log."""


def url(server: HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize(
    ("out", "address", "why"),
    [
        ("results/here", NOWHERE, "--out results/here: a relative path"),
        ("s3://KEY:SECRET@bucket/run", NOWHERE, r"--out s3://\*\*\*@bucket/run: .* leave them out"),
        ("/out", None, "--address is missing"),
        ("/out", "127.0.0.1:6379", "--address 127.0.0.1:6379: jobs go to the dashboard"),
        ("/out", "http://host:port", "--address http://host:port: jobs go to the dashboard"),
    ],
)
def test_what_cannot_be_right(out: str, address: str | None, why: str) -> None:
    with pytest.raises(UserError, match=why) as error:
        submit(sweep(), "sweep.yaml", out, address)
    assert error.value.exit_code == ExitCode.USAGE
    assert len(str(error.value).splitlines()) == 1


def test_nothing_listens_there() -> None:
    with pytest.raises(ResourceError, match=f"no Ray dashboard at {NOWHERE} .*refused"):
        submit(sweep(), "sweep.yaml", "/out", NOWHERE)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (401, "asks for its token: RAY_AUTH_TOKEN is another"),
        (403, "asks for its token: RAY_AUTH_TOKEN is another"),
        (404, "does not answer as Ray's dashboard does"),
        (200, "does not answer as Ray's dashboard does"),
    ],
)
def test_somebody_else_listens_there(server: Any, status: int, why: str) -> None:
    sent: list[str] = []
    server.answers = lambda token: sent.append(token) or status  # type: ignore[func-returns-value]
    with pytest.raises(ResourceError, match=why):
        submit(sweep(), "sweep.yaml", "/out", url(server))
    assert sent == ["Bearer right"]


def test_a_spec_that_is_not_valid_is_not_sent(server: Any, tmp_path: Path) -> None:
    server.answers = pytest.fail
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(spec(networks=-1)))
    said = mcrelu("submit", "bad.yaml", "--out", "/out", "--address", url(server), cwd=tmp_path)
    assert said.returncode == ExitCode.USAGE
    assert "networks" in said.stderr


def test_an_output_must_be_named(tmp_path: Path) -> None:
    said = mcrelu("submit", "sweep.yaml", "--address", NOWHERE, cwd=tmp_path)
    assert said.returncode == ExitCode.USAGE
    assert "--out is missing: give a URI" in said.stderr


def details(status: JobStatus, **more: Any) -> JobDetails:
    return JobDetails(
        type=JobType.SUBMISSION, submission_id=JOB.id, status=status, entrypoint="run", **more
    )


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (JobStatus.SUCCEEDED, 0, ExitCode.DONE),
        (JobStatus.FAILED, 4, ExitCode.FAILED_BLOCKS),
        (JobStatus.FAILED, 5, ExitCode.BUDGET),
        (JobStatus.FAILED, 6, ExitCode.FOREIGN_OUTPUT),
        (JobStatus.FAILED, 70, ExitCode.UNEXPECTED),
        (JobStatus.STOPPED, None, ExitCode.TERMINATED),
    ],
)
def test_ends_of_runs(status: JobStatus, code: int | None, expected: ExitCode) -> None:
    assert _end(JOB, details(status, driver_exit_code=code)) is expected


@pytest.mark.parametrize("code", [None, 1, 127, -9])
def test_ends_of_jobs_that_were_no_runs(code: int | None) -> None:
    message = "Job entrypoint command failed with exit code 127\n/bin/sh: 1: python: not found\n"
    failed = details(JobStatus.FAILED, driver_exit_code=code, message=message)
    with pytest.raises(ResourceError, match=r"raysubmit_1 ended before .* python: not found"):
        _end(JOB, failed)


class Tail:
    """A client whose connection is lost in the midst of the log."""

    def __init__(self, *chunks: str) -> None:
        self._chunks = chunks

    async def tail_job_logs(self, _: str) -> AsyncIterator[str]:
        for chunk in self._chunks:
            yield chunk


def test_a_log_is_shown_once_however_often_it_comes() -> None:
    shown: list[str] = []
    log = _Log(shown.append)
    for tail in (Tail("ab", "c"), Tail("abcd"), Tail("a", "bcde", "f"), Tail("ab")):
        asyncio.run(log.copy(tail, JOB.id))  # type: ignore[arg-type]
    assert "".join(shown) == "abcdef"


class Cluster(Tail):
    """A client whose connection is lost once, and whose job ends thereafter."""

    def __init__(self) -> None:
        super().__init__("one ", "two ")
        self.tails = 0

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        self.tails += 1
        async for chunk in super().tail_job_logs(job_id):
            yield chunk
        if self.tails == 1:
            raise RuntimeError("WebSocket connection closed unexpectedly")
        yield "three"

    def get_job_info(self, _: str) -> JobDetails:
        if self.tails == 1:
            raise OSError("the tunnel is gone")
        return details(JobStatus.SUCCEEDED, driver_exit_code=0)


def test_a_lost_connection_is_taken_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, knocks = Cluster(), []
    shown: list[str] = []

    def probe(address: str) -> None:
        knocks.append(address)
        if len(knocks) == 2:
            raise ResourceError("nobody there yet")

    monkeypatch.setattr(submission, "RECONNECT_SECONDS", 0.0)
    monkeypatch.setattr(submission, "_probe", probe)
    monkeypatch.setattr(submission, "_client", lambda _: cluster)
    assert submission.follow(JOB, shown.append) is ExitCode.DONE
    assert "".join(shown) == "one two three"
    assert knocks == [JOB.address] * 3


def test_a_cluster_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "LOST_SECONDS", 0.0)
    monkeypatch.setattr(submission, "RECONNECT_SECONDS", 0.0)
    with pytest.raises(ResourceError, match=r"no answer for .* raysubmit_1 goes on if the cluster"):
        submission.follow(Job(JOB.id, NOWHERE), pytest.fail)


def test_the_parcel_has_the_points_inside(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("x,y\n-1,1\n-0.5,0\n0.5,1\n1,2\n")
    values = spec(data={"file": "points.csv", "x": "x", "y": "y"})
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(values))
    there = Sweep.from_yaml(tmp_path / "sweep.yaml")
    with packed(there, "sweep.yaml") as environment:
        folder = Path(environment["working_dir"])
        (tmp_path / "points.csv").unlink()
        assert Sweep.from_yaml(folder / "sweep.yaml").cells == there.cells
        (metadata,) = folder.glob("mcrelu-*.dist-info/METADATA")
        assert "Name: mcrelu" in metadata.read_text()
        (package,) = environment["py_modules"]
        assert (Path(package) / "runtime" / "parcel.py").exists()
    assert not folder.exists()


class Swallowing:
    """A connection that is interrupted, which its libraries take for a loss."""

    def __init__(self, number: signal.Signals | None) -> None:
        self._number, self.made = number, 0

    async def tail_job_logs(self, _: str) -> AsyncIterator[str]:
        self.made += 1
        try:
            if self._number is not None:
                os.kill(os.getpid(), self._number)
            await asyncio.sleep(0.0)
        except BaseException:  # noqa: BLE001 - as bad as can be
            self.swallowed = True
        raise OSError("connection lost")
        yield ""

    def get_job_info(self, _: str) -> JobDetails:
        assert self.made < 3, "goes on for ever"
        raise OSError("no answer")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
def test_an_interrupt_that_is_swallowed_counts(
    number: signal.Signals, code: ExitCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = Swallowing(number)
    monkeypatch.setattr(submission, "_connected", lambda _: connection)
    monkeypatch.setattr(submission, "RECONNECT_SECONDS", 0.0)
    with Interrupts(raising=True) as interrupts, pytest.raises(KeyboardInterrupt):
        submission.follow(JOB, lambda _: None, lambda: interrupts.received is not None)
    assert interrupts.exit_code == code
    assert connection.swallowed
    assert connection.made == 1


def test_connections_that_are_lost_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control."""
    connection = Swallowing(None)
    monkeypatch.setattr(submission, "_connected", lambda _: connection)
    monkeypatch.setattr(submission, "RECONNECT_SECONDS", 0.0)
    with pytest.raises(AssertionError, match="goes on for ever"):
        submission.follow(JOB, lambda _: None, lambda: False)
