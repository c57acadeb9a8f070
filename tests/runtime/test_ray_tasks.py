"""Blocks as Ray tasks: what they ask for, how they share, and workers that cannot run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import cluster_of
from scripted import done
from small_sweeps import SEED, sweep

import mcrelu
from mcrelu.errors import ResourceError
from mcrelu.experiments.base import BlockTask
from mcrelu.rng import stream_version
from mcrelu.runtime.executors import check_memory
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.submit import SystemFaultError, run_blocks
from mcrelu.runtime.task import BlockDone, BlockResult
from mcrelu.store.files import Files
from mcrelu.store.shards import Shard, identity, shard_name
from mcrelu.sweep.cell import Block, Cell, Provenance

pytest.importorskip("ray")

import ray

from mcrelu.runtime import ray_cluster, ray_tasks
from mcrelu.runtime.ray_tasks import MAX_BLOCKS_PER_TASK, TASK_SECONDS, RayExecutor

PROVENANCE = Provenance(SEED, "philox", 1, stream_version())


def cells(*widths: int) -> tuple[Cell, ...]:
    return sweep(
        checks={"interval": 10, "maximum": 1}, stop=["crossing"], cells={"width": list(widths)}
    ).cells


def tasks(cell: Cell, blocks: int, out: Path | str = "nowhere") -> list[BlockTask]:
    return [BlockTask(Block(cell, k, k, 1), PROVENANCE, str(out)) for k in range(blocks)]


class TestTaskSizes:
    def test_an_unknown_cell_has_tasks_of_its_own(self) -> None:
        assert ray_tasks._TaskSizes().of(cells(4)[0]) == 1

    def test_a_task_takes_so_long(self) -> None:
        (cell,), sizes = cells(4), ray_tasks._TaskSizes()
        for _ in range(20):
            blocks = sizes.of(cell)
            sizes.learn(cell, blocks, blocks * TASK_SECONDS / 10)
        assert sizes.of(cell) == 10

    def test_a_size_at_most_doubles(self) -> None:
        (cell,), sizes = cells(4), ray_tasks._TaskSizes()
        found = []
        for _ in range(12):
            found.append(sizes.of(cell))
            sizes.learn(cell, found[-1], 1e-9)
        assert found == [min(2**k, MAX_BLOCKS_PER_TASK) for k in range(12)]

    def test_long_blocks_stay_alone(self) -> None:
        (cell,), sizes = cells(4), ray_tasks._TaskSizes()
        sizes.learn(cell, 1, TASK_SECONDS)
        assert sizes.of(cell) == 1

    def test_blocks_that_become_longer_part(self) -> None:
        (cell,), sizes = cells(4), ray_tasks._TaskSizes()
        for _ in range(5):
            sizes.learn(cell, sizes.of(cell), 1e-9)
        assert sizes.of(cell) == 32
        sizes.learn(cell, 32, 32 * 10 * TASK_SECONDS)
        assert sizes.of(cell) == 1

    def test_cells_do_not_mix(self) -> None:
        (one, other), sizes = cells(4, 8), ray_tasks._TaskSizes()
        sizes.learn(one, 1, 1e-9)
        assert (sizes.of(one), sizes.of(other)) == (2, 1)


class FakeRay:
    """Ray's tasks and their results, in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[int, list[tuple[int, int]]]] = []  # memory, (block, attempt)s
        self.lost: set[int] = set()  # blocks that kill their worker
        self._results: list[Any] = []
        monkeypatch.setattr(ray_tasks, "_with_memory", lambda need: _Remote(self, need))
        monkeypatch.setattr(ray_tasks, "all_ready", lambda tasks, _: list(tasks))
        monkeypatch.setattr(ray_tasks, "fetch", self.fetch)
        monkeypatch.setattr(ray_cluster, "count", lambda _: 1.0)
        monkeypatch.setattr(ray, "cancel", lambda *_, **__: None)

    def remote(self, need: int, attempts: list[Any]) -> int:
        named = [(attempt.task.block.index, attempt.number) for attempt in attempts]
        self.asked.append((need, named))
        self._results.append(attempts)
        return len(self._results) - 1

    def fetch(self, reference: int) -> Any:
        attempts = self._results[reference]
        if self.lost & {attempt.task.block.index for attempt in attempts}:
            raise SystemFaultError("the worker died")
        results: list[BlockResult] = [done(attempt.task.block, 0) for attempt in attempts]
        return ray_tasks.Done(results, 1e-9)


