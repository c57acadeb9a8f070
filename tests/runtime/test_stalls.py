"""Blocks that hang are done once more; the first result counts. Exact numbers of attempts."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from processes import busy_workers
from scripted import ScriptedExecutor, Ticket
from small_sweeps import assert_same_rows, output, run_serially, sweep
from test_faults import SLOW
from test_submit import Clock, indices, never, nothing, one_by_one, tasks

from mcrelu.errors import ExitCode
from mcrelu.runtime import stalls, submit
from mcrelu.runtime.progress import Silent, Tally
from mcrelu.runtime.stalls import FACTOR, SECONDS
from mcrelu.runtime.submit import MAX_ATTEMPTS, run_blocks
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.runtime.task import BlockDone, BlockFailed, BlockResult

BLOCKS = 6
HANGS = 3  # the block

Order = Callable[[list[Ticket]], list[Ticket]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(submit, "time", clock)
    monkeypatch.setattr(stalls, "time", clock)
    return clock


def order(clock: Clock, finish: Order, seconds: float = 1.0) -> Order:
    """Every wait takes a second, or as long as is said; ``finish`` says who of all finishes."""

    def wait(flying: list[Ticket]) -> list[Ticket]:
        clock.now += seconds
        return finish(flying)

    return wait


def hanging(finish_with: Callable[[list[Ticket]], list[Ticket]]) -> Order:
    """All but the first attempt at the block that hangs finish one by one, then who is said."""

    def finish(flying: list[Ticket]) -> list[Ticket]:
        others = [one for one in flying if one.index != HANGS]
        return others[:1] if others else finish_with(flying)

    return finish


def second(flying: list[Ticket]) -> list[Ticket]:
    return [one for one in flying if one.number == 2]


def run(executor: ScriptedExecutor, blocks: int = BLOCKS) -> tuple[list[BlockResult], list[str]]:
    said: list[str] = []
    work = one_by_one(tasks(blocks=blocks))
    return list(run_blocks(work, executor, never, nothing, said.append)), said


def once_each() -> Counter[int]:
    return Counter(range(BLOCKS))


def test_a_block_that_hangs_is_done_once_more(clock: Clock) -> None:
    executor = ScriptedExecutor(order=order(clock, hanging(second)))
    results, said = run(executor)
    assert indices(results, BlockDone) == list(range(BLOCKS))
    assert len(results) == BLOCKS
    assert executor.attempts == once_each() + Counter({HANGS: 1})
    assert [(one.index, one.number) for one in executor.cancelled] == [(HANGS, 1)]
    (line,) = said
    assert f"block {HANGS} " in line
    assert "done once more" in line
    assert clock.now > SECONDS


def test_the_first_attempt_may_still_win(clock: Clock) -> None:
    both = lambda flying: flying[:1] if len(flying) == 2 else []  # noqa: E731
    executor = ScriptedExecutor(order=order(clock, hanging(both)))
    results, _ = run(executor)
    assert len(results) == BLOCKS
    assert [(one.index, one.number) for one in executor.cancelled] == [(HANGS, 2)]


def test_both_at_once_count_once(clock: Clock) -> None:
    both = lambda flying: flying if len(flying) == 2 else []  # noqa: E731
    results, _ = run(ScriptedExecutor(order=order(clock, hanging(both))))
    assert indices(results, BlockDone) == list(range(BLOCKS))
    assert len(results) == BLOCKS


def test_a_second_try_that_is_lost_leaves_the_first(clock: Clock) -> None:
    """Nobody retries as long as one of them is in flight."""

    class LosesSecond(ScriptedExecutor):
        def result(self, handle: Ticket) -> BlockResult:
            if handle.number == 2:
                raise submit.SystemFaultError("lost")
            return super().result(handle)

    lost: list[Ticket] = []

    def finish(flying: list[Ticket]) -> list[Ticket]:
        if not lost:
            lost.extend(second(flying))
            return list(lost)
        return flying

    executor = LosesSecond(order=order(clock, hanging(finish)))
    results, said = run(executor)
    assert indices(results, BlockDone) == list(range(BLOCKS))
    assert executor.attempts == once_each() + Counter({HANGS: 1})
    assert executor.cancelled == []
    assert len(said) == 1


def test_two_that_are_lost_are_retried_as_ever(clock: Clock) -> None:
    both = lambda flying: flying if len(flying) == 2 or flying[0].number > 2 else []  # noqa: E731
    executor = ScriptedExecutor(faults={HANGS: 2}, order=order(clock, hanging(both)))
    results, said = run(executor)
    assert indices(results, BlockDone) == list(range(BLOCKS))
    assert executor.attempts[HANGS] == 3
    assert len(said) == 1


def test_attempts_end(clock: Clock) -> None:
    def finish(flying: list[Ticket]) -> list[Ticket]:
        return flying if len(flying) == 2 or executor.attempts[HANGS] > 2 else []

    executor = ScriptedExecutor(faults={HANGS: 99}, order=order(clock, hanging(finish)))
    results, _ = run(executor)
    assert indices(results, BlockFailed) == [HANGS]
    assert executor.attempts[HANGS] <= MAX_ATTEMPTS + 1


def test_it_is_done_once_more_and_not_again(clock: Clock) -> None:
    ends = lambda flying: flying if clock.now > 100 * SECONDS else []  # noqa: E731
    executor = ScriptedExecutor(order=order(clock, hanging(ends)))
    _, said = run(executor)
    assert executor.attempts[HANGS] == 2
    assert len(said) == 1


def test_it_does_not_wait_for_a_place(clock: Clock) -> None:
    """The block that hangs holds the only one."""
    executor = ScriptedExecutor(capacity=lambda: 1, order=order(clock, hanging(second)))
    results, _ = run(executor)
    assert len(results) == BLOCKS
    assert [(one.index, one.number) for one in executor.overbooked] == [(HANGS, 2)]


@pytest.mark.parametrize(("seconds", "attempts"), [(SECONDS - 2, 1), (SECONDS + 2, 2)])
def test_less_than_a_minute_is_no_stall(clock: Clock, seconds: float, attempts: int) -> None:
    """One place, so that times of others are a second."""
    begun: list[float] = []

    def finish(flying: list[Ticket]) -> list[Ticket]:
        begun.append(clock.now)
        return flying if clock.now - begun[0] >= seconds else []

    executor = ScriptedExecutor(capacity=lambda: 1, order=order(clock, hanging(finish)))
    run(executor)
    assert executor.attempts[HANGS] == attempts


@pytest.mark.parametrize(("times", "attempts"), [(FACTOR - 1, 1), (FACTOR + 2, 2)])
def test_blocks_that_all_take_long_are_no_stall(clock: Clock, times: float, attempts: int) -> None:
    begun: list[float] = []

    def finish(flying: list[Ticket]) -> list[Ticket]:
        begun.append(clock.now)
        return flying if clock.now - begun[0] >= (times - 1) * 100.0 else []

    slow = order(clock, hanging(finish), seconds=100.0)
    executor = ScriptedExecutor(capacity=lambda: 1, order=slow)
    run(executor)
    assert executor.attempts[HANGS] == attempts


def test_nothing_is_known_of_the_first_block(clock: Clock) -> None:
    ends = lambda flying: flying if clock.now > 100 * SECONDS else []  # noqa: E731
    executor = ScriptedExecutor(order=order(clock, ends))
    _, said = run(executor)
    assert executor.attempts == once_each()
    assert said == []


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.long
def test_a_worker_that_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGSTOP: without pings, as on a cluster started without them, nobody reports a fault."""
    from mcrelu.runtime import ray_cluster
    from mcrelu.runtime.ray_tasks import RayExecutor

    monkeypatch.setattr(ray_cluster, "KEEPALIVE", {})
    monkeypatch.setattr(stalls, "SECONDS", 4.0)
    monkeypatch.setattr(stalls, "FACTOR", 2.0)
    stopped: list[int] = []
    wanted = sweep(**SLOW)

    class Stopper(Silent):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def say(self, text: str) -> None:
            self.lines.append(text)

        def update(self, tally: Tally) -> None:
            if tally.blocks_done >= 2 and not stopped:
                for pid in busy_workers(os.getpid())[:1]:
                    os.kill(pid, signal.SIGSTOP)
                    stopped.append(pid)

    display = Stopper()
    try:
        done = output(tmp_path / "ray", wanted)
        assert do_sweep(done, lambda: RayExecutor.embed(2), display) is ExitCode.DONE
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    assert stopped
    assert any("done once more" in line for line in display.lines)
    assert_same_rows(done, run_serially(tmp_path / "serial", wanted))
