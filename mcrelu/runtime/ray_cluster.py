"""The Ray cluster that a run uses: one that is joined, or one embedded in this process."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray._private import utils
from ray._private.services import get_ray_address_from_environment
from ray._private.utils import get_num_cpus
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from mcrelu.errors import ResourceError
from mcrelu.runtime import ray_preflight
from mcrelu.runtime.ray_probe import CLIENT, no_cluster, probe, token_file

# Without them a node that vanishes silently holds its blocks for minutes, not seconds. Only for a
# cluster that is started here: where the other end was started without them it takes the pings for
# an attack ("Too many pings") and closes the connection.
KEEPALIVE = {
    "RAY_grpc_client_keepalive_time_ms": "10000",
    "RAY_grpc_client_keepalive_timeout_ms": "10000",
}
AUTH_MODE = "RAY_AUTH_MODE"

# Tasks and results are a few kilobytes. Ray's own choice, a third of the memory, would be missing
# in the memory that it has for tasks.
OBJECT_STORE_BYTES = 128 * 2**20

HEAD_SECONDS = 20.0  # for which a head node may be silent: less than heartbeat.LOST_SECONDS

_head: list[tuple[str, int]] = []  # where the head node is, if there is one
_environment: dict[str, str | None] = {}  # variables as they were before this process had a cluster


def embed(workers: int | None = None) -> None:
    """Start a cluster of this process's own, with all GPUs.

    Parameters
    ----------
    workers : number of CPUs; default: those that this process may use

    Raises
    ------
    ResourceError
        If a folder or a limit of this process keeps Ray from starting.
    """
    ray_preflight.check()
    _set_environment(KEEPALIVE)
    try:
        with _own_signals():
            ray.init(
                address="local",
                num_cpus=workers or usable_cpus(),
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except Exception as error:  # noqa: BLE001 - Ray raises bare Exceptions, too
        leave()
        raise ResourceError(
            f"Ray does not start here ({_first_line(error)}); look into the newest "
            f"{ray_preflight.session_folder()}/session_*/logs, give mcrelu doctor, or use --serial"
        ) from None
    _protect_token()
    _remember_head()


def join(address: str) -> bool:
    """Join a running cluster, with token authentication if this account has a token.

    Returns whether it asks for a token, as far as one can tell: if not, whoever reaches it can run
    code there.

    Raises
    ------
    ResourceError
        If there is no cluster at the address, it does not answer, or it refuses the token.
    """
    place = _resolved(address)
    protected = probe(place)
    has_token = token_file().exists() or "RAY_AUTH_TOKEN" in os.environ
    _set_environment({AUTH_MODE: "token"} if has_token else {})
    try:
        with _quiet_stderr(), _own_signals():
            ray.init(address=place, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # noqa: BLE001 - Ray raises bare Exceptions, too
        leave()
        raise no_cluster(address, _first_line(error)) from None
    if not place.startswith(CLIENT):
        _remember_head()
    return protected


def leave() -> None:
    """Leave the cluster, an embedded one ends; the environment is as before."""
    _head.clear()
    ray.shutdown()
    for name, value in _environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _environment.clear()
    _reread_environment()


def count(resource: str) -> float:
    """How much of a resource (CPU, GPU) the cluster has now.

    Raises
    ------
    ResourceError
        If its head node has ended. Ray would end this process after a minute.
    """
    _require_head()
    found = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return float(found.get(resource, 0.0))


def warning(protected: bool) -> str:
    """What to say of a cluster that asks for no token."""
    if protected:
        return ""
    return (
        ". Warning: the cluster asks for no token, so whoever reaches its ports can run code there"
    )


def node_memory() -> int | None:
    """Bytes for tasks on the node that has most; None if no node has CPUs, so that others come."""
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    resources = [node["Resources"] for node in nodes if node["Alive"]]
    return max((int(own.get("memory", 0)) for own in resources if own.get("CPU")), default=None)


def usable_cpus() -> int:
    """CPUs that this process may use: by its affinity and by the limit of its container."""
    return max(1, min(len(os.sched_getaffinity(0)), int(get_num_cpus(True))))


def _remember_head() -> None:
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    _head[:] = [(host, int(port))]  # an earlier cluster may have been left without a word


def _require_head() -> None:
    for place in _head:
        end = time.monotonic() + HEAD_SECONDS
        while not _answers(place):
            if time.monotonic() > end:
                raise ResourceError(
                    f"the Ray cluster at {place[0]}:{place[1]} has ended: its head node does not "
                    "answer any more; start it again, then give the same command again"
                )
            time.sleep(1.0)


def _answers(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, timeout=2.0).close()
    except OSError:
        return False
    return True


def _resolved(address: str) -> str:
    """host:port of the cluster that ``auto`` means, which may have ended since."""
    if address != "auto":
        return address
    try:
        return str(get_ray_address_from_environment(address, None))
    except ConnectionError:
        raise no_cluster(address, "none runs on this machine") from None


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep Ray from handling SIGTERM, which it does by exceptions with codes of its own."""
    original = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = original


def _set_environment(defaults: dict[str, str]) -> None:
    """Set variables that are not set until :func:`leave`: the next cluster may need others."""
    for name in (*KEEPALIVE, AUTH_MODE):  # Ray sets the mode, too
        _environment.setdefault(name, os.environ.get(name))
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    _reread_environment()


def _reread_environment() -> None:
    """Ray read it when it was imported, and keeps the first token that it found."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Drop what Ray's libraries write to stderr: raw log lines beside the one of the error."""
    sys.stderr.flush()
    with Path(os.devnull).open("w") as nowhere:
        before = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _protect_token() -> None:
    """Ray writes its token readable for everybody."""
    if token_file().exists():
        token_file().chmod(0o600)
