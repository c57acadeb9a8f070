"""The submission loop on a scripted executor, and one contract for the executors there are."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedExecutor, Ticket
from small_sweeps import SEED, sweep

from mcrelu.errors import ResourceError, UserError
from mcrelu.experiments.base import BlockTask
from mcrelu.experiments.crossing import block as crossing
from mcrelu.rng import stream_version
from mcrelu.runtime import submit, warmup
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.submit import BACKOFF_SECONDS, MAX_ATTEMPTS, POLL_SECONDS, Executor, run_blocks
from mcrelu.runtime.task import BlockDone, BlockFailed, BlockResult, StoreFailed
from mcrelu.store.files import Files
from mcrelu.store.shards import Shard, identity, shard_name
from mcrelu.sweep.cell import Block, Provenance

BLOCKS = 12
PROVENANCE = Provenance(SEED, "philox", 10, stream_version())


class Clock:
    """The time of the submission loop, which passes only while it sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Backoff takes no time in these tests."""
    clock = Clock()
    monkeypatch.setattr(submit, "time", clock)
    return clock


def never() -> bool:
    return False


def nothing() -> None:
    return


def tasks(out: Path | str = "nowhere", blocks: int = BLOCKS) -> list[BlockTask]:
    cell = sweep(checks={"interval": 10, "maximum": 10}).cells[0]
    return [BlockTask(Block(cell, k, 10 * k, 10), PROVENANCE, str(out)) for k in range(blocks)]


def run(
    executor: Executor[Any],
    work: list[BlockTask],
    stopping: Callable[[], bool] = never,
    tick: Callable[[], None] = nothing,
) -> list[BlockResult]:
    return list(run_blocks(one_by_one(work), executor, stopping, tick))


def one_by_one(work: Iterable[BlockTask]) -> Callable[[], BlockTask | None]:
    left = iter(work)
    return lambda: next(left, None)


def is_whole(task: BlockTask) -> bool:
    """Whether the shard of a block is there, and is what it should be."""
    content = Files.at(task.out).read(shard_name(task.block))
    wanted = identity(task.block, task.provenance)
    if content is None:
        return False
    with Shard.of(content) as shard:
        return shard.block(wanted) is not None


def indices(results: list[BlockResult], kind: type = object) -> list[int]:
    return sorted(result.block.index for result in results if isinstance(result, kind))


class TestScripted:
    def test_every_block_yields_one_result(self) -> None:
        executor = ScriptedExecutor()
        assert indices(run(executor, tasks()), BlockDone) == list(range(BLOCKS))
        assert executor.attempts == Counter(range(BLOCKS))
        assert executor.cancelled == []

    def test_fail_fail_succeed(self) -> None:
        executor = ScriptedExecutor(faults={4: 2})
        results = run(executor, tasks())
        assert indices(results, BlockDone) == list(range(BLOCKS))
        assert len(results) == BLOCKS
        assert executor.attempts == Counter(range(BLOCKS)) + Counter({4: 2})
        assert [number for index, number in executor.numbers if index == 4] == [1, 2, 3]

    def test_a_block_may_succeed_at_its_last_attempt(self) -> None:
        executor = ScriptedExecutor(faults={4: MAX_ATTEMPTS - 1})
        assert indices(run(executor, tasks()), BlockDone) == list(range(BLOCKS))
        assert executor.attempts[4] == MAX_ATTEMPTS

    def test_a_block_without_attempts_left_fails_once(self) -> None:
        executor = ScriptedExecutor(faults={4: 99})
        results = run(executor, tasks())
        assert indices(results) == list(range(BLOCKS))
        assert indices(results, BlockFailed) == [4]
        assert executor.attempts == Counter(range(BLOCKS)) + Counter({4: MAX_ATTEMPTS - 1})
        (failed,) = (result for result in results if isinstance(result, BlockFailed))
        assert "the worker of block 4 died" in failed.error
        assert f"{MAX_ATTEMPTS} attempts" in failed.error
        assert len(failed.error.splitlines()) == 1

    def test_every_block_may_fail(self) -> None:
        executor = ScriptedExecutor(faults=dict.fromkeys(range(BLOCKS), 99))
        results = run(executor, tasks())
        assert indices(results, BlockFailed) == list(range(BLOCKS))
        assert set(executor.attempts.values()) == {MAX_ATTEMPTS}

    def test_no_blocks_no_results(self) -> None:
        scripted = ScriptedExecutor()
        assert run(scripted, []) == []
        assert scripted.waits == 0

    @pytest.mark.parametrize("seed", range(20))
    def test_any_order_of_ends_and_faults(self, seed: int) -> None:
        chance = random.Random(seed)
        faults = {index: chance.choice([0, 0, 1, 2, 3, 99]) for index in range(BLOCKS)}

        def some(flying: list[Ticket]) -> list[Ticket]:
            return chance.sample(flying, chance.randint(0, len(flying)))

        capacity = chance.randint(1, 5)
        executor = ScriptedExecutor(faults, lambda: capacity, some)
        results = run(executor, tasks())
        assert indices(results) == list(range(BLOCKS))
        failing = [index for index, count in faults.items() if count >= MAX_ATTEMPTS]
        assert indices(results, BlockFailed) == failing
        expected = {index: min(count + 1, MAX_ATTEMPTS) for index, count in faults.items()}
        assert executor.attempts == expected
        assert executor.most_in_flight == capacity
        assert executor.overbooked == []

    @pytest.mark.parametrize("capacity", [1, 2, BLOCKS, 100])
    def test_in_flight_is_bounded_and_full(self, capacity: int) -> None:
        executor = ScriptedExecutor(capacity=lambda: capacity)
        run(executor, tasks())
        assert executor.most_in_flight == min(capacity, BLOCKS)
        assert executor.overbooked == []

    def test_tasks_are_drawn_only_when_there_is_room(self) -> None:
        """A sweep of millions of blocks is not built in memory."""
        drawn: list[BlockTask] = []
        executor = ScriptedExecutor(capacity=lambda: 3)

        def drawing() -> Iterator[BlockTask]:
            for task in tasks():
                drawn.append(task)
                yield task

        for done, _ in enumerate(run_blocks(one_by_one(drawing()), executor, never, nothing)):
            assert len(drawn) <= done + 3
        assert len(drawn) == BLOCKS

    def test_a_cluster_that_grows_is_used(self) -> None:
        def capacity() -> int:
            return 1 if scripted.waits < 3 else 5

        scripted = ScriptedExecutor(capacity=capacity)
        assert indices(run(scripted, tasks())) == list(range(BLOCKS))
        assert scripted.most_in_flight == 5
        assert scripted.overbooked == []

    def test_a_cluster_that_shrinks_gets_no_more(self) -> None:
        def capacity() -> int:
            return 5 if scripted.waits < 3 else 2

        scripted = ScriptedExecutor(capacity=capacity)
        assert indices(run(scripted, tasks())) == list(range(BLOCKS))
        assert scripted.overbooked == []

    def test_a_cluster_that_shrinks_under_its_blocks_gets_no_more(self) -> None:
        """A node dies: its blocks come back, and the rest of the cluster is smaller."""

        def capacity() -> int:
            return 4 if scripted.waits == 0 else 2

        scripted = ScriptedExecutor(
            faults=dict.fromkeys(range(4), 1), capacity=capacity, order=lambda flying: flying
        )
        assert indices(run(scripted, tasks()), BlockDone) == list(range(BLOCKS))
        assert scripted.overbooked == []

    def test_a_cluster_without_cpus_loses_no_block(self) -> None:
        """One block in flight keeps asking for them; the loop neither ends nor spins."""

        def capacity() -> int:
            return 0 if scripted.waits < 6 else 3

        scripted = ScriptedExecutor(faults={0: 1, 5: 3}, capacity=capacity)
        results = run(scripted, tasks())
        assert indices(results, BlockDone) == list(range(BLOCKS))
        assert sum(scripted.attempts.values()) == BLOCKS + 4
        assert scripted.waits == BLOCKS + 4

    def test_a_store_that_is_away_for_long_is_not_asked_four_times(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each attempt has waited for it for minutes already."""
        monkeypatch.setattr(submit, "BACKOFF_SECONDS", 1e-3)
        monkeypatch.setattr(submit, "STORE_SECONDS", -1.0)
        executor = ScriptedExecutor(capacity=lambda: 1, store_faults={2: 9})
        results = run(executor, tasks())
        assert indices(results, StoreFailed) == [2]
        assert executor.attempts[2] == 1

    def test_a_store_that_came_back_in_between_has_its_time_again(self, clock: Clock) -> None:
        retries = submit._Retries()
        assert not retries.store_is_gone(True)
        clock.now += submit.STORE_SECONDS + 1.0
        assert retries.store_is_gone(True)
        assert not retries.store_is_gone(False)
        assert not retries.store_is_gone(True)

    def test_stopping_gives_up_what_is_in_flight(self) -> None:
        executor = ScriptedExecutor(capacity=lambda: 3)
        results = run(executor, tasks(), stopping=lambda: executor.waits == 2)
        assert len(results) == 2
        assert len(executor.cancelled) == 2
        assert executor.flying == []
        assert sum(executor.attempts.values()) == 4

    def test_stopping_at_once_starts_nothing(self) -> None:
        executor = ScriptedExecutor()
        assert run(executor, tasks(), stopping=lambda: True) == []
        assert executor.attempts == {}

    def test_stopping_is_noticed_while_nothing_finishes(self) -> None:
        executor = ScriptedExecutor(order=lambda _: [])
        assert run(executor, tasks(), stopping=lambda: executor.waits == 3) == []
        assert len(executor.cancelled) == 3

    def test_leaving_the_loop_gives_up_what_is_in_flight(self) -> None:
        executor = ScriptedExecutor(capacity=lambda: 3)
        results = run_blocks(one_by_one(tasks()), executor, never, nothing)
        next(results)
        results.close()
        assert len(executor.cancelled) == 2
        assert executor.flying == []

    def test_ticks_go_on_while_nothing_finishes(self) -> None:
        ticks: list[float] = []
        executor = ScriptedExecutor(order=lambda _: [])
        run(executor, tasks(), lambda: executor.waits == 5, lambda: ticks.append(1))
        assert len(ticks) == 5


