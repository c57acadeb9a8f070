"""How a sweep would do on many cores: a simulation from what is measured on few.

    python -m benchmarks.scaling --measure
    python -m benchmarks.scaling jobs/sweeps/setups.yaml --block-ms 0.9 --task-ms 1.4

The first trains tiny blocks and says what a block and a Ray task cost the driver. The second
forecasts the time of every block as ``mcrelu plan`` does, and simulates the driver, which does one
thing at a time, the tasks it keeps in flight, and workers that wait for each other at the end; for
blocks of the size that the sweep has, and of others.
"""

from __future__ import annotations

import argparse
import heapq
import resource
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from benchmarks.blocks_per_second import Watch, tiny_sweep
from mcrelu.runtime import ray_tasks
from mcrelu.runtime.executors import executor_starter
from mcrelu.runtime.plan import Plan, plan
from mcrelu.runtime.progress import Tally
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.sweep.sweep import Sweep

CORES = (10, 100, 1000)
FACTORS = (0.0625, 0.25, 1.0, 4.0)  # by which blocks are larger than the sweep's
SEED = 1


class Costs(NamedTuple):
    """What a run costs besides training."""

    block: float  # seconds of the driver per block
    task: float  # seconds of the driver per task
    start: float  # seconds until a worker has the next task that waits, and its shard is on its way
    spread: float  # standard deviation of a block's time over its mean, within a cell


class Simulated(NamedTuple):
    """A run."""

    seconds: float
    efficiency: float  # of all cores, from the first task to the last result
    driver: float  # the part of the time that the driver is busy


class Task(NamedTuple):
    """Blocks that share a task."""

    blocks: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("specs", nargs="*", metavar="SPEC")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--block-ms", type=float, default=0.9)
    parser.add_argument("--task-ms", type=float, default=1.4)
    parser.add_argument("--start-ms", type=float, default=10.0)
    parser.add_argument("--spread", type=float, default=0.2)
    given = parser.parse_args()
    if given.measure:
        measure()
    milliseconds = (given.block_ms, given.task_ms, given.start_ms)
    costs = Costs(*(1e-3 * value for value in milliseconds), given.spread)
    for spec in given.specs:
        with processor_time():
            forecast = plan(Sweep.from_yaml(spec))
        show(spec, forecast, costs)


@contextmanager
def processor_time() -> Iterator[None]:
    """Have forecasts rest on the time of this process alone, whatever else runs on the machine."""
    wall = time.perf_counter
    time.perf_counter = time.process_time
    try:
        yield
    finally:
        time.perf_counter = wall


# ------------------------------------------------------------------------------- measuring


class Processor(Watch):
    """Notes the processor time of the driver when the first and the last block were done."""

    def __init__(self) -> None:
        super().__init__()
        self._first: tuple[int, float] | None = None
        self._last = (0, 0.0)

    def update(self, tally: Tally) -> None:
        """Look at the tally."""
        super().update(tally)
        used = resource.getrusage(resource.RUSAGE_SELF)
        self._last = (tally.blocks_done, used.ru_utime + used.ru_stime)
        if self._first is None and tally.blocks_done:
            self._first = self._last

    @property
    def per_block(self) -> float:
        """Seconds of all threads of the driver, those of Ray included."""
        assert self._first is not None
        (before, started), (after, ended) = self._first, self._last
        return (ended - started) / (after - before)


def measure() -> None:
    """Say what tiny blocks cost the driver when they share tasks and when they do not."""
    shared = driver_seconds(4000)
    ray_tasks.MAX_BLOCKS_PER_TASK = 1
    alone = driver_seconds(1500)
    print(f"driver: {1e3 * shared:.2f} ms per block, {1e3 * (alone - shared):.2f} ms per task")


def driver_seconds(blocks: int) -> float:
    """Seconds of the driver per block."""
    watch, sweep = Processor(), tiny_sweep(blocks, 1, 4)
    with tempfile.TemporaryDirectory() as folder:
        output = Output.claim(Files.at(folder), sweep)
        do_sweep(output, executor_starter("ray", folder, workers=2), watch)
    print(f"{blocks} blocks: {watch.rate:.0f} per second, {1e3 * watch.per_block:.2f} ms each")
    return watch.per_block


