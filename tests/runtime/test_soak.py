"""A run of an hour: nothing that it holds grows, in the driver or in its workers.

``pytest -m long tests/runtime/test_soak.py -s`` prints the memory by the minute.
"""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from processes import descendants
from small_sweeps import output, run_serially, sweep

from mcrelu.errors import ExitCode
from mcrelu.runtime.executors import executor_starter
from mcrelu.runtime.progress import Silent, Tally
from mcrelu.runtime.sweeping import do_sweep

SECONDS = 3600.0
WARM_UP_SECONDS = 600.0  # kernels are compiled, pools are filled
EVERY_SECONDS = 10.0
WINDOW_SECONDS = 300.0  # of which medians are compared

# What the driver notes of a block (its entry in the manifest, a few counts) is no leak.
BYTES_PER_BLOCK = 200
ALLOWED_BYTES = 16 * 2**20

# Blocks of a few ms, of several widths in turn: as many as can be.
SOAK = sweep(
    networks=2 * 10**7,
    block_size=20,
    cells={"width": [16, 23, 32, 64]},
    stop=["crossing", "sufficient", {"relative_width": 0.0001}],
)


class Scales(Silent):
    """Weighs the driver and its workers now and then, and ends the run after a time."""

    def __init__(self, seconds: float) -> None:
        self._began = self._next = time.monotonic()
        self._seconds = seconds
        self._said = False
        self.weighed: list[tuple[float, int, dict[int, int]]] = []  # s, blocks, bytes by process

    def update(self, tally: Tally) -> None:
        """Look at the clock."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY_SECONDS
            self._weigh(now - self._began, tally.blocks_done)
        if now - self._began > self._seconds and not self._said:
            self._said = True
            os.kill(os.getpid(), signal.SIGINT)

    def _weigh(self, age: float, blocks: int) -> None:
        workers = [pid for pid in descendants(os.getpid()) if _is_worker(pid)]
        weights = {pid: own for pid in (os.getpid(), *workers) if (own := own_bytes(pid))}
        if not self.weighed or age - self.weighed[-1][0] >= EVERY_SECONDS / 2:
            self.weighed.append((age, blocks, weights))


def _is_worker(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return command.startswith(b"ray::") and b"Agent" not in command


def own_bytes(pid: int) -> int:
    """Memory of a process that it shares with nobody; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 1200.0)
def test_an_hour(tmp_path: Path) -> None:
    scales = Scales(SECONDS)
    done = output(tmp_path, SOAK)
    start = executor_starter("ray", str(tmp_path), workers=2)
    assert do_sweep(done, start, scales) == ExitCode.INTERRUPTED
    _print(scales)
    blocks = scales.weighed[-1][1]
    assert blocks > 10_000
    driver, worker = (
        last - first
        for first, last in zip(
            _window(scales, WARM_UP_SECONDS),
            _window(scales, SECONDS - WINDOW_SECONDS),
            strict=True,
        )
    )
    assert driver < ALLOWED_BYTES + BYTES_PER_BLOCK * blocks
    assert worker < ALLOWED_BYTES


def _window(scales: Scales, begin: float) -> tuple[float, float]:
    """The median weight of the driver in a window, and that of its heaviest worker."""
    rows = [weights for age, _, weights in scales.weighed if 0 <= age - begin <= WINDOW_SECONDS]
    drivers = [row[os.getpid()] for row in rows]
    workers = [max(row.values()) for row in map(_without_driver, rows) if row]
    return median(drivers), median(workers)


def _without_driver(row: dict[int, int]) -> dict[int, int]:
    return {pid: weight for pid, weight in row.items() if pid != os.getpid()}


def _print(scales: Scales) -> None:
    for (before, _, _), (age, blocks, weights) in pairwise(scales.weighed):
        if int(before / 60.0) != int(age / 60.0):
            driver, *workers = (f"{weight / 2**20:.1f}" for weight in weights.values())
            print(f"{age / 60.0:5.1f} min, {blocks:7d} blocks: {driver}; {', '.join(workers)} MiB")


@pytest.mark.slow
def test_scales_see_a_leak(tmp_path: Path) -> None:
    """The negative control: a display that keeps a megabyte per block."""
    kept = []

    class Leaking(Scales):
        def update(self, tally: Tally) -> None:
            kept.append(b"x" * 2**20)
            self._next = 0.0
            self._weigh(time.monotonic() * EVERY_SECONDS, tally.blocks_done)

    scales = Leaking(SECONDS)
    small = sweep(networks=640)
    from mcrelu.runtime.serial import SerialExecutor

    run_serially(tmp_path / "warm", small)
    do_sweep(output(tmp_path / "out", small), SerialExecutor, scales)
    (_, _, first), (_, _, last) = scales.weighed[0], scales.weighed[-1]
    assert last[os.getpid()] - first[os.getpid()] > ALLOWED_BYTES