class TestBackoff:
    """The loop's clock stands still but for its naps, so all times are exact."""

    def test_the_store_fails_twice_then_succeeds(self, clock: Clock) -> None:
        executor = ScriptedExecutor(store_faults={4: 2})
        results = run(executor, tasks())
        assert indices(results, BlockDone) == list(range(BLOCKS))
        assert executor.attempts == Counter(range(BLOCKS)) + Counter({4: 2})
        assert [number for index, number in executor.numbers if index == 4] == [1, 2, 3]
        assert sum(clock.naps) == BACKOFF_SECONDS * (1 + 2)

    def test_a_store_that_stays_away_is_reported_once(self, clock: Clock) -> None:
        executor = ScriptedExecutor(store_faults={4: 99})
        results = run(executor, tasks())
        assert indices(results) == list(range(BLOCKS))
        assert indices(results, StoreFailed) == [4]
        assert executor.attempts == Counter(range(BLOCKS)) + Counter({4: MAX_ATTEMPTS - 1})
        assert sum(clock.naps) == BACKOFF_SECONDS * (1 + 2 + 4)

    def test_faults_of_both_kinds_count_together(self) -> None:
        executor = ScriptedExecutor(faults={4: 2}, store_faults={4: 99})
        results = run(executor, tasks())
        assert indices(results, StoreFailed) == [4]
        assert executor.attempts[4] == MAX_ATTEMPTS

    def test_other_results_come_while_a_block_waits(self) -> None:
        executor = ScriptedExecutor(store_faults={0: 1})
        assert [result.block.index for result in run(executor, tasks())][:3] == [1, 2, 0]

    def test_a_lost_worker_is_not_waited_for(self, clock: Clock) -> None:
        run(ScriptedExecutor(faults={4: 3}), tasks())
        assert clock.naps == []

    def test_no_block_begins_while_the_store_is_away(self) -> None:
        """Those in flight end, then the block that waits goes first."""
        executor = ScriptedExecutor(store_faults={0: 2}, capacity=lambda: 3)
        run(executor, tasks())
        begun = [index for index, _ in executor.numbers]
        assert begun == [0, 1, 2, 0, 3, 4, 0, *range(5, BLOCKS)]

    def test_naps_end_for_ticks_and_signals(self, clock: Clock) -> None:
        ticks: list[float] = []
        executor = ScriptedExecutor(store_faults={0: 99})
        run(executor, tasks(blocks=1), lambda: len(ticks) == 4, lambda: ticks.append(clock.now))
        assert max(clock.naps) <= POLL_SECONDS
        assert executor.attempts[0] < MAX_ATTEMPTS