class _Remote:
    def __init__(self, fake: FakeRay, need: int) -> None:
        self._fake, self._need = fake, need

    def remote(self, attempts: list[Any]) -> int:
        return self._fake.remote(self._need, attempts)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    return FakeRay(monkeypatch)


def run(executor: RayExecutor, work: list[BlockTask]) -> list[Any]:
    left = iter(work)
    return list(run_blocks(lambda: next(left, None), executor, lambda: False, lambda: None))


class TestSharing:
    def test_short_blocks_share_a_task_and_have_their_own_results(self, fake: FakeRay) -> None:
        results = run(RayExecutor(), tasks(cells(4)[0], 2000))
        assert sorted(result.block.index for result in results) == list(range(2000))
        sizes = [len(named) for _, named in fake.asked]
        assert sizes[0] == 1
        assert max(sizes) == MAX_BLOCKS_PER_TASK
        assert len(sizes) < 40

    def test_blocks_of_two_cells_share_none(self, fake: FakeRay) -> None:
        one, other = cells(4, 8)
        executor = RayExecutor()
        for cell in (one, other):
            for _ in range(6):
                executor._sizes.learn(cell, executor._sizes.of(cell), 1e-9)
        handles = [executor.submit(task, 1) for task in tasks(one, 3) + tasks(other, 3)]
        assert set(executor.wait(handles, 0.0)) == set(handles)
        assert [len(named) for _, named in fake.asked] == [3, 3]

    def test_a_block_that_kills_its_worker_costs_its_neighbours_one_attempt(
        self, fake: FakeRay
    ) -> None:
        fake.lost = {700}
        results = run(RayExecutor(), tasks(cells(4)[0], 1000))
        failed = [result.block.index for result in results if not isinstance(result, BlockDone)]
        assert failed == [700]
        (shared,) = (named for _, named in fake.asked if (700, 1) in named and len(named) > 1)
        again = [named for _, named in fake.asked if named[0][1] > 1]
        assert all(len(named) == 1 for named in again)
        retried = sorted(number for ((index, number),) in again if index == 700)
        assert retried == [2, 3, 4]
        assert len(again) == len(shared) - 1 + len(retried)

    def test_giving_up_forgets_everything(self, fake: FakeRay) -> None:
        executor, (cell,) = RayExecutor(), cells(4)
        executor._sizes.learn(cell, 64, 1e-9)
        handles = [executor.submit(task, 1) for task in tasks(cell, 5)]
        executor.cancel(handles)
        assert executor.wait([], 0.0) == []
        assert fake.asked == []

    def test_a_task_asks_for_the_memory_of_its_largest_block(self, fake: FakeRay) -> None:
        (cell,) = cells(4)
        executor = RayExecutor()
        executor.wait([executor.submit(tasks(cell, 1)[0], 1)], 0.0)
        big = Block(cell, 0, 0, 10**7)
        executor.wait([executor.submit(BlockTask(big, PROVENANCE, ""), 1)], 0.0)
        (small, _), (large, _) = fake.asked
        assert small == ray_tasks.MEMORY_STEP
        assert cell.memory(10**7) <= large < cell.memory(10**7) + ray_tasks.MEMORY_STEP


