"""Who may write an output, and how that passes to another run."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import wait_until
from small_sweeps import output, sweep

import mcrelu
from mcrelu.errors import ExitCode, ForeignOutputError, ResourceError
from mcrelu.runtime import heartbeat, lease
from mcrelu.runtime.lease import LEASE, Lease
from mcrelu.runtime.progress import Silent, Tally
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.store.files import Files

SMALL = sweep(networks=30)
HASTE = 100.0
LOST = heartbeat.LOST_SECONDS / HASTE


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths."""
    for name in ("LOST_SECONDS", "RENEWAL_SECONDS", "LOOK_SECONDS", "SETTLING_SECONDS"):
        monkeypatch.setattr(lease, name, getattr(lease, name) / HASTE)


def held(folder: Path, **changes: Any) -> None:
    """Let another run have the lease: by default one in the process that started this one."""
    parent = os.getppid()
    said: dict[str, Any] = {"host": socket.gethostname(), "pid": parent}
    said |= {"process_started": heartbeat._started(parent)}
    said |= {"lease": "another", "renewed": heartbeat.now()} | changes
    Files.at(folder).publish(LEASE, json.dumps(said).encode())


def holder(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / LEASE).read_text())["lease"])
    except FileNotFoundError:
        return None


GONE = {"pid": 2**22, "process_started": "1"}
ELSEWHERE = {"host": "elsewhere"}


def test_it_is_there_as_long_as_the_run(tmp_path: Path) -> None:
    seen = []

    class Looking(Silent):
        def update(self, tally: Tally) -> None:
            seen.append(holder(tmp_path))

    do_sweep(output(tmp_path, SMALL), SerialExecutor, Looking())
    assert None not in seen
    assert len(set(seen)) == 1
    assert holder(tmp_path) is None


def test_there_is_none_where_no_executor_starts(tmp_path: Path) -> None:
    def fail() -> SerialExecutor:
        raise ResourceError("no executor")

    with pytest.raises(ResourceError):
        do_sweep(output(tmp_path / "out", SMALL), fail)
    assert not (tmp_path / "out").exists()


def test_it_is_given_back_after_an_error_within_the_run(tmp_path: Path) -> None:
    class Failing(Silent):
        def update(self, tally: Tally) -> None:
            assert holder(tmp_path) is not None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        do_sweep(output(tmp_path, SMALL), SerialExecutor, Failing())
    assert holder(tmp_path) is None


def test_a_second_run_says_so_and_ends(tmp_path: Path) -> None:
    with Lease(Files.at(tmp_path)) as first:
        first.take()
        with pytest.raises(ForeignOutputError, match=f"process {os.getpid()} .*--join") as caught:
            mcrelu.run(SMALL, tmp_path, executor="serial", progress=False)
        assert caught.value.exit_code == ExitCode.FOREIGN_OUTPUT
    assert not (tmp_path / "shards").exists()
    assert mcrelu.run(SMALL, tmp_path, executor="serial", progress=False).exit_code == 0


def test_a_run_of_another_process_is_refused_while_that_lives(tmp_path: Path) -> None:
    held(tmp_path)
    with pytest.raises(ForeignOutputError, match=f"process {os.getppid()} on "):
        Lease(Files.at(tmp_path)).take()


def test_one_that_could_not_be_given_back_stops_no_later_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(files: Files, name: str) -> None:
        raise ResourceError("away")

    with monkeypatch.context() as away:
        away.setattr(Files, "delete", fail)
        with Lease(Files.at(tmp_path)) as first:
            first.take()
    left = holder(tmp_path)
    assert left is not None
    with Lease(Files.at(tmp_path)) as second:
        second.take()
        assert holder(tmp_path) not in (None, left)


def test_those_who_mean_it_may_join_and_inherit(tmp_path: Path) -> None:
    first = Lease(Files.at(tmp_path))
    with Lease(Files.at(tmp_path), join=True) as second:
        with first:
            first.take()
            own = holder(tmp_path)
            second.take()
            time.sleep(4 * lease.RENEWAL_SECONDS)
            assert holder(tmp_path) == own
        wait_until(lambda: holder(tmp_path) not in (None, own), "the second to have it")
    assert holder(tmp_path) is None


@pytest.mark.parametrize("where", [{}, ELSEWHERE])
def test_who_joined_does_not_take_it_from_a_run_that_goes_on(
    where: dict[str, Any], tmp_path: Path
) -> None:
    held(tmp_path, **where)
    with Lease(Files.at(tmp_path), join=True) as mine:
        mine.take()
        for renewal in range(2 * round(LOST / lease.RENEWAL_SECONDS)):
            held(tmp_path, **where, renewed=str(renewal))
            time.sleep(lease.RENEWAL_SECONDS)
            assert holder(tmp_path) == "another"


@pytest.mark.parametrize("where", [GONE, ELSEWHERE])
def test_who_joined_has_it_after_a_run_that_vanished(where: dict[str, Any], tmp_path: Path) -> None:
    held(tmp_path, **where)
    started = time.monotonic()
    with Lease(Files.at(tmp_path), join=True) as mine:
        mine.take()
        wait_until(lambda: holder(tmp_path) not in (None, "another"), "the other's lease")
        assert where == GONE or time.monotonic() - started > LOST
        with pytest.raises(ForeignOutputError):
            Lease(Files.at(tmp_path)).take()
    assert holder(tmp_path) is None


