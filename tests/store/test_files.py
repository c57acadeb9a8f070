"""One contract for files, wherever they lie: local folders, object stores, other filesystems."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from full_disk import Disk, files_on
from pyarrow import fs
from s3_server import BUCKET, FaultyApp, point_clients_at

from mcrelu.errors import ExitCode, ResourceError, UserError
from mcrelu.store import remote_store
from mcrelu.store.files import Files
from mcrelu.store.local_store import LocalStore
from mcrelu.store.remote_store import RemoteStore
from mcrelu.store.retrying_store import RetryingStore

SMALL = b"a few bytes"
LARGE = bytes(range(256)) * (12 * 2**12)  # 12 MiB: object stores upload it in parts


def local_files(folder: Path, request: pytest.FixtureRequest) -> Files:
    return Files.at(folder)


def uri_files(folder: Path, request: pytest.FixtureRequest) -> Files:
    return Files.at(folder.as_uri())


def subtree_files(folder: Path, request: pytest.FixtureRequest) -> Files:
    folder.mkdir()
    subtree = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
    return Files(RemoteStore(subtree), "out", "subtree:out")


def memory_files(folder: Path, request: pytest.FixtureRequest) -> Files:
    return Files(RemoteStore(fs._MockFileSystem()), "out", "mock:out")


def s3_files(folder: Path, request: pytest.FixtureRequest) -> Files:
    request.getfixturevalue("s3")
    return Files.at(f"s3://{BUCKET}/{folder.parent.name}/{folder.name}")


PLACES = [local_files, uri_files, subtree_files, memory_files, s3_files]


@pytest.fixture(params=PLACES, ids=lambda place: place.__name__)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    return request.param(tmp_path / "out", request)


@pytest.fixture
def no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for rivals that a test has not."""
    monkeypatch.setattr(remote_store, "SETTLING_SECONDS", 0.0)


class TestContract:
    def test_what_is_published_can_be_read(self, files: Files) -> None:
        files.publish("shards/cell/000000.parquet", SMALL)
        assert files.read("shards/cell/000000.parquet") == SMALL

    def test_buffers_are_published_too(self, files: Files) -> None:
        files.publish("x", pa.py_buffer(SMALL))
        assert files.read("x") == SMALL

    def test_an_empty_file_is_a_file(self, files: Files) -> None:
        files.publish("x", b"")
        assert files.read("x") == b""
        assert files.names("") == ["x"]

    def test_large_content(self, files: Files) -> None:
        files.publish("x", LARGE)
        assert files.read("x") == LARGE

    def test_nothing_is_there_at_first(self, files: Files) -> None:
        assert files.read("x") is None
        assert files.read("folder/x") is None
        assert files.names("folder") == []

    def test_a_neighbour_is_not_the_file(self, files: Files) -> None:
        files.publish("folder/x1", SMALL)
        assert files.read("folder/x") is None
        assert files.names("fold") == []

    def test_publishing_replaces(self, files: Files) -> None:
        files.publish("x", LARGE)
        files.publish("x", SMALL)
        assert files.read("x") == SMALL

    def test_names_are_sorted_files_of_one_folder(self, files: Files) -> None:
        for name in ("folder/b", "folder/a", "folder/inner/c", "other/d", "folder/.hidden"):
            files.publish(name, SMALL)
        assert files.names("folder") == ["a", "b"]

    def test_publishing_leaves_nothing_else(self, files: Files) -> None:
        files.publish("folder/x", SMALL)
        files.publish("folder/x", LARGE)
        assert everything(files) == [files.path("folder/x")]

    def test_sizes_of_all_files_below_a_folder(self, files: Files) -> None:
        names = ("a", "b/c/d", "b/e", ".hidden", "b/.hidden", ".folder/f")
        for count, name in enumerate(names):
            files.publish(f"folder/{name}", bytes(count))
        files.publish("folders/g", SMALL)
        assert files.sizes("folder") == {"a": 0, "b/c/d": 1, "b/e": 2}
        assert files.sizes("folder/b") == {"c/d": 1, "e": 2}

    def test_there_are_no_sizes_without_a_folder(self, files: Files) -> None:
        assert files.sizes("folder") == {}
        files.publish("folders/g", SMALL)
        assert files.sizes("folder") == {}

    def test_only_the_first_creates(self, files: Files, no_settling: None) -> None:
        assert files.create("folder/x", b"first")
        assert not files.create("folder/x", b"second")
        assert files.read("folder/x") == b"first"
        files.publish("y", SMALL)
        assert not files.create("y", SMALL)
        files.delete("folder/x")
        assert files.create("folder/x", b"third")
        assert everything(files) == [files.path("folder/x"), files.path("y")]

    def test_delete(self, files: Files) -> None:
        files.publish("folder/a", SMALL)
        files.publish("folder/b", SMALL)
        files.delete("folder/a")
        assert files.read("folder/a") is None
        assert files.names("folder") == ["b"]

    def test_deleting_what_is_not_there_is_fine(self, files: Files) -> None:
        files.delete("x")
        files.delete("folder/x")


