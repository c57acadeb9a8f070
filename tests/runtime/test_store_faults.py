"""Whole sweeps on an S3 server that is away, busy, slow or full of what is not theirs."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import boto3
import pytest
from processes import caught, child, command, exit_code
from s3_server import BUCKET, FaultyApp, no_fault, s3_server
from small_sweeps import assert_same_rows, output, run_serially, spec, sweep

from mcrelu.errors import ExitCode, ResourceError
from mcrelu.runtime import submit
from mcrelu.runtime.heartbeat import LOST_SECONDS
from mcrelu.runtime.lease import LEASE
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.store import remote_store, retrying_store
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.reduce import reduce

BUSY = "503 Slow Down"
SWEEP: dict[str, Any] = {"networks": 200, "block_size": 10, "cells": {"width": [4]}}
BLOCKS = 20


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyApp]:
    """A server of this module's own, so that its faults disturb no other test."""
    with s3_server() as app:
        yield app


@pytest.fixture
def s3(server: FaultyApp, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyApp]:
    monkeypatch.setattr(remote_store, "SETTLING_SECONDS", 0.0)
    yield server
    server.fault = no_fault


@pytest.fixture
def place(tmp_path: Path) -> str:
    return f"s3://{BUCKET}/{tmp_path.name}"


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(spec(**SWEEP)))
    return path


@pytest.fixture
def undisturbed(tmp_path: Path) -> Output:
    return run_serially(tmp_path / "local", sweep(**SWEEP))


