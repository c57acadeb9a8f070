"""Is everything there that mcrelu needs? One finding per thing that can be wrong."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mcrelu.runtime.block import versions
from mcrelu.sweep.sweep import Sweep

MIN_FREE_BYTES = 2**30


class Finding(NamedTuple):
    """What was looked at and what was found."""

    name: str
    ok: bool
    detail: str


def examine(with_ray: bool = True) -> list[Finding]:
    """Look at packages, kernels, the store, room for Ray's sessions, and Ray itself."""
    checks = [_packages, _machine, _room, _kernels, _store, _optional]
    if with_ray:
        checks.append(_ray)
    return [_guarded(check) for check in checks]


def _guarded(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a doctor reports whatever is wrong
        return Finding(
            check.__name__.lstrip("_"), ok=False, detail=f"{type(error).__name__}: {error}"
        )


def _packages() -> Finding:
    for package in ("numpy", "scipy", "numba", "pyarrow", "pydantic", "ray", "matplotlib"):
        importlib.import_module(package)
    found = ", ".join(f"{name} {number}" for name, number in versions().items())
    return Finding("packages", ok=True, detail=found)


def _machine() -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return Finding("machine", ok=True, detail=f"{cores} cores, {memory:.0f} GiB of memory")


def _room() -> Finding:
    """Ray keeps its sessions in the temporary folder."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    return Finding("temporary folder", free >= MIN_FREE_BYTES, f"{free / 2**30:.1f} GiB free")


def _kernels() -> Finding:
    """Every experiment does a block of its example."""
    from mcrelu.experiments.base import REGISTRY, BlockTask, experiment
    from mcrelu.runtime.block import attempt
    from mcrelu.runtime.task import BlockDone

    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in REGISTRY:
            sweep = Sweep.of(dict(experiment(name).example))
            cell = sweep.cells[0]
            task = BlockTask(sweep.block(cell, 0), sweep.provenance(cell), f"{folder}/{name}")
            result = attempt(task)
            if not isinstance(result, BlockDone):
                failed.append(f"{name}: {result.error}")
    done = f"compiled; did a block of {', '.join(REGISTRY)}"
    return Finding("kernels", not failed, "; ".join(failed) or done)


def _store() -> Finding:
    from mcrelu.store.files import Files

    with tempfile.TemporaryDirectory() as folder:
        files = Files.at(Path(folder) / "probe")
        files.publish("probe", b"mcrelu")
        same = files.read("probe") == b"mcrelu"
    return Finding("store", same, "wrote and read a file")


def _optional() -> Finding:
    have = [extra for extra in ("torch", "keras") if importlib.util.find_spec(extra)]
    return Finding("optional packages", ok=True, detail=", ".join(have) or "none")


def _ray() -> Finding:
    from mcrelu.runtime.ray_tasks import RayExecutor

    executor = RayExecutor.embed(workers=1)
    try:
        return Finding("ray", executor.capacity() > 0, "a local cluster starts and has a CPU")
    finally:
        executor.close()