def start_serial() -> Executor[Any]:
    return SerialExecutor()


def start_ray(workers: int) -> Executor[Any]:
    from mcrelu.runtime.ray_tasks import RayExecutor

    return RayExecutor.embed(workers)


EXECUTORS = [
    pytest.param(start_serial, id="serial"),
    pytest.param(lambda: start_ray(1), id="ray-1", marks=pytest.mark.ray),
    pytest.param(lambda: start_ray(2), id="ray-2", marks=pytest.mark.ray),
]


@pytest.fixture(scope="module", params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor[Any]]:
    started = request.param()
    yield started
    started.close()


class TestExecutors:
    def test_every_block_is_done_once(self, executor: Executor[Any], tmp_path: Path) -> None:
        results = run(executor, tasks(tmp_path))
        assert indices(results, BlockDone) == list(range(BLOCKS))
        assert len(results) == BLOCKS
        for task in tasks(tmp_path):
            assert is_whole(task)

    def test_it_says_how_long_a_block_took(self, executor: Executor[Any], tmp_path: Path) -> None:
        (result,) = run(executor, tasks(tmp_path, 1))
        assert isinstance(result, BlockDone)
        assert 0 < result.seconds < 600

    def test_a_deterministic_error_is_tried_once(
        self, executor: Executor[Any], tmp_path: Path
    ) -> None:
        work = tasks(tmp_path)
        bad = Block(work[3].block.cell, 3, 30, -1)  # no engine draws -1 networks
        work[3] = BlockTask(bad, PROVENANCE, str(tmp_path))
        submitted = counting(executor)
        results = run(executor, work)
        assert submitted == Counter(range(BLOCKS))
        assert indices(results) == list(range(BLOCKS))
        assert indices(results, BlockFailed) == [3]
        (failed,) = (result for result in results if isinstance(result, BlockFailed))
        assert failed.error.startswith("ValueError: ")
        assert "Traceback" in failed.traceback
        assert "train_block" in failed.traceback

    def test_an_output_that_cannot_be_written_is_no_fault_of_the_block(
        self, executor: Executor[Any], tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("a file where the folder should be")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "shards").write_text("a file where the folder should be")
        for out, words in (("file", "is a file"), ("folder", "cannot write")):
            (result,) = run(executor, tasks(tmp_path / out, 1))
            assert isinstance(result, StoreFailed)
            assert words in result.error

    def test_stopping_leaves_no_torn_shard(self, executor: Executor[Any], tmp_path: Path) -> None:
        done: list[BlockResult] = []
        work = tasks(tmp_path)
        stopping = lambda: len(done) >= 2  # noqa: E731
        for result in run_blocks(one_by_one(work), executor, stopping, nothing):
            done.append(result)  # noqa: PERF402 - the loop looks at it
        assert 2 <= len(done) < BLOCKS
        for task in work:
            if (tmp_path / shard_name(task.block)).exists():  # some may still come
                assert is_whole(task)
        results = run(executor, work)  # and the executor is fit for the next run
        assert indices(results, BlockDone) == list(range(BLOCKS))


