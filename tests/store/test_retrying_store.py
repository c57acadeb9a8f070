"""Faults that pass, and errors that do not; on a scripted store, and on a real S3 server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from s3_server import BUCKET, FaultyApp, no_fault

from mcrelu.errors import ResourceError
from mcrelu.store import retrying_store
from mcrelu.store.files import Files
from mcrelu.store.remote_store import RemoteStore
from mcrelu.store.retrying_store import RetryingStore, impatience, is_passing

BUSY = "AWS Error SLOW_DOWN during PutObject operation: reduce your request rate"


class Flaky:
    """A store in memory whose first requests fail, before or after they were done."""

    def __init__(self, faults: int, message: str = BUSY, done: bool = False) -> None:
        self.left, self.message, self.done = faults, message, done
        self.asked = 0
        self.files: dict[str, bytes] = {}

    def _fault(self, do: Any = None) -> None:
        self.asked += 1
        self.left -= 1
        if self.left >= 0:
            if self.done and do is not None:
                do()
            raise OSError(self.message)

    def read(self, path: str, most: int) -> bytes | None:
        self._fault()
        return self.files.get(path)

    def publish(self, path: str, content: bytes) -> None:
        self._fault(lambda: self.files.update({path: content}))
        self.files[path] = content

    def create(self, path: str, content: bytes) -> bool:
        if path in self.files:
            return False
        self.publish(path, content)
        return True

    def names(self, folder: str) -> list[str]:
        self._fault()
        return sorted(self.files)

    def sizes(self, folder: str) -> dict[str, int]:
        self._fault()
        return {path: len(content) for path, content in self.files.items()}

    def delete(self, path: str) -> None:
        self._fault()
        self.files.pop(path, None)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying_store, "FIRST_PAUSE_SECONDS", 1e-3)
    monkeypatch.setattr(retrying_store, "LONGEST_PAUSE_SECONDS", 4e-3)
    monkeypatch.setattr(retrying_store, "PATIENCE_SECONDS", 0.2)


def retrying(flaky: Flaky) -> RetryingStore:
    return RetryingStore(cast("RemoteStore", flaky))


def test_every_operation_is_tried_again() -> None:
    flaky = Flaky(0)
    store = retrying(flaky)
    for operation, expected in (
        (lambda: store.publish("x", b"1"), None),
        (lambda: store.read("x", 9), b"1"),
        (lambda: store.names(""), ["x"]),
        (lambda: store.sizes(""), {"x": 1}),
        (lambda: store.create("y", b"2"), True),
        (lambda: store.create("y", b"3"), False),
        (lambda: store.delete("x"), None),
    ):
        flaky.left = 3
        assert operation() == expected
    assert flaky.files == {"y": b"2"}


def test_a_store_that_stays_away_is_given_up() -> None:
    flaky = Flaky(10**9)
    began = time.monotonic()
    with pytest.raises(OSError, match="SLOW_DOWN"):
        retrying(flaky).publish("x", b"1")
    assert time.monotonic() - began >= 0.2
    assert flaky.asked > 10


def test_the_impatient_have_one_try_and_others_more() -> None:
    flaky = Flaky(2)
    with impatience(), pytest.raises(OSError, match="SLOW_DOWN"):
        retrying(flaky).read("x", 9)
    assert flaky.asked == 1
    assert retrying(flaky).read("x", 9) is None


@pytest.mark.parametrize("word", ["ACCESS_DENIED", "NO_SUCH_BUCKET", "QuotaExceeded"])
def test_what_does_not_pass_is_said_at_once(word: str) -> None:
    flaky = Flaky(10**9, f"AWS Error {word} during PutObject operation")
    with pytest.raises(OSError, match=word):
        retrying(flaky).publish("x", b"1")
    assert flaky.asked == 1


@pytest.mark.parametrize("done", [True, False])
def test_a_file_that_was_written_although_the_answer_was_lost_is_created(done: bool) -> None:
    """Not somebody else's, which a second try would otherwise take it for."""
    store = retrying(Flaky(1, done=done))
    assert store.create("x", b"ours")
    assert not store.create("x", b"theirs")


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (OSError("AWS Error NETWORK_CONNECTION during GetObject"), True),
        (OSError("google::cloud::Status(UNAVAILABLE)"), True),
        (OSError("google::cloud::Status(PERMISSION_DENIED)"), False),
        (FileNotFoundError("x"), False),
    ],
)
def test_what_passes(error: OSError, passing: bool) -> None:
    assert is_passing(error) == passing


def test_local_files_are_not_tried_again(tmp_path: Path) -> None:
    """A full disk does not empty itself."""
    assert not isinstance(Files.at(tmp_path)._store, RetryingStore)


@pytest.fixture
def files(s3: FaultyApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    monkeypatch.setattr(retrying_store, "PATIENCE_SECONDS", 60.0)
    yield Files.at(f"s3://{BUCKET}/{tmp_path.name}")
    s3.fault = no_fault


@pytest.mark.slow
def test_a_server_that_is_busy_for_a_while(files: Files, s3: FaultyApp) -> None:
    """More refusals than any client bears by itself."""
    left = 10

    def busy(environ: dict[str, Any]) -> str | None:
        nonlocal left
        left -= 1
        return "503 Slow Down" if left >= 0 else None

    s3.fault = busy
    files.publish("x", b"1")
    assert files.read("x") == b"1"
    assert left < 0


@pytest.mark.slow
def test_a_server_that_hangs_is_given_up_within_seconds(files: Files, s3: FaultyApp) -> None:
    """It took 99 s."""
    s3.fault = lambda _: time.sleep(60.0)
    began = time.monotonic()
    with impatience(), pytest.raises(ResourceError, match="cannot write"):
        files.publish("x", b"1")
    assert time.monotonic() - began < 40.0
