"""Processes that a test starts, finds and ends, by their ids."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).parent / "child.py"
Process = tuple[int, str]  # id and time of birth

PATIENCE = 120.0  # seconds; machines may be busy


def wait_until(happened: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait for something to happen."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.02)


@contextmanager
def child(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """child.py with arguments; whatever it started is gone afterwards."""
    with _running([sys.executable, str(CHILD), *map(str, arguments)]) as process:
        yield process


@contextmanager
def command(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The command line with arguments; whatever it started is gone afterwards."""
    with _running([sys.executable, "-m", "mcrelu", *map(str, arguments)]) as process:
        yield process


@contextmanager
def _running(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    started: set[Process] = set()
    piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    own = os.environ | {"PYTHONPATH": str(ROOT)}  # the package under test, whatever is installed
    with subprocess.Popen(arguments, **piped, env=own, start_new_session=True) as process:
        try:
            yield process
        finally:
            started |= identified(descendants(process.pid))
            process.kill()
            process.wait()
    end_processes(started)


def caught(process: subprocess.Popen[str], ready: Path) -> None:
    """Wait until a child is where it was to be caught."""
    wait_until(lambda: ready.exists() or process.poll() is not None, "the child to be ready")
    assert process.poll() is None, process.communicate()[0]


def interrupt(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """End a child as terminals and job runners do: Ctrl-C goes to all that it started, too."""
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)


def exit_code(process: subprocess.Popen[str]) -> int:
    """The exit code of a child once it has ended, with its output where that is unexpected."""
    out, _ = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in out, out
    return process.returncode


def descendants(root: int) -> list[int]:
    """Ids of the processes that a process started, directly or not."""
    children: dict[int, list[int]] = {}
    for pid in _all_pids():
        children.setdefault(_parent(pid), []).append(pid)
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def busy_workers(root: int) -> list[int]:
    """The Ray workers below a process that do a block just now."""
    return [pid for pid in descendants(root) if "_do_block" in _command(pid)]


def identified(pids: Iterable[int]) -> set[Process]:
    """Processes with what tells them from later ones with the same id."""
    return {(pid, _born(pid)) for pid in pids if _born(pid)}


def alive(processes: set[Process]) -> list[str]:
    """Commands of those of the processes that still run."""
    return [_command(pid) for pid, born in processes if _born(pid) == born]


def end_processes(processes: set[Process], seconds: float = 3.0) -> None:
    """Give processes time to end by themselves, then end those that are still the same."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and alive(processes):
        time.sleep(0.05)
    for pid, born in processes:
        if _born(pid) == born:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _born(pid: int) -> str:
    """When a process started, "" if it is gone: with its id it is unique."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] != "Z" else ""


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