@contextmanager
def reading(read: Callable[[], object]) -> Iterator[None]:
    """Read again and again in another thread."""
    finished = threading.Event()

    def loop() -> None:
        while not finished.is_set():
            read()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def local_store(files: Files) -> LocalStore:
    assert isinstance(files._store, LocalStore)
    return files._store


def everything(files: Files) -> list[str]:
    """Paths of all files below the root, temporary ones included."""
    selector = fs.FileSelector(files.root, recursive=True, allow_not_found=True)
    store = files._store
    if isinstance(store, RetryingStore):
        store = store._store
    filesystem = fs.LocalFileSystem() if isinstance(store, LocalStore) else store._fs
    found = filesystem.get_file_info(selector)
    return sorted(info.path for info in found if info.type == fs.FileType.File)


@pytest.mark.parametrize("place", [local_files, uri_files, s3_files])
def test_readers_see_the_old_or_the_new_content_and_nothing_between(
    place: Callable[[Path, pytest.FixtureRequest], Files],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    files = place(tmp_path / "out", request)
    versions = [bytes([k]) * 2**20 for k in range(8)]
    files.publish("x", versions[0])
    seen = []
    with reading(lambda: seen.append(files.read("x"))):
        for content in versions:
            files.publish("x", content)
    assert len(seen) > 1
    assert set(seen) <= set(versions)


@dataclass
class Store:
    """Files that can be made to fail."""

    files: Files
    room: Callable[[int], AbstractContextManager[None]]


@contextmanager
def _room_for(disk: Disk | FaultyApp, count: int) -> Iterator[None]:
    disk.room = count
    try:
        yield
    finally:
        disk.room = None


def disk_store(folder: Path, request: pytest.FixtureRequest) -> Store:
    disk = Disk()
    return Store(files_on(disk, folder), lambda count: _room_for(disk, count))


def late_disk_store(folder: Path, request: pytest.FixtureRequest) -> Store:
    disk = Disk(notices_late=True)
    return Store(files_on(disk, folder), lambda count: _room_for(disk, count))


def s3_store(folder: Path, request: pytest.FixtureRequest) -> Store:
    app = request.getfixturevalue("s3")
    return Store(s3_files(folder, request), lambda count: _room_for(app, count))


@pytest.fixture(params=[disk_store, late_disk_store, s3_store], ids=lambda make: make.__name__)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return request.param(tmp_path / "out", request)


# Large content breaks half-way; small content breaks at once.
BREAKS = pytest.mark.parametrize(
    ("content", "room"), [(SMALL, 4), (LARGE, 11 * 2**20)], ids=["small", "large"]
)


class TestFullStore:
    @BREAKS
    def test_nothing_is_visible(self, store: Store, content: bytes, room: int) -> None:
        with store.room(room), pytest.raises(ResourceError):
            store.files.publish("folder/x", content)
        assert store.files.read("folder/x") is None
        assert everything(store.files) == []

    @BREAKS
    def test_the_old_content_is_still_there(self, store: Store, content: bytes, room: int) -> None:
        store.files.publish("folder/x", b"old")
        with store.room(room), pytest.raises(ResourceError):
            store.files.publish("folder/x", content)
        assert store.files.read("folder/x") == b"old"
        assert everything(store.files) == [store.files.path("folder/x")]

    @BREAKS
    def test_one_line_says_what_and_how(self, store: Store, content: bytes, room: int) -> None:
        with store.room(room), pytest.raises(ResourceError) as caught:
            store.files.publish("folder/x", content)
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        assert store.files.path("folder/x") in message
        assert "make room" in message
        assert caught.value.exit_code == ExitCode.RESOURCES

    @BREAKS
    def test_it_works_again_when_there_is_room(
        self, store: Store, content: bytes, room: int
    ) -> None:
        with store.room(room), pytest.raises(ResourceError):
            store.files.publish("folder/x", content)
        store.files.publish("folder/x", content)
        assert store.files.read("folder/x") == content


def test_the_failing_disk_breaks_half_way(tmp_path: Path) -> None:
    """Else the tests above would not test anything: a plain write leaves half a file."""
    files = files_on(Disk(room=4), tmp_path)
    with pytest.raises(OSError, match="No space left"):
        local_store(files)._write(tmp_path / "x", SMALL)
    assert (tmp_path / "x").read_bytes() == SMALL[:4]


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes anywhere, in the middle of a write too."""
    files = Files.at(tmp_path)
    write = local_store(files)._write

    def interrupted(path: Path, content: bytes) -> None:
        write(path, content[:4])
        raise KeyboardInterrupt

    monkeypatch.setattr(files._store, "_write", interrupted)
    for act in (files.publish, files.create):
        with pytest.raises(KeyboardInterrupt):
            act("x", SMALL)
        assert everything(files) == []


ACTIONS: dict[str, Callable[[Files], object]] = {
    "read": lambda files: files.read("spec.yaml"),
    "names": lambda files: files.names("shards"),
    "sizes": lambda files: files.sizes("shards"),
    "create": lambda files: files.create("spec.yaml", SMALL),
    "publish": lambda files: files.publish("spec.yaml", SMALL),
    "delete": lambda files: files.delete("spec.yaml"),
}


@pytest.mark.slow
@pytest.mark.parametrize("act", ACTIONS.values(), ids=ACTIONS.keys())
def test_a_dead_endpoint_is_one_line_and_soon(
    act: Callable[[Files], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    point_clients_at(monkeypatch, "http://127.0.0.1:9")  # nothing listens there
    started = time.monotonic()
    with pytest.raises(ResourceError) as caught:
        act(Files.at("s3://bucket/out"))
    assert len(str(caught.value).splitlines()) == 1
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("act", ACTIONS.keys())
def test_a_file_where_the_folder_should_be_is_one_line(act: str, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.write_text("not a folder")
    with pytest.raises(ResourceError) as caught:
        ACTIONS[act](Files.at(parent / "out"))
    assert len(str(caught.value).splitlines()) == 1
    assert parent.read_text() == "not a folder"


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_the_path_of_a_file_is_refused(scheme: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("not a folder")
    path = f"{scheme}{tmp_path / 'out'}"
    with pytest.raises(UserError, match="is a file; give the path of a folder") as caught:
        Files.at(path)
    assert str(caught.value).startswith(path)
    assert caught.value.exit_code == ExitCode.USAGE


def test_of_rivals_on_an_object_store_the_last_to_write_creates(
    s3: FaultyApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find nothing and write; both wait longer than the other may be late."""
    monkeypatch.setattr(remote_store, "SETTLING_SECONDS", 0.5)
    files = Files.at(f"s3://{BUCKET}/{tmp_path.name}")
    both_have_looked, won = threading.Barrier(2), {}
    publish = RemoteStore.publish

    def late(store: RemoteStore, path: str, content: bytes) -> None:
        both_have_looked.wait()
        publish(store, path, content)

    monkeypatch.setattr(RemoteStore, "publish", late)
    rivals = [
        threading.Thread(target=lambda name=name: won.update({name: files.create("x", name)}))
        for name in (b"a", b"b")
    ]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    winner = files.read("x")
    assert won == {winner: True, next(iter({b"a", b"b"} - {winner})): False}


def test_publishing_on_s3_makes_no_folders(
    s3: FaultyApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would be a request; one carries a small file."""
    requests, serve = [], s3._app

    def counted(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        requests.append(environ["REQUEST_METHOD"])
        return serve(environ, start_response)

    files = Files.at(f"s3://{BUCKET}/{tmp_path.name}")
    monkeypatch.setattr(s3, "_app", counted)
    files.publish("shards/cell/x", SMALL)
    assert requests == ["PUT"]


def test_a_bucket_that_is_not_there_is_said_when_writing(s3: FaultyApp) -> None:
    with pytest.raises(ResourceError, match=r"nowhere.*does not exist"):
        Files.at("s3://nowhere/out").publish("x", SMALL)


@pytest.mark.parametrize("uri", ["gopher://host/path", "s3://bucket/out?nonsense=1", "s3:///out"])
def test_a_uri_that_is_none(uri: str) -> None:
    with pytest.raises(UserError, match="give a path") as caught:
        Files.at(uri)
    assert caught.value.exit_code == ExitCode.USAGE
    assert str(caught.value).startswith(uri)
    assert len(str(caught.value).splitlines()) == 1


def test_relative_paths_are_below_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = Files.at("results/run")
    monkeypatch.chdir("/")
    files.publish("x", SMALL)
    assert (tmp_path / "results/run/x").read_bytes() == SMALL