# ------------------------------------------------------------------------------ simulating


def show(spec: str, forecast: Plan, costs: Costs) -> None:
    """Print how a sweep would do."""
    longest = max(one.core_seconds / one.blocks for one in forecast.cells)
    blocks = sum(one.blocks for one in forecast.cells)
    print(
        f"{spec}: {forecast.core_seconds / 3600:.2f} core-hours, {blocks} blocks of "
        f"{sum(one.core_seconds for one in forecast.cells) / blocks:.2f} s, at most {longest:.1f} s"
    )
    print("cores  blocks    time, s  efficiency  driver busy")
    for cores in CORES:
        for factor in FACTORS:
            seconds, efficiency, driver = run(forecast, factor, cores, costs)
            print(f"{cores:5d}  x {factor:<4g} {seconds:10.1f} {efficiency:10.1%} {driver:11.1%}")


def run(forecast: Plan, factor: float, cores: int, costs: Costs) -> Simulated:
    """Simulate a sweep with blocks of another size; later cells wait for all of the first."""
    rng = np.random.default_rng(SEED)
    stages = [simulate(list(tasks_of(forecast, factor, 1.0, costs, rng)), cores, costs)]
    if forecast.later_share:
        later = list(tasks_of(forecast, factor, forecast.later_share, costs, rng))
        stages.append(simulate(later, cores, costs))
    seconds = sum(stage.seconds for stage in stages)
    useful = sum(stage.efficiency * stage.seconds for stage in stages)
    busy = sum(stage.driver * stage.seconds for stage in stages)
    return Simulated(seconds, useful / seconds, busy / seconds)


def tasks_of(
    forecast: Plan, factor: float, share: float, costs: Costs, rng: np.random.Generator
) -> Iterator[Task]:
    """Tasks in the order of a run: a block of each cell, then the rest, expensive cells first.

    ``share`` is the part of the cells that there are.
    """
    kept = [one for one in forecast.cells if share == 1.0 or rng.random() < share]
    first: list[Task] = []
    rest: list[Task] = []
    for one in sorted(kept, key=lambda one: -one.cell.cost):
        blocks = max(1, round(one.blocks / factor))
        mean = one.core_seconds / blocks
        together = min(max(1, int(ray_tasks.TASK_SECONDS / mean)), ray_tasks.MAX_BLOCKS_PER_TASK)
        sizes = [1, *[together] * ((blocks - 1) // together)]
        sizes += [left] if (left := blocks - sum(sizes)) else []
        deviation = np.sqrt(np.log1p(costs.spread**2))
        times = mean * rng.lognormal(-(deviation**2) / 2, deviation, size=len(sizes))
        tasks = [Task(n, n * float(time)) for n, time in zip(sizes, times, strict=True)]
        first.append(tasks[0])
        rest += tasks[1:]
    yield from first
    yield from rest


def simulate(tasks: Sequence[Task], cores: int, costs: Costs) -> Simulated:
    """Let tasks run on cores, with a driver that submits and collects them one by one."""
    most = ray_tasks.IN_FLIGHT_PER_CPU * cores
    events: list[tuple[float, bool, Task]] = []  # when, whether a task ended or is there, which
    waiting: deque[Task] = deque()
    to_come = iter(tasks)
    free, driver, busy, now = cores, 0.0, 0.0, 0.0

    def submit(count: int) -> None:
        nonlocal driver, busy
        for _ in range(count):
            if (task := next(to_come, None)) is not None:
                driver += costs.task
                busy += costs.task
                heapq.heappush(events, (driver, False, task))

    submit(most)
    while events:
        now, ended, task = heapq.heappop(events)
        if ended:
            free += 1
            driver = max(driver, now) + costs.block * task.blocks
            busy += costs.block * task.blocks
            submit(1)
        else:
            waiting.append(task)
        while free and waiting:
            free -= 1
            begun = waiting.popleft()
            heapq.heappush(events, (now + costs.start + begun.seconds, True, begun))
    seconds = max(driver, now)
    useful = sum(task.seconds for task in tasks)
    return Simulated(seconds, useful / (cores * seconds), busy / seconds)


if __name__ == "__main__":
    main()
