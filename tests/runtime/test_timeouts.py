"""A test that hangs is ended with its stack, and leaves none of Ray's processes behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import PATIENCE, alive, descendants, end_processes, identified, wait_until

TESTS = Path(__file__).parent.parent
CONFIGURATION = TESTS.parent / "pyproject.toml"

HANGING = """
import time
import pytest

def test_quick():
    time.sleep(60)

@pytest.mark.slow
def test_slow():
    time.sleep(2)
"""

HANGING_KERNEL = """
import numba

@numba.njit(nogil=True)
def wait_for_ever(k):
    while k > 0:
        k = 1 + (k * k) % 7
    return k

def test_kernel():
    wait_for_ever(1)
"""

HANGING_ON_RAY = """
import time
from pathlib import Path

import pytest
import ray
from mcrelu.runtime.ray_tasks import RayExecutor

@ray.remote
def wait(place, seconds):
    Path(place).touch()
    time.sleep(seconds)

@pytest.fixture
def cluster():
    RayExecutor.embed(1)
    ray.get(wait.remote("{ready}", 0))

@pytest.mark.timeout(3, func_only=True)
def test_ray(cluster):
    ray.get(wait.remote("{ready}", 3600))
"""


def started(folder: Path, text: str, *options: str) -> subprocess.Popen[str]:
    """Pytest with this project's configuration and conftest.py on a file of tests."""
    (folder / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (folder / "test_hanging.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-c", CONFIGURATION, "--rootdir", folder, folder]
    return subprocess.Popen(
        [*map(str, command), "-p", "no:cacheprovider", "-m", "", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
    )


@pytest.mark.slow
def test_a_quick_test_gets_less_time_than_a_slow_one(tmp_path: Path) -> None:
    with started(tmp_path, HANGING, "-o", "timeout=0.5") as process:
        said, _ = process.communicate(timeout=PATIENCE)
    assert "1 failed, 1 passed" in said
    assert "time.sleep(60)" in said
    assert "Timeout" in said


@pytest.mark.slow
def test_a_kernel_that_never_ends_ends_the_run_with_its_stack(tmp_path: Path) -> None:
    """Python sees no signal as long as a kernel runs, so the whole run must end."""
    options = ["-o", "timeout=1", "-o", "faulthandler_timeout=20"]
    with started(tmp_path, HANGING_KERNEL, *options) as process:
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "in test_kernel" in said


@pytest.mark.ray
@pytest.mark.slow
def test_a_test_that_hangs_on_ray_leaves_no_process(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with started(tmp_path, HANGING_ON_RAY.replace("{ready}", str(ready))) as process:
        wait_until(lambda: ready.exists() or process.poll() is not None, "the task to run")
        below = identified(descendants(process.pid))
        said, _ = process.communicate(timeout=PATIENCE)
    assert "1 failed" in said
    assert "Timeout" in said, said
    assert "3600" in said
    assert len(below) > 2
    try:
        wait_until(lambda: not alive(below), "Ray's processes to end", 30.0)
    finally:
        end_processes(below, 0.0)