def counting(executor: Executor[Any]) -> Counter[int]:
    """How often each block is submitted from now on."""
    submitted: Counter[int] = Counter()
    submit = type(executor).submit

    def noting(task: BlockTask, number: int) -> Any:
        submitted[task.block.index] += 1
        return submit(executor, task, number)

    executor.submit = noting  # type: ignore[method-assign]
    return submitted


@pytest.mark.parametrize("error", [UserError("user"), RuntimeError("one\ntwo")])
def test_a_warm_up_that_fails_fails_the_block(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(warmup, "warm_up", failing)
    result = warmup.warm_attempt(tasks(tmp_path, 1)[0], 1)
    assert isinstance(result, BlockFailed)
    assert result.error in {"UserError: user", "RuntimeError: one"}
    assert "in failing" in result.traceback


def test_a_warm_up_without_a_resource_is_no_fault_of_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> Any:
        raise ResourceError("no torch")

    monkeypatch.setattr(warmup, "warm_up", failing)
    result = warmup.warm_attempt(tasks(tmp_path, 1)[0], 1)
    assert isinstance(result, StoreFailed)
    assert result.error == "no torch"


def test_a_user_error_fails_its_block_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_block = crossing.train_block

    def failing(block: Block, provenance: Provenance) -> Any:
        if block.index == 5:
            raise UserError("block 5 makes no sense")
        return train_block(block, provenance)

    monkeypatch.setattr(crossing, "train_block", failing)
    results = run(SerialExecutor(), tasks(tmp_path))
    assert indices(results, BlockFailed) == [5]
    assert indices(results, BlockDone) == [k for k in range(BLOCKS) if k != 5]


def test_an_exception_in_a_block_is_not_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    train_block = crossing.train_block

    def failing(block: Block, provenance: Provenance) -> Any:
        calls.append(block.index)
        if block.index == 5:
            raise ZeroDivisionError("block 5 divides by zero")
        return train_block(block, provenance)

    monkeypatch.setattr(crossing, "train_block", failing)
    results = run(SerialExecutor(), tasks(tmp_path))
    assert calls == list(range(BLOCKS))
    assert indices(results, BlockFailed) == [5]
    (failed,) = (result for result in results if isinstance(result, BlockFailed))
    assert failed.error == "ZeroDivisionError: block 5 divides by zero"
    assert "in failing" in failed.traceback
