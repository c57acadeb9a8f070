"""Kernels are compiled by one process of a machine at a time, and once."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from mcrelu.runtime import warmup

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


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder in which others may write, too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def enter() -> None:
    with warmup._alone():
        pass


def private_folder(shared: Path) -> Path:
    return shared / f"mcrelu-{os.geteuid()}"


def test_the_lock_lies_in_a_private_folder(shared: Path) -> None:
    enter()
    assert stat.S_IMODE(private_folder(shared).stat().st_mode) == 0o700
    assert [path.name for path in shared.rglob("*.lock")] == [warmup.LOCK]


@pytest.mark.parametrize("link", ["folder", "lock"])
def test_a_link_in_the_way_is_not_followed(link: str, shared: Path) -> None:
    victim = shared / "victim"
    victim.mkdir()
    (victim / warmup.LOCK).write_text("precious")
    folder = private_folder(shared)
    if link == "folder":
        folder.symlink_to(victim)
    else:
        folder.mkdir(mode=0o700)
        (folder / warmup.LOCK).symlink_to(victim / warmup.LOCK)
    assert warmup._lock_file() is None
    enter()
    assert (victim / warmup.LOCK).read_text() == "precious"


def test_a_lock_file_keeps_its_content(shared: Path) -> None:
    enter()
    (private_folder(shared) / warmup.LOCK).write_text("precious")
    enter()
    assert (private_folder(shared) / warmup.LOCK).read_text() == "precious"


def test_a_folder_open_to_others_is_not_used(shared: Path) -> None:
    """Whoever may write into it could hold the lock for ever."""
    private_folder(shared).mkdir()
    private_folder(shared).chmod(0o777)
    assert warmup._lock_file() is None
    assert list(private_folder(shared).iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_used(shared: Path) -> None:
    private_folder(shared).mkdir(mode=0o700)
    os.chown(private_folder(shared), 12345, 12345)
    assert warmup._lock_file() is None


def test_without_a_temporary_folder_it_goes_on(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(shared / "missing" / "folder"))
    enter()


def test_one_at_a_time(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmup, "PATIENCE_SECONDS", 0.2)
    with warmup._alone():
        started = time.monotonic()
        enter()  # goes on without the lock once its patience ends
        assert time.monotonic() - started >= 0.2
    started = time.monotonic()
    enter()
    assert time.monotonic() - started < 0.2


@pytest.mark.slow
def test_a_kernel_is_compiled_once_on_a_machine(tmp_path: Path) -> None:
    assert compilations("guarded", tmp_path) == [1, 1]


@pytest.mark.slow
def test_without_the_lock_all_compile(tmp_path: Path) -> None:
    """Negative control."""
    assert min(compilations("unguarded", tmp_path)) > 1
