"""The Ray cluster that a run uses: one that is joined, or one embedded in this process."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import ray
from ray.exceptions import RayError

from mcrelu.errors import ResourceError

PROBE_SECONDS = 10.0

# Without them a node that vanishes silently holds its blocks for minutes, not seconds. Only for a
# cluster that is started here: where the other end was started without them it takes the pings for
# an attack ("Too many pings") and closes the connection.
KEEPALIVE = {
    "RAY_grpc_client_keepalive_time_ms": "10000",
    "RAY_grpc_client_keepalive_timeout_ms": "10000",
}


def embed(workers: int | None = None) -> None:
    """Start a cluster of this process's own, with ``workers`` CPUs (default: all) and all GPUs."""
    for name, value in KEEPALIVE.items():
        os.environ.setdefault(name, value)
    ray.init(
        address="local",
        num_cpus=workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    _protect_token()


def join(address: str) -> None:
    """Join a running cluster, with token authentication if this account has a token.

    Raises
    ------
    ResourceError
        If there is no cluster at the address, or it refuses the token.
    """
    _probe(address)
    if _token_file().exists() or "RAY_AUTH_TOKEN" in os.environ:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RayError, RuntimeError, ValueError) as error:
        raise _no_cluster(address, str(error).splitlines()[0]) from None


def leave() -> None:
    """Leave the cluster; an embedded one ends."""
    ray.shutdown()


def count(resource: str) -> float:
    """How much of a resource (CPU, GPU) the cluster has now."""
    found = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return float(found.get(resource, 0.0))


def _probe(address: str) -> None:
    """Knock at the cluster's door, since Ray itself would knock for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # "auto": Ray looks for the cluster on this machine
    try:
        socket.create_connection((host, int(port)), timeout=PROBE_SECONDS).close()
    except (OSError, ValueError) as error:
        raise _no_cluster(address, str(error)) from None


def _no_cluster(address: str, why: str) -> ResourceError:
    return ResourceError(
        f"no Ray cluster at {address} ({why}); give host:port as 'ray start --head' prints it, "
        "leave --address and RAY_ADDRESS out for a local cluster, or use --serial"
    )


def _token_file() -> Path:
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))


def _protect_token() -> None:
    """Ray writes its token readable for everybody."""
    if _token_file().exists():
        _token_file().chmod(0o600)