class Outage:
    """No answer but 503 for so many seconds, from the fifth shard on."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._shards, self._began = seconds, 0, 0.0
        self.refused = 0
        self._lock = Lock()

    def __call__(self, environ: dict[str, Any]) -> str | None:
        with self._lock:
            if environ["REQUEST_METHOD"] == "PUT" and "/shards/" in environ["PATH_INFO"]:
                self._shards += 1
            if self._shards < 5:
                return None
            self._began = self._began or time.monotonic()
            over = time.monotonic() - self._began > self._seconds
            self.refused += not over
            return None if over else BUSY


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [20.0, pytest.param(180.0, marks=pytest.mark.long)])
def test_an_outage_is_outlasted(
    seconds: float, s3: FaultyApp, place: str, undisturbed: Output
) -> None:
    outage = s3.fault = Outage(seconds)
    done = output(place, sweep(**SWEEP))
    assert do_sweep(done, SerialExecutor) == ExitCode.DONE
    assert outage.refused > 3
    assert_same_rows(done, undisturbed)
    assert reduce(done).refused == []


@pytest.mark.slow
def test_a_longer_outage_ends_the_run_and_nothing_is_lost(
    s3: FaultyApp, place: str, undisturbed: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the patience were over: a run that goes on later does what is missing."""
    monkeypatch.setattr(retrying_store, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(submit, "STORE_SECONDS", 1.0)
    s3.fault = Outage(1e9)
    with pytest.raises(ResourceError, match="cannot write"):
        do_sweep(output(place, sweep(**SWEEP)), SerialExecutor)
    s3.fault = no_fault
    again = output(place, sweep(**SWEEP))
    assert len(again.missing()) == BLOCKS - 4
    assert do_sweep(again, SerialExecutor) == ExitCode.DONE
    assert_same_rows(again, undisturbed)


@pytest.mark.slow
def test_throttling(
    s3: FaultyApp, place: str, undisturbed: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six of ten requests are refused; pauses are a tenth of what they are, for the test's sake."""
    for name in ("FIRST_PAUSE_SECONDS", "LONGEST_PAUSE_SECONDS"):
        monkeypatch.setattr(retrying_store, name, getattr(retrying_store, name) / 10.0)
    chance = random.Random(1)
    s3.fault = lambda _: BUSY if chance.random() < 0.6 else None
    done = output(place, sweep(**SWEEP))
    assert do_sweep(done, SerialExecutor) == ExitCode.DONE
    s3.fault = no_fault
    assert_same_rows(done, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["truncated", "foreign"])
def test_objects_that_are_not_ours_are_done_again(
    how: str, s3: FaultyApp, place: str, undisturbed: Output
) -> None:
    done = run_serially(place, sweep(**SWEEP))
    client = boto3.client("s3")
    prefix = f"{place.removeprefix(f's3://{BUCKET}/')}/shards/"
    keys = [one["Key"] for one in client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]]
    content = {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys[:2]}
    first, second = content
    wrong = content[first][:-100] if how == "truncated" else content[second]
    client.put_object(Bucket=BUCKET, Key=first, Body=wrong)
    client.close()
    # The listing shows another size, or, if that is the same, reading does.
    reduce(done)
    for name in done.reader().damaged():
        done.files.delete(name)
    again = run_serially(place, sweep(**SWEEP))
    assert_same_rows(again, undisturbed)


@pytest.mark.slow
def test_a_driver_killed_on_s3_resumes(
    s3: FaultyApp, place: str, spec_file: Path, tmp_path: Path, undisturbed: Output
) -> None:
    ready = tmp_path / "ready"
    with child(spec_file, place, "serial", "between", 3, ready) as process:
        caught(process, ready)
        process.kill()
        process.wait()
    with child(spec_file, place, "serial") as process:
        assert exit_code(process) == ExitCode.DONE
    assert_same_rows(output(place, sweep(**SWEEP)), undisturbed)


@pytest.mark.slow
def test_a_block_takes_one_request(s3: FaultyApp, place: str) -> None:
    """And the driver a few, whatever the number of blocks."""
    requests: Counter[bool] = Counter()

    def counted(environ: dict[str, Any]) -> None:
        requests["/shards/" in environ["PATH_INFO"]] += 1

    s3.fault = counted
    assert do_sweep(output(place, sweep(**SWEEP)), SerialExecutor) == ExitCode.DONE
    assert requests[True] == BLOCKS
    assert requests[False] < 2 * BLOCKS


class Puts:
    """Counts the uploads of each shard."""

    def __init__(self) -> None:
        self.shards: Counter[str] = Counter()
        self._lock = Lock()

    def __call__(self, environ: dict[str, Any]) -> None:
        if environ["REQUEST_METHOD"] == "PUT" and "/shards/" in environ["PATH_INFO"]:
            with self._lock:
                self.shards[environ["PATH_INFO"]] += 1


@pytest.mark.slow
def test_of_two_drivers_at_once_one_says_so_and_ends(
    s3: FaultyApp, place: str, spec_file: Path, undisturbed: Output
) -> None:
    puts = s3.fault = Puts()
    run = ("run", spec_file, "--out", place, "--serial")
    with command(*run) as one, command(*run) as other:
        said = {process.communicate()[0]: process.returncode for process in (one, other)}
    assert sorted(said.values()) == [ExitCode.DONE, ExitCode.FOREIGN_OUTPUT]
    refusal = next(text for text, code in said.items() if code == ExitCode.FOREIGN_OUTPUT)
    assert "runs into it" in refusal
    assert "--join" in refusal
    assert set(puts.shards.values()) == {1}
    assert len(puts.shards) == BLOCKS
    assert_same_rows(output(place, sweep(**SWEEP)), undisturbed)


@pytest.mark.slow
def test_two_drivers_that_join_have_the_right_rows(
    s3: FaultyApp, place: str, spec_file: Path, undisturbed: Output
) -> None:
    run = ("run", spec_file, "--out", place, "--serial", "--join")
    with command(*run) as one, command(*run) as other:
        assert [exit_code(one), exit_code(other)] == [ExitCode.DONE] * 2
    assert_same_rows(output(place, sweep(**SWEEP)), undisturbed)


def moved_elsewhere(place: str) -> None:
    """Let the lease of an output seem that of a process on another machine."""
    files = Files.at(place)
    lease = json.loads(files.read(LEASE) or b"")
    files.publish(LEASE, json.dumps(lease | {"lease": "another", "host": "elsewhere"}).encode())


@pytest.mark.slow
def test_a_run_lost_elsewhere_is_waited_for_then_taken_over(
    s3: FaultyApp, place: str, spec_file: Path, tmp_path: Path, undisturbed: Output
) -> None:
    ready = tmp_path / "ready"
    with child(spec_file, place, "serial", "between", 3, ready) as process:
        caught(process, ready)
        process.kill()
        process.wait()
    moved_elsewhere(place)
    started = time.monotonic()
    with command("run", spec_file, "--out", place, "--serial") as process:
        said, _ = process.communicate()
    assert process.returncode == ExitCode.DONE, said
    assert "elsewhere" in said
    assert time.monotonic() - started > LOST_SECONDS
    assert Files.at(place).read(LEASE) is None
    assert_same_rows(output(place, sweep(**SWEEP)), undisturbed)


@pytest.mark.slow
def test_a_driver_that_was_asleep_while_another_took_over_ends(
    s3: FaultyApp, place: str, spec_file: Path, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    run = (spec_file, place, "serial", "between", 3, ready)
    with child(*run) as process:
        caught(process, ready)
        process.send_signal(signal.SIGSTOP)
        moved_elsewhere(place)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate()
    assert process.returncode == ExitCode.FOREIGN_OUTPUT, said
    assert "elsewhere took it over" in said
    assert 0 < len(output(place, sweep(**SWEEP)).missing()) < BLOCKS