def test_a_store_that_is_away_is_no_sign_that_a_run_vanished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(tmp_path, **ELSEWHERE)
    read, looks = Files.read, []

    def failing(files: Files, name: str, most: int) -> bytes | None:
        looks.append(name)
        if len(looks) % 4 == 0:  # never as many looks in a row as a lost run takes
            raise ResourceError("away")
        return read(files, name, most)

    with Lease(Files.at(tmp_path), join=True) as mine:
        mine.take()
        monkeypatch.setattr(Files, "read", failing)
        wait_until(lambda: len(looks) > 20, "looks")
        assert holder(tmp_path) == "another"


def test_a_joined_run_does_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LOST_SECONDS", 60.0)
    held(tmp_path, **ELSEWHERE)
    run = mcrelu.run(SMALL, tmp_path, executor="serial", progress=False, join=True)
    assert run.exit_code == ExitCode.DONE
    assert run.table()["networks"].to_pylist() == [30]
    assert holder(tmp_path) == "another"


def test_of_a_process_that_is_gone_it_is_taken_over_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LOST_SECONDS", 1e9)
    held(tmp_path, **GONE)
    with Lease(Files.at(tmp_path)) as mine:
        mine.take()
        assert holder(tmp_path) not in (None, "another")


def test_elsewhere_only_a_lease_that_does_not_change_is_taken_over(tmp_path: Path) -> None:
    """However old, or of the future, it looks by this machine's clock."""
    held(tmp_path, **ELSEWHERE, renewed="2000-01-01T00:00:00+00:00")
    said: list[str] = []
    with Lease(Files.at(tmp_path), say=said.append) as mine:
        mine.take()
        assert holder(tmp_path) not in (None, "another")
    (line,) = said
    assert "process" in line
    assert "elsewhere" in line


@pytest.mark.parametrize("then", ["renewed", "given back"])
def test_a_lease_that_is_watched(
    then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LOST_SECONDS", 60.0)
    held(tmp_path, **ELSEWHERE)

    def change(message: str) -> None:
        if then == "renewed":
            held(tmp_path, **ELSEWHERE, renewed="2000-01-01T00:00:00+00:00")
        else:
            (tmp_path / LEASE).unlink()

    with Lease(Files.at(tmp_path), say=change) as mine:
        if then == "renewed":
            with pytest.raises(ForeignOutputError, match="elsewhere runs into it"):
                mine.take()
        else:
            mine.take()
            assert holder(tmp_path) not in (None, "another")


def at_once(*starts: Callable[[], object]) -> list[object]:
    """What several threads return or raise that start at one moment."""
    barrier, found = threading.Barrier(len(starts)), []

    def run(start: Callable[[], object]) -> None:
        barrier.wait()
        try:
            found.append(start())
        except ForeignOutputError as error:
            found.append(error)

    threads = [threading.Thread(target=run, args=(start,)) for start in starts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("before", ["nothing", "a lost run's"])
def test_of_several_at_once_one_has_it(
    before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SETTLING_SECONDS", 0.5)
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        if before != "nothing":
            held(folder, **GONE)
        leases = [Lease(Files.at(folder)) for _ in range(4)]
        found = at_once(*(one.take for one in leases))
        assert sum(one is None for one in found) == 1, found
        for one in leases:
            one.__exit__(None, None, None)
        assert holder(folder) is None


def test_a_run_that_was_asleep_ends_and_leaves_the_rest_to_its_successor(tmp_path: Path) -> None:
    longer = sweep(networks=200)
    theirs = '{"state": "of the successor"}'

    class Asleep(Silent):
        def update(self, tally: Tally) -> None:
            if tally.blocks_done == 3:
                held(tmp_path, **ELSEWHERE)
                (tmp_path / "status.json").write_text(theirs)
                time.sleep(20 * lease.RENEWAL_SECONDS)

    with pytest.raises(ForeignOutputError, match="elsewhere took it over"):
        do_sweep(output(tmp_path, longer), SerialExecutor, Asleep())
    assert holder(tmp_path) == "another"
    assert (tmp_path / "status.json").read_text() == theirs
    assert len(output(tmp_path, longer).missing()) == 17
    assert output(tmp_path, longer).inventory().entered == []  # the manifest has the three


def test_a_store_that_is_away_for_a_moment_costs_no_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[str] = []
    publish = Files.publish

    def failing(files: Files, name: str, content: bytes) -> None:
        if len(failures) < 3:
            failures.append(name)
            raise ResourceError("away")
        publish(files, name, content)

    with Lease(Files.at(tmp_path)) as mine:
        mine.take()
        before = (tmp_path / LEASE).read_text()
        monkeypatch.setattr(Files, "publish", failing)
        monkeypatch.setattr(lease, "now", lambda: "later")
        wait_until(lambda: (tmp_path / LEASE).read_text() != before, "a renewal")
        assert failures == [LEASE] * 3
        assert not mine.lost


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 10_000, b"\xff", b"x" * 2**17])
def test_a_damaged_lease_is_nobodys(content: bytes, tmp_path: Path) -> None:
    (tmp_path / LEASE).write_bytes(content)
    with Lease(Files.at(tmp_path)) as mine:
        mine.take()
        assert holder(tmp_path) is not None
    assert holder(tmp_path) is None
