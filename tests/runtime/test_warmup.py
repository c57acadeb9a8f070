"""Kernels are compiled by one process of a machine at a time, and once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROCESSES = 3

# What a worker does before its first block, and how often numba had to compile for it.
WORKER = """
import contextlib, json, sys
from small_sweeps import sweep
from mcrelu.engines.one_d import group_kernels, loose_kernels
from mcrelu.runtime import warmup
if sys.argv[1] == "unguarded":
    warmup._alone = contextlib.nullcontext
sys.stdin.readline()  # all start together
warmup.warm_up(sweep().cells[0])
kernels = (group_kernels.descend, loose_kernels.descend_loose)
print(json.dumps([sum(kernel.stats.cache_misses.values()) for kernel in kernels]))
"""


def compilations(how: str, tmp_path: Path) -> list[int]:
    """How often the processes together compiled each of two kernels."""
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, how],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        for _ in range(PROCESSES)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    found = [json.loads(worker.communicate(timeout=300)[0]) for worker in workers]
    return [sum(column) for column in zip(*found, strict=True)]


@pytest.mark.slow
def test_a_kernel_is_compiled_once_on_a_machine(tmp_path: Path) -> None:
    assert compilations("guarded", tmp_path) == [1, 1]


@pytest.mark.slow
def test_without_the_lock_all_compile(tmp_path: Path) -> None:
    """Negative control."""
    assert min(compilations("unguarded", tmp_path)) > 1