class TestMemory:
    def test_what_no_machine_can_hold_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wanted = sweep(cells={"width": [4, 4096]}, networks=1000, block_size=1000)
        small, large = (cell.memory(1000) for cell in wanted.cells)
        executor = SerialExecutor()
        check_memory(wanted, executor)
        monkeypatch.setattr(executor, "memory", lambda: (small + large) // 2)
        with pytest.raises(ResourceError) as caught:
            check_memory(wanted, executor)
        assert str(caught.value).startswith(
            f"cells.width = 4096: a block of 1000 networks needs {large / 2**30:.1f} GiB"
        )
        assert len(str(caught.value).splitlines()) == 1

    def test_a_cluster_that_may_grow_refuses_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        executor = SerialExecutor()
        monkeypatch.setattr(executor, "memory", lambda: None)
        check_memory(sweep(), executor)


def test_a_cluster_without_cpus_may_get_nodes_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that `ray up` made: its head does no blocks."""
    head = {"Alive": True, "Resources": {"memory": 5e9}}
    lost = {"Alive": False, "Resources": {"memory": 9e9, "CPU": 8.0}}
    worker = {"Alive": True, "Resources": {"memory": 4e9, "CPU": 16.0}}
    for nodes, expected in (([head, lost], None), ([head, worker, lost], 4 * 10**9)):
        monkeypatch.setattr("ray.nodes", lambda nodes=nodes: nodes)
        assert ray_cluster.node_memory() == expected


@pytest.fixture
def small_node() -> Iterator[str]:
    """A cluster whose only node with a CPU has 100 MiB for tasks, less than its head."""
    with cluster_of(memory=500 * 2**20) as cluster:
        cluster.add_node(num_cpus=1, memory=100 * 2**20)
        cluster.wait_for_nodes()
        yield cluster.address


@pytest.mark.ray
@pytest.mark.slow
def test_a_block_that_no_node_can_hold_does_not_hang(small_node: str, tmp_path: Path) -> None:
    executor = RayExecutor.join(small_node)
    memory = executor.memory()
    assert memory == 100 * 2**20
    check_memory(sweep(), executor)
    wide = sweep(cells={"width": [4096]}, networks=1000, block_size=1000, engine="dense")
    assert wide.cells[0].memory(1000) > memory
    with pytest.raises(
        ResourceError, match=r"needs .* GiB of memory, the largest machine has 0\.1"
    ):
        check_memory(wide, executor)
    (done,) = run(executor, tasks(cells(4)[0], 1, tmp_path))
    assert isinstance(done, BlockDone)


@pytest.mark.ray
@pytest.mark.slow
def test_many_short_blocks_through_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_tasks, "TASK_SECONDS", 60.0)  # short, however busy the machine is
    work = tasks(cells(4)[0], 300, tmp_path)
    executor = RayExecutor.embed(2)
    try:
        results = run(executor, work)
        assert executor._sizes.latest > 1
    finally:
        executor.close()
    assert sorted(result.block.index for result in results) == list(range(300))
    assert all(isinstance(result, BlockDone) for result in results)
    files = Files.at(tmp_path)
    for task in work:
        content = files.read(shard_name(task.block))
        assert content is not None
        with Shard.of(content) as shard:
            assert shard.block(identity(task.block, PROVENANCE)) is not None


# Workers import a copy of the package, from which a module disappears once the driver has it.
BROKEN = """
import sys
from pathlib import Path
from mcrelu.errors import UserError
from mcrelu.runtime import executors, ray_tasks, sweeping
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.sweep.sweep import Sweep

assert ray_tasks.__file__.startswith(sys.argv[3])
start = executors.executor_starter("ray", sys.argv[2], None, 1)
output = Output.claim(Files.at(sys.argv[2]), Sweep.from_yaml(sys.argv[1]))
Path(ray_tasks.__file__).write_text("import not_there")
try:
    sweeping.do_sweep(output, start)
except UserError as error:
    print(f"{error.exit_code.value}: {error}")
"""


@pytest.mark.ray
@pytest.mark.slow
def test_workers_that_cannot_import_the_package(tmp_path: Path) -> None:
    source = Path(mcrelu.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, tmp_path / "copy" / "mcrelu", ignore=ignored)
    (tmp_path / "sweep.yaml").write_text(sweep().to_yaml())
    ended = subprocess.run(
        [sys.executable, "-c", BROKEN, "sweep.yaml", str(tmp_path / "out"), str(tmp_path)],
        cwd=tmp_path,  # the folder of the copy comes before that of the package
        env={**os.environ, "PYTHONPATH": str(tmp_path / "copy")},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    cause = "ModuleNotFoundError: No module named 'not_there'"
    assert ended.stdout.startswith(f"3: workers cannot run mcrelu ({cause}); install mcrelu ")
    assert len(ended.stdout.splitlines()) == 1
    assert "\x1b" not in ended.stdout
    assert not (tmp_path / "out" / "errors").exists()
