"""Blocks as Ray tasks, on a cluster that is joined or on one embedded in this process."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Collection
from pathlib import Path

import ray
from ray import ObjectRef
from ray.exceptions import RayError

from mcrelu.errors import ResourceError
from mcrelu.runtime.block import BlockResult, BlockTask, attempt
from mcrelu.runtime.submit import SystemFaultError
from mcrelu.runtime.warmup import warm_up

PROBE_SECONDS = 10.0
IN_FLIGHT_PER_CPU = 2  # enough to keep workers busy between polls

# Without them a node that vanishes silently holds its blocks for minutes, not seconds.
KEEPALIVE = {
    "RAY_grpc_client_keepalive_time_ms": "10000",
    "RAY_grpc_client_keepalive_timeout_ms": "10000",
}


Handle = ObjectRef[BlockResult]


# The submission loop retries, so that it can count; Ray would retry out-of-memory for ever.
@ray.remote(num_cpus=1, max_retries=0)
def _do_block(task: BlockTask, number: int) -> BlockResult:
    warm_up(task.block.cell)
    return attempt(task, number)


class RayExecutor:
    """Blocks as tasks of one CPU each."""

    name = "ray"

    def __init__(self, embedded: bool) -> None:
        self._embedded = embedded

    @classmethod
    def embed(cls, workers: int | None = None) -> RayExecutor:
        """Start a cluster of this process's own, with ``workers`` CPUs (default: all)."""
        _configure()
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        _protect_token()
        return cls(embedded=True)

    @classmethod
    def join(cls, address: str) -> RayExecutor:
        """Join a running cluster, with token authentication if this account has a token.

        Raises
        ------
        ResourceError
            If there is no cluster at the address, or it refuses the token.
        """
        _probe(address)
        _configure()
        if _token_file().exists() or "RAY_AUTH_TOKEN" in os.environ:
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RayError, RuntimeError, ValueError) as error:
            raise _no_cluster(address, str(error).splitlines()[0]) from None
        return cls(embedded=False)

    def capacity(self) -> int:
        """A few blocks for every CPU that the cluster has now."""
        cpus = ray.cluster_resources().get("CPU", 0)  # type: ignore[no-untyped-call]
        return int(IN_FLIGHT_PER_CPU * cpus)

    def submit(self, task: BlockTask, number: int) -> Handle:
        """Hand a block to Ray."""
        return _do_block.remote(task, number)

    def wait(self, handles: Collection[Handle], seconds: float) -> list[Handle]:
        """Finished blocks, waiting for the first at most so long."""
        done, _ = ray.wait(list(handles), num_returns=1, timeout=seconds, fetch_local=True)
        return list(done)

    def result(self, handle: Handle) -> BlockResult:
        """What the worker returned.

        Raises
        ------
        SystemFaultError
            If the worker or its node died, or memory ran out.
        """
        try:
            result: BlockResult = ray.get(handle)
        except RayError as error:
            line = str(error).strip().splitlines()[0]
            raise SystemFaultError(f"{type(error).__name__}: {line}") from error
        return result

    def cancel(self, handles: Collection[Handle]) -> None:
        """Kill the workers of blocks in flight; a shard is written whole or not at all."""
        for handle in handles:
            ray.cancel(handle, force=True)

    def close(self) -> None:
        """Leave the cluster; an embedded one ends."""
        ray.shutdown()


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


def _configure() -> None:
    for name, value in KEEPALIVE.items():
        os.environ.setdefault(name, value)


def _token_file() -> Path:
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))


def _protect_token() -> None:
    """Ray writes its token readable for everybody."""
    if _token_file().exists():
        _token_file().chmod(0o600)
