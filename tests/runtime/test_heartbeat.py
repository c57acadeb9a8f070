"""Whether a run goes on, and how it says that it ended."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from small_sweeps import output, sweep

import mcrelu
from mcrelu.errors import ExitCode
from mcrelu.runtime import heartbeat
from mcrelu.runtime.heartbeat import LOST_SECONDS, is_running, this_run
from mcrelu.runtime.progress import Silent, Tally
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.sweeping import do_sweep

SMALL = sweep(networks=30)


def running(**changes: Any) -> dict[str, Any]:
    """What the status of a run says that is not over."""
    run = this_run() | {"id": "of another process"} | changes
    return {"state": "running", "updated": heartbeat.now(), "run": run}


def long_ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="seconds")


def status(folder: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((folder / "status.json").read_text())
    return said


def test_a_process_that_is_there_runs() -> None:
    assert is_running(running())


def test_a_process_that_is_gone_does_not_run_however_fresh_its_sign() -> None:
    waiting = [sys.executable, "-c", "input()"]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE) as child:
        started = heartbeat._started(child.pid)
        said = running(pid=child.pid, process_started=started)
        assert is_running(said)
        child.kill()
    assert not is_running(said)


def test_another_process_with_its_number_is_not_it() -> None:
    assert not is_running(running(process_started="1"))


@pytest.mark.parametrize(("age", "expected"), [(1.0, True), (2 * LOST_SECONDS, False)])
def test_on_another_machine_its_last_sign_decides(age: float, expected: bool) -> None:
    said = running(host="elsewhere") | {"updated": long_ago(age)}
    assert is_running(said) is expected


@pytest.mark.parametrize("said", [None, {}, {"state": "done"}, {"state": "running"}])
def test_whoever_says_nothing_does_not_run(said: dict[str, Any] | None) -> None:
    assert not is_running(said)


def test_a_run_that_vanished_is_called_so(tmp_path: Path) -> None:
    """It used to be running for ever."""
    output(tmp_path, SMALL).take()
    said = running(pid=2**22, process_started="1")
    (tmp_path / "status.json").write_text(json.dumps(said | {"seconds": 24.0}))
    last = mcrelu.Run.open(tmp_path).status()["last_run"]
    assert last["state"] == "vanished"
    assert mcrelu.run(SMALL, tmp_path, executor="serial").exit_code == ExitCode.DONE
    assert mcrelu.Run.open(tmp_path).status()["last_run"]["state"] == "done"


class Noting(Silent):
    """A display that does something with each tally, and knows whether it was closed."""

    def __init__(self, each: Callable[[Tally], None]) -> None:
        self._each = each
        self.closed = 0

    def update(self, tally: Tally) -> None:
        self._each(tally)

    def close(self, tally: Tally) -> None:
        self.closed += 1


def test_a_run_says_that_it_runs_while_it_does(tmp_path: Path) -> None:
    states = []
    display = Noting(lambda _: states.append(status(tmp_path)["state"]))
    do_sweep(output(tmp_path, SMALL), SerialExecutor, display)
    assert set(states) == {"running"}
    assert status(tmp_path)["state"] == "done"
    assert display.closed == 1


def test_an_unexpected_exception_is_said_and_the_display_closed(tmp_path: Path) -> None:
    """The status used to stay at running, and the progress bar open."""

    def fail(tally: Tally) -> None:
        if tally.blocks_done == 2:
            raise ZeroDivisionError("in the driver")

    display = Noting(fail)
    with pytest.raises(ZeroDivisionError):
        do_sweep(output(tmp_path, SMALL), SerialExecutor, display)
    assert (status(tmp_path)["state"], status(tmp_path)["exit_code"]) == ("unexpected", 70)
    assert "same command" in status(tmp_path)["go_on"]
    assert display.closed == 1
    assert mcrelu.Run.open(tmp_path).status()["blocks_done"] == 2
    assert do_sweep(output(tmp_path, SMALL), SerialExecutor) == ExitCode.DONE


def test_every_ending_but_done_says_how_to_go_on(tmp_path: Path) -> None:
    tight = sweep(networks=30, stop={"relative_width": 0.01})
    assert do_sweep(output(tmp_path, tight), SerialExecutor) == ExitCode.BUDGET
    assert "relative_width" in status(tmp_path)["go_on"]
    assert do_sweep(output(tmp_path / "plain", SMALL), SerialExecutor) == ExitCode.DONE
    assert "go_on" not in status(tmp_path / "plain")
