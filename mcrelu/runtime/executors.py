"""Which executor a run gets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcrelu.errors import ResourceError, UserError
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.submit import Executor
from mcrelu.sweep.sweep import Sweep

NAMES = ("ray", "serial")


def executor_starter(
    name: str,
    out: str,
    address: str | None = None,
    workers: int | None = None,
    device: str | None = None,
) -> Callable[[], Executor[Any]]:
    """A function that starts the executor; Ray is imported only when it is called.

    ``device`` (auto, cpu, cuda) is given where blocks are done on devices that their process owns.

    Raises
    ------
    UserError
        If the choice makes no sense, in particular a relative output on a cluster, or there can
        be no cluster at such an address.
    """
    if name not in NAMES:
        raise UserError(f"executor = {name!r}: no such executor; use {' or '.join(NAMES)}")
    if name == "serial":
        if address or workers:
            raise UserError("--serial runs in this process; leave --address and --workers out")
        return lambda: SerialExecutor(_device_here(device))
    address = address or os.environ.get("RAY_ADDRESS")
    if not address or address == "local":
        return lambda: _embedded(device, workers)
    if not _is_address(address):
        raise UserError(
            f"{address}: is no address of a cluster; give host:port as 'ray start --head' prints "
            "it, or leave --address and RAY_ADDRESS out for a local cluster"
        )
    if workers:
        raise UserError(f"--workers {workers}: a joined cluster has its own size; leave it out")
    refuse_relative(out)
    joined = address
    return lambda: _joined(device, joined)


def refuse_relative(out: str) -> None:
    """Raise UserError if an output means another place on every node of a cluster."""
    if "://" not in out and not Path(out).is_absolute():
        raise UserError(
            f"--out {out}: a relative path means another folder on every node of a cluster; "
            "give an absolute path that all nodes share, or a URI such as s3://bucket/prefix"
        )


def check_memory(sweep: Sweep, executor: Executor[Any]) -> None:
    """Refuse a sweep with a block that no machine of an executor can hold.

    Raises
    ------
    ResourceError
        Names the width, what its block needs, and what the largest machine has.
    """
    have = executor.memory()
    if have is None:
        return
    for cell in sweep.cells:
        networks = min(sweep.block_size(cell), sweep.spec.networks)
        need = cell.memory(networks)
        if need > have:
            raise ResourceError(
                f"cells.width = {cell.width}: a block of {networks} networks needs "
                f"{need / 2**30:.1f} GiB of memory, the largest machine has {have / 2**30:.1f}; "
                "lower block_size or the width, or add a larger machine"
            )


def _is_address(text: str) -> bool:
    host, _, port = text.removeprefix("ray://").rpartition(":")
    named = bool(host) and "/" not in host
    return text == "auto" or (named and port.isdecimal() and int(port) < 2**16)


def _device_here(wish: str | None) -> str:
    if wish is None:
        return "cpu"
    from mcrelu.engines.torch_device import device_here

    return device_here(wish)


def _embedded(device: str | None, workers: int | None) -> Executor[Any]:
    if device is None:
        from mcrelu.runtime.ray_tasks import RayExecutor

        return RayExecutor.embed(workers)
    from mcrelu.runtime.ray_actors import ActorExecutor

    return ActorExecutor.embed(device, workers)


def _joined(device: str | None, address: str) -> Executor[Any]:
    if device is None:
        from mcrelu.runtime.ray_tasks import RayExecutor

        return RayExecutor.join(address)
    from mcrelu.runtime.ray_actors import ActorExecutor

    return ActorExecutor.join(device, address)
