"""What a local disk keeps: durable after a power failure, whole after a kill, created once."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcrelu.errors import ResourceError
from mcrelu.store.files import Files
from mcrelu.store.local_store import LocalStore

Calls = list[tuple[str, str]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Calls:
    """What is asked of the system, with paths below the test's folder; temporary ones are ``*``."""
    made: Calls = []

    def shown(path: Any) -> str:
        relative = Path(path).relative_to(tmp_path)
        return str(relative.with_name("*") if relative.suffix == ".tmp" else relative)

    def recorded(name: str, what: Callable[..., str]) -> None:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            made.append((name, what(*args)))
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    recorded("fsync", lambda descriptor: shown(Path(f"/proc/self/fd/{descriptor}").readlink()))
    recorded("mkdir", lambda path, *_: shown(path))
    recorded("replace", lambda source, target: f"{shown(source)} {shown(target)}")
    recorded("link", lambda source, target: f"{shown(source)} {shown(target)}")
    return made


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks Linux for names of open files")
class TestPowerFailure:
    def test_content_is_forced_before_the_name_and_the_name_after(
        self, tmp_path: Path, calls: Calls
    ) -> None:
        Files.at(tmp_path).publish("x", b"content")
        assert calls == [("fsync", "*"), ("replace", "* x"), ("fsync", ".")]

    def test_so_is_what_is_created(self, tmp_path: Path, calls: Calls) -> None:
        Files.at(tmp_path).create("x", b"content")
        assert calls == [("fsync", "*"), ("link", "* x"), ("fsync", ".")]

    def test_new_folders_are_forced_into_their_parents(self, tmp_path: Path, calls: Calls) -> None:
        files = Files.at(tmp_path / "out")
        files.publish("shards/cell/x", b"content")
        assert calls == [
            *[("mkdir", "out"), ("fsync", ".")],
            *[("mkdir", "out/shards"), ("fsync", "out")],
            *[("mkdir", "out/shards/cell"), ("fsync", "out/shards")],
            ("fsync", "out/shards/cell/*"),
            ("replace", "out/shards/cell/* out/shards/cell/x"),
            ("fsync", "out/shards/cell"),
        ]
        calls.clear()
        files.publish("shards/cell/y", b"content")
        assert [name for name, _ in calls] == ["fsync", "replace", "fsync"]


def failing_fsync(monkeypatch: pytest.MonkeyPatch, of_folders: bool, code: int) -> None:
    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir() == of_folders:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("act", [Files.publish, Files.create])
def test_a_disk_that_cannot_keep_the_content_is_one_line(
    act: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_fsync(monkeypatch, False, errno.EIO)
    files = Files.at(tmp_path)
    with pytest.raises(ResourceError, match=r"^cannot write .*/x: Input/output error; make room"):
        act(files, "x", b"content")
    assert list(tmp_path.iterdir()) == []


def test_filesystems_that_cannot_force_folders_are_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files.at(tmp_path)
    failing_fsync(monkeypatch, True, errno.EINVAL)
    files.publish("x", b"content")
    assert files.read("x") == b"content"
    failing_fsync(monkeypatch, True, errno.EIO)
    with pytest.raises(ResourceError, match="Input/output error"):
        files.publish("y", b"content")


class TestWithoutLinks:
    """Filesystems such as exFAT have no hard links."""

    @pytest.fixture(autouse=True, params=[errno.EPERM, errno.ENOTSUP])
    def no_links(self, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
        def link(*args: object, **kwargs: object) -> None:
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(os, "link", link)

    def test_only_the_first_creates(self, tmp_path: Path) -> None:
        files = Files.at(tmp_path)
        assert files.create("x", b"first")
        assert not files.create("x", b"second")
        assert files.read("x") == b"first"
        assert files.sizes("") == {"x": 5}

    def test_what_cannot_be_written_is_not_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = Files.at(tmp_path)
        write = LocalStore._write

        def full(store: LocalStore, path: Path, content: bytes) -> None:
            write(store, path, content[:2])
            if path.name == "x":
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(LocalStore, "_write", full)
        with pytest.raises(ResourceError, match="No space left"):
            files.create("x", b"first")
        assert list(tmp_path.iterdir()) == []


def test_a_link_that_fails_otherwise_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(ResourceError, match="Input/output error"):
        Files.at(tmp_path).create("x", b"first")


def test_files_that_vanish_during_a_listing_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files.at(tmp_path)
    for name in ("a", "b"):
        files.publish(name, b"content")
    real = os.scandir

    class Scan:
        def __init__(self, path: str) -> None:
            self._entries = list(real(path))
            files.delete("a")

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self._entries

        def __exit__(self, *_: object) -> None:
            return

    monkeypatch.setattr(os, "scandir", Scan)
    assert files.sizes("") == {"b": 7}


PUBLISH = """
import sys
from mcrelu.store.files import Files
files = Files.at(sys.argv[1])
print("ready", flush=True)
count = 0
while True:
    files.publish("folder/x", bytes([count % 256]) * 2**20)
    count += 1
"""


@pytest.mark.slow
def test_a_killed_publisher_leaves_a_whole_file(tmp_path: Path) -> None:
    files = Files.at(tmp_path)
    delays = [0.001 * 3**k for k in range(6)]
    for delay in delays:
        command = [sys.executable, "-c", PUBLISH, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as publisher:
            assert publisher.stdout is not None
            publisher.stdout.readline()
            time.sleep(delay)
            publisher.send_signal(signal.SIGKILL)
        content = files.read("folder/x")
        assert content is None or (len(content) == 2**20 and len(set(content)) == 1)
        assert set(files.names("folder")) <= {"x"}
        assert set(files.sizes("")) <= {"folder/x"}
    assert content is not None
    assert list((tmp_path / "folder").glob(".*.tmp"))  # some did die in the middle


CREATE = """
import sys, time
from mcrelu.store.files import Files
files = Files.at(sys.argv[1])
print("ready", flush=True)
start = float(sys.stdin.readline())
won = []
for k in range(200):
    while time.time() < start + k * 0.01:
        pass
    won.append(files.create(f"x{k}", sys.argv[2].encode()))
print("".join("1" if one else "0" for one in won))
"""


@pytest.mark.slow
def test_of_two_processes_one_creates(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CREATE, str(tmp_path)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    rivals = [subprocess.Popen([*command, name], **pipes) for name in ("a", "b")]
    for rival in rivals:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "ready\n"
    start = time.time() + 0.2
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write(f"{start}\n")
        rival.stdin.flush()
    told = [rival.communicate()[0].strip() for rival in rivals]
    for k, (a, b) in enumerate(zip(*told, strict=True)):
        assert a != b
        assert (tmp_path / f"x{k}").read_text() == ("a" if a == "1" else "b")
    assert {"0", "1"} == set(told[0])  # it was a race
