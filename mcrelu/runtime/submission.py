"""A sweep as a job of a running cluster: sent there, and its log followed."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from aiohttp import ClientError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from mcrelu.errors import ExitCode, ResourceError, UserError
from mcrelu.runtime.executors import refuse_relative
from mcrelu.runtime.parcel import packed
from mcrelu.runtime.ray_probe import PROBE_SECONDS, refused, token
from mcrelu.store.uris import shown
from mcrelu.sweep.sweep import Sweep

ADDRESS = "RAY_API_SERVER_ADDRESS"

RECONNECT_SECONDS = 2.0
LOST_SECONDS = 120.0  # without an answer for so long, a follower gives up

# What a run may end with by itself; anything else is the end of a job that never became one.
_ENDS = frozenset(ExitCode) - {ExitCode.DISAGREEMENT}

_CHATTY = (
    "ray._private.runtime_env.packaging",
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
)


class Job(NamedTuple):
    """A job that was submitted."""

    id: str
    address: str  # of the cluster's dashboard

    @property
    def how_to_stop(self) -> str:
        """The command that stops it."""
        return f"ray job stop --address {self.address} {self.id}"

    @property
    def how_to_follow(self) -> str:
        """The command that shows its log as it grows."""
        return f"ray job logs --address {self.address} --follow {self.id}"


def submit(sweep: Sweep, name: str, out: str, address: str | None = None) -> Job:
    """Have a cluster run a sweep into ``out``.

    The driver runs on the head node, which lasts as long as the cluster, and asks for no CPU.

    Parameters
    ----------
    name : of the file that holds the spec there; says in lists of jobs what runs
    address : http://host:port of the cluster's dashboard; by default RAY_API_SERVER_ADDRESS

    Raises
    ------
    UserError
        If nodes cannot share ``out``, or there can be no cluster at such an address.
    ResourceError
        If there is none, or it refuses this account or the job.
    """
    refuse_relative(out)
    if shown(out) != out:
        raise UserError(
            f"--out {shown(out)}: the list of jobs would show its credentials; leave them out, and "
            "give the nodes a role or variables such as AWS_ACCESS_KEY_ID"
        )
    address = _address(address)
    _probe(address)
    entrypoint = shlex.join(["python", "-m", "mcrelu", "run", name, "--out", out])
    with packed(sweep, name) as environment:
        try:
            id_ = _client(address).submit_job(entrypoint=entrypoint, runtime_env=environment)
        except (RuntimeError, OSError) as error:
            raise ResourceError(f"{address}: did not take the job ({_first_line(error)})") from None
    return Job(id_, address)


def follow(
    job: Job, write: Callable[[str], object], interrupted: Callable[[], bool] = lambda: False
) -> ExitCode:
    """Write a job's log as it grows; how its run ended.

    Raises
    ------
    KeyboardInterrupt
        If ``interrupted()``: raised while a connection is made or lost, it may have been swallowed.
    ResourceError
        If the job ended before its run began, or the cluster does not answer any more.
    """
    log = _Log(write)
    while True:
        client = _connected(job)
        with suppress(RuntimeError, OSError, ClientError):  # the connection was lost
            asyncio.run(log.copy(client, job.id))
        if interrupted():
            raise KeyboardInterrupt
        details = _details(client, job)
        if details is not None and details.status.is_terminal():
            return _end(job, details)
        time.sleep(RECONNECT_SECONDS)


def _connected(job: Job) -> JobSubmissionClient:
    """A client of a cluster that answers, maybe again."""
    ends = time.monotonic() + LOST_SECONDS
    while True:
        try:
            _probe(job.address)
            return _client(job.address)
        except (ResourceError, RuntimeError, OSError) as error:
            if time.monotonic() > ends:
                raise ResourceError(
                    f"{job.address}: no answer for {LOST_SECONDS:.0f} s ({_first_line(error)}); "
                    f"job {job.id} goes on if the cluster does: {job.how_to_follow}"
                ) from None
        time.sleep(RECONNECT_SECONDS)


def _details(client: JobSubmissionClient, job: Job) -> JobDetails | None:
    """What the cluster knows of a job, None if it does not answer."""
    try:
        return client.get_job_info(job.id)
    except OSError:
        return None
    except RuntimeError as error:
        raise ResourceError(f"job {job.id}: {_first_line(error)}") from None


class _Log:
    """A job's log, each character written once however often the connection is lost."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._written = 0

    async def copy(self, client: JobSubmissionClient, job_id: str) -> None:
        """Write what comes until the job ends; the cluster sends its log from the beginning."""
        position = 0
        async for text in client.tail_job_logs(job_id):
            fresh = text[max(0, self._written - position) :]
            position += len(text)
            if fresh:
                self._write(fresh)
                self._written = position


def _end(job: Job, details: JobDetails) -> ExitCode:
    """The exit code of the run of a job that has ended."""
    if details.status is JobStatus.SUCCEEDED:
        return ExitCode.DONE
    if details.status is JobStatus.STOPPED:
        return ExitCode.TERMINATED
    if details.driver_exit_code in _ENDS:
        return ExitCode(details.driver_exit_code)
    lines = (details.message or "").strip().splitlines() or ["no reason is known"]
    raise ResourceError(
        f"job {job.id} ended before its run did ({lines[-1].strip()}); its log says more: "
        f"ray job logs --address {job.address} {job.id}"
    )


def _address(given: str | None) -> str:
    address = given or os.environ.get(ADDRESS)
    if not address:
        raise UserError(
            "--address is missing: give http://host:8265, where 'ray start --head' or "
            f"'ray dashboard' has the dashboard, or set {ADDRESS}"
        )
    if not _is_dashboard(address):
        raise UserError(
            f"--address {address}: jobs go to the dashboard of a cluster; give http://host:8265"
        )
    return address.rstrip("/")


def _is_dashboard(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is none
        return False


def _probe(address: str) -> None:
    """Ask for the version first: Ray's own client sets no limits of time."""
    request = Request(f"{address}/api/version", headers=_headers())  # noqa: S310 - http, https
    try:
        with urlopen(request, timeout=PROBE_SECONDS) as answer:  # noqa: S310 - http, https
            answered = b"ray_version" in answer.read()
    except HTTPError as error:
        error.close()
        if error.code in (401, 403):
            raise refused(address, token()) from None
        answered = False
    except HTTPException:
        answered = False
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise _no_dashboard(address, _first_line(reason)) from None
    if not answered:
        raise _no_dashboard(address, "what listens there does not answer as Ray's dashboard does")


def _no_dashboard(address: str, why: str) -> ResourceError:
    return ResourceError(
        f"no Ray dashboard at {address} ({why}); give the address that 'ray start --head' prints "
        "for jobs, by way of 'ray dashboard' or ssh -L 8265:localhost:8265 from elsewhere"
    )


def _headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {token()}"} if token() else {}


def _client(address: str) -> JobSubmissionClient:
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    with _only_address(address):
        return JobSubmissionClient(address, headers=_headers())


@contextmanager
def _only_address(address: str) -> Iterator[None]:
    """Ray's client prefers the variable to its argument."""
    before = os.environ.get(ADDRESS)
    os.environ[ADDRESS] = address
    try:
        yield
    finally:
        if before is None:
            del os.environ[ADDRESS]
        else:
            os.environ[ADDRESS] = before


def _first_line(error: Any) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
