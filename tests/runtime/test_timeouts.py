"""A test that hangs is ended with its stack, and leaves none of Ray's processes behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import PATIENCE, Process, alive, descendants, end_processes, identified, wait_until

TESTS = Path(__file__).parent.parent
CONFIGURATION = TESTS.parent / "pyproject.toml"

SLOW_THEN_QUICK = """
import time
import pytest

@pytest.mark.slow
def test_slow():
    time.sleep(1.5)

def test_quick():
    time.sleep(3600)
"""

KERNEL = """
import numba

@numba.njit(nogil=True)
def wait_for_ever(k):
    while k > 0:
        k = 1 + (k * k) % 7
    return k

def test_kernel():
    wait_for_ever(1)
"""

RAY = """
import time
from pathlib import Path

import pytest
import ray
from mcrelu.runtime.ray_tasks import RayExecutor

@ray.remote
def wait(seconds):
    time.sleep(seconds)

@pytest.fixture
def cluster():
    RayExecutor.embed(1)
    ray.get(wait.remote(0))
    Path("{ready}").touch()

@pytest.mark.timeout(3, func_only=True)
def test_ray(cluster):
    ray.get(wait.remote(3600))
"""


@contextmanager
def pytest_on(folder: Path, text: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Pytest with this project's configuration and conftest.py on a file of tests."""
    (folder / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (folder / "test_hanging.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-c", CONFIGURATION, "--rootdir", folder, folder]
    with subprocess.Popen(
        [*map(str, command), "-v", "-p", "no:cacheprovider", "-m", "", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> str:
    """What a process said until it ended with an error."""
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, said
    assert "Timeout" in said
    return said


def working(processes: set[Process]) -> list[str]:
    """Those that run, but for Ray's agents: they miss their node only after a minute."""
    return [command for command in alive(processes) if "Agent" not in command]


@pytest.mark.slow
def test_a_quick_test_gets_less_time_than_a_slow_one(tmp_path: Path) -> None:
    with pytest_on(tmp_path, SLOW_THEN_QUICK, "-o", "timeout=0.5") as process:
        said = ended(process)
    assert "test_slow PASSED" in said
    assert "in test_quick" in said


@pytest.mark.slow
def test_a_kernel_that_never_ends_is_ended(tmp_path: Path) -> None:
    with pytest_on(tmp_path, KERNEL, "-o", "timeout=15") as process:
        said = ended(process)
    assert "in test_kernel" in said


@pytest.mark.ray
@pytest.mark.slow
def test_a_test_that_waits_for_ray_is_ended_and_leaves_no_process(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with pytest_on(tmp_path, RAY.replace("{ready}", str(ready))) as process:
        wait_until(lambda: ready.exists() or process.poll() is not None, "the cluster")
        below = identified(descendants(process.pid))
        said = ended(process)
    assert "in test_ray" in said
    assert len(below) > 2
    try:
        wait_until(lambda: not working(below), "Ray's processes to end")
    finally:
        end_processes(below, 0.0)
