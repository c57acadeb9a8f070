"""The manifest: reads back as a dict would, whoever writes it and whatever became of its files."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from full_disk import Disk, files_on
from hypothesis import given, settings
from hypothesis import strategies as st
from s3_server import BUCKET, FaultyApp

from mcrelu.errors import ResourceError
from mcrelu.store import at_once
from mcrelu.store import manifest as module
from mcrelu.store.files import Files
from mcrelu.store.manifest import MOST_SEGMENTS, Entries, Entry, Manifest, ManifestWriter

CELL, OTHER = "0123456789abcdef", "fedcba9876543210"


def entry(block: int = 0, version: int = 0, cell: str = CELL, extent: str = "{}") -> Entry:
    """An entry whose every field tells its version."""
    checksum = hashlib.blake2b(f"{cell} {block} {version}".encode(), digest_size=8).hexdigest()
    summary = {"k_high": version, "lost": -version}
    return Entry(cell, block, 100 + version, extent, 10_000 + version, checksum, summary)


def flushed(files: Files, *entries: Entry) -> None:
    """Publish entries as one segment."""
    writer = ManifestWriter(files)
    for one in entries:
        writer.add(one)
    writer.flush()


def entries_of(found: Entries, cell: str) -> list[Entry]:
    """The arrays of a cell as a list."""
    return [
        Entry(
            cell,
            int(found.block[k]),
            int(found.networks[k]),
            found.extent[k].decode(),
            int(found.bytes[k]),
            found.checksum[k].decode(),
            {key: int(values[k]) for key, values in found.summary.items()},
        )
        for k in range(len(found.block))
    ]


def read(files: Files, *cells: str) -> dict[tuple[str, int], Entry]:
    """All entries of some cells; nothing is passed over."""
    found = Manifest.read(files)
    assert found.passed_over == 0
    every = [one for cell in cells or (CELL,) for one in entries_of(found.of_cell(cell), cell)]
    assert [(e.cell, e.block) for e in every] == sorted(
        ((e.cell, e.block) for e in every), key=lambda key: ((cells or (CELL,)).index(key[0]), key)
    )
    return {(one.cell, one.block): one for one in every}


def keyed(*entries: Entry) -> dict[tuple[str, int], Entry]:
    return {(one.cell, one.block): one for one in entries}


def segments(folder: Path) -> list[Path]:
    return sorted((folder / "manifest").iterdir())


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files.at(tmp_path)


@pytest.fixture
def few_segments(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let writers merge when there are more than three."""
    monkeypatch.setattr(module, "MOST_SEGMENTS", 3)
    return 3


# --- what is read is what was added ---------------------------------------------------------


def test_what_is_read_is_what_was_added(files: Files) -> None:
    wanted = [entry(7, 3), entry(2, 1), entry(2, 5, OTHER, '{"epochs":30000}')]
    flushed(files, *wanted)
    assert read(files, CELL, OTHER) == keyed(*wanted)


def test_an_output_without_manifest_has_no_entries(files: Files) -> None:
    found = Manifest.read(files)
    assert found.passed_over == 0
    assert entries_of(found.of_cell(CELL), CELL) == []


def test_a_cell_without_entries_has_empty_arrays_of_the_same_types(files: Files) -> None:
    flushed(files, entry())
    found = Manifest.read(files)
    some, none = found.of_cell(CELL), found.of_cell(OTHER)
    assert [len(some.block), len(none.block)] == [1, 0]
    for name in Entries._fields[:-1]:
        one, other = getattr(some, name), getattr(none, name)
        assert one.dtype.kind == other.dtype.kind
        assert len(other) == 0
    assert {key: list(values) for key, values in none.summary.items()} == {"k_high": [], "lost": []}


def test_types_hold_the_largest_numbers(files: Files) -> None:
    largest = Entry(CELL, 2**32 - 1, 2**32 - 1, "{}", 2**64 - 1, "f" * 16, {"sum": 2**63 - 1})
    flushed(files, largest)
    assert read(files) == keyed(largest)


def test_summaries_may_be_empty(files: Files) -> None:
    flushed(files, entry()._replace(summary={}))
    assert read(files) == keyed(entry()._replace(summary={}))


def test_extents_of_a_cell_may_differ(files: Files) -> None:
    wanted = [entry(0, extent='{"epochs":10}'), entry(1, extent='{"epochs":20000}'), entry(2)]
    flushed(files, *wanted)
    assert read(files) == keyed(*wanted)


def test_the_latest_entry_of_a_block_holds(files: Files) -> None:
    for version in (2, 5, 1):
        flushed(files, entry(0, version), entry(version, 0))
    assert read(files) == keyed(entry(0, 1), entry(1), entry(2), entry(5))


def test_the_latest_holds_within_a_segment_too(files: Files) -> None:
    flushed(files, entry(0, 3), entry(1, 1), entry(0, 2))
    assert read(files) == keyed(entry(0, 2), entry(1, 1))


def test_segments_stay_in_order_when_the_clock_is_set_back(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version, seconds in enumerate([1000, 1000, 10]):
        monkeypatch.setattr(time, "time_ns", lambda now=seconds: now * 10**9)
        flushed(files, entry(0, version))
    assert read(files) == keyed(entry(0, 2))


def test_nothing_is_published_without_entries(files: Files, tmp_path: Path) -> None:
    writer = ManifestWriter(files)
    writer.flush()
    writer.add(entry())
    writer.flush()
    writer.flush()
    assert len(segments(tmp_path)) == 1


def test_summaries_with_other_keys_are_refused(files: Files) -> None:
    writer = ManifestWriter(files)
    writer.add(entry())
    with pytest.raises(ValueError, match=r"keys \['k_high'\].*'k_high', 'lost'"):
        writer.add(entry(1)._replace(summary={"k_high": 1}))
    writer.flush()
    assert read(files) == keyed(entry())


def test_blocks_that_share_a_file_may_be_many(files: Files) -> None:
    """Their entries differ in nothing but the number of the block, so a segment packs them well."""
    merged = [entry()._replace(block=block) for block in range(4096)]
    flushed(files, *merged)
    (size,) = files.sizes("manifest").values()
    assert size < 3 * len(merged)
    assert read(files) == keyed(*merged)


def test_a_full_disk_loses_no_entry(tmp_path: Path) -> None:
    disk = Disk(room=100)
    files = files_on(disk, tmp_path)
    writer = ManifestWriter(files)
    writer.add(entry())
    with pytest.raises(ResourceError):
        writer.flush()
    disk.room = None
    writer.add(entry(1))
    writer.flush()
    assert read(files) == keyed(entry(0), entry(1))


def test_segments_are_plain_parquet(files: Files, tmp_path: Path) -> None:
    flushed(files, entry(3, 1, extent='{"epochs":10}'))
    (path,) = segments(tmp_path)
    assert pq.read_table(path).to_pylist() == [
        {
            "cell": CELL,
            "block": 3,
            "networks": 101,
            "extent": '{"epochs":10}',
            "bytes": 10_001,
            "checksum": entry(3, 1).checksum,
            "summary.k_high": 1,
            "summary.lost": -1,
        }
    ]
    kinds = {field.name: str(field.type) for field in pq.read_schema(path)}
    assert kinds["block"] == kinds["networks"] == "uint32"
    assert [kinds["bytes"], kinds["summary.lost"]] == ["uint64", "int64"]


OPERATIONS = st.lists(
    st.one_of(
        st.builds(
            entry,
            block=st.integers(0, 5),
            version=st.integers(0, 9),
            cell=st.sampled_from([CELL, OTHER]),
            extent=st.sampled_from(["{}", '{"epochs":10}']),
        ),
        st.sampled_from(["flush", "flush of another writer", "new writer"]),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(OPERATIONS)
def test_it_is_a_dict(
    tmp_path_factory: pytest.TempPathFactory, operations: list[Entry | str]
) -> None:
    files = Files.at(tmp_path_factory.mktemp("out"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_SEGMENTS", 3)
        writer = ManifestWriter(files)
        wanted: dict[tuple[str, int], Entry] = {}
        waiting: list[Entry] = []
        for operation in operations:
            if isinstance(operation, Entry):
                writer.add(operation)
                waiting.append(operation)
            elif operation == "flush of another writer":
                flushed(files, entry(9, len(wanted)))
                wanted |= keyed(entry(9, len(wanted)))
            else:
                writer.flush()
                wanted |= keyed(*waiting)
                waiting = []
            if operation == "new writer":
                writer = ManifestWriter(files)
        assert read(files, CELL, OTHER) == wanted


# --- merging --------------------------------------------------------------------------------


def test_few_segments_are_left(files: Files, tmp_path: Path) -> None:
    writer = ManifestWriter(files)
    most = 0
    for block in range(3 * MOST_SEGMENTS):
        writer.add(entry(block % 100, block))
        writer.flush()
        most = max(most, len(segments(tmp_path)))
    assert most == MOST_SEGMENTS
    assert read(files) == keyed(*(entry(k % 100, k) for k in range(3 * MOST_SEGMENTS)))


@pytest.mark.parametrize(
    ("sizes", "first"),
    [
        ([10, 10], 0),
        ([10, 10, 1], 0),
        ([100, 10, 10], 1),
        ([1000, 10, 10, 100, 5], 1),
        ([1000, 300, 10, 5, 9], 2),
    ],
)
def test_only_small_segments_are_merged(sizes: list[int], first: int) -> None:
    assert module._first_to_merge(sizes) == first


def test_merging_costs_little_in_all(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every entry is written a number of times that grows as the logarithm of their number."""
    monkeypatch.setattr(module, "MOST_SEGMENTS", 12)
    written = 0
    publish = files.publish

    def counted(name: str, content: bytes) -> None:
        nonlocal written
        written += pq.read_metadata(pa.BufferReader(content)).num_rows
        publish(name, content)

    files.publish = counted  # type: ignore[method-assign]
    writer = ManifestWriter(files)
    for block in range(240):
        for k in range(20):
            writer.add(entry(20 * block + k))
        writer.flush()
    assert len(read(files)) == 4800
    assert written < 4800 * np.log2(240)  # merging everything each time writes more


@pytest.mark.parametrize("most", [3, 100], ids=["the other merges too", "the other only adds"])
def test_a_merged_segment_hides_no_later_entry(
    files: Files, few_segments: int, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Another writer publishes between this one's reading and its publishing."""
    latest = module._latest

    def interrupted(tables: list[pa.Table]) -> pa.Table:
        monkeypatch.setattr(module, "_latest", latest)
        monkeypatch.setattr(module, "MOST_SEGMENTS", most)
        flushed(files, entry(0, 100), entry(1, 100))
        return latest(tables)

    monkeypatch.setattr(module, "_latest", interrupted)
    writer = ManifestWriter(files)
    for version in range(few_segments + 1):
        writer.add(entry(0, version))
        writer.flush()
    assert module._latest is latest  # it did merge
    assert read(files) == keyed(entry(0, 100), entry(1, 100))


def test_old_segments_are_deleted_at_once(
    files: Files, few_segments: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the newest: one by one, on an object store, drivers would stand still for seconds."""
    meet, delete = Barrier(few_segments, timeout=10), files.delete

    def together(name: str) -> None:
        if name != newest:
            meet.wait()
        delete(name)

    writer = ManifestWriter(files)
    for block in range(few_segments):
        writer.add(entry(block))
        writer.flush()
    monkeypatch.setattr(files, "delete", together)
    publish, newest = files.publish, ""

    def noting(name: str, content: bytes) -> None:
        nonlocal newest
        newest = newest or name
        publish(name, content)

    monkeypatch.setattr(files, "publish", noting)
    writer.add(entry(few_segments))
    writer.flush()
    assert len(files.names("manifest")) == 1
    assert read(files) == keyed(*(entry(block) for block in range(few_segments + 1)))


@pytest.mark.parametrize("deleted", range(5))
def test_a_merge_that_is_cut_short_loses_nothing(
    files: Files, few_segments: int, monkeypatch: pytest.MonkeyPatch, deleted: int
) -> None:
    """The writer dies after it has published the merged segment and deleted some others."""
    monkeypatch.setattr(at_once, "THREADS", 1)
    writer, delete = ManifestWriter(files), files.delete

    def dying(name: str) -> None:
        nonlocal deleted
        if deleted == 0:
            raise KeyboardInterrupt
        deleted -= 1
        delete(name)

    files.delete = dying  # type: ignore[method-assign]
    with contextlib.suppress(KeyboardInterrupt):
        for version in range(few_segments + 1):
            writer.add(entry(0, version))
            writer.add(entry(version, version))
            writer.flush()
    files.delete = delete  # type: ignore[method-assign]
    wanted = keyed(*(entry(k, k) for k in range(1, 4)), entry(0, 3))
    assert read(files) == wanted
    flushed(files, entry(5))
    flushed(files, entry(6))
    assert read(files) == wanted | keyed(entry(5), entry(6))


@pytest.mark.parametrize("shift", range(6))
def test_a_merge_that_is_cut_short_hides_nothing(
    files: Files, monkeypatch: pytest.MonkeyPatch, shift: int
) -> None:
    """Nor where several writers published in one millisecond."""
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    writers = [ManifestWriter(files) for _ in range(4)]
    for version, writer in enumerate(writers):
        writer.add(entry(0, 10 * shift + version))
        writer.add(entry(version + 1))
        writer.flush()
    wanted = read(files)
    names, delete = files.names("manifest"), files.delete
    for count in range(len(names)):
        left = iter(range(count))

        def dying(name: str, left: Iterator[int] = left) -> None:
            next(left)  # its StopIteration is the death of the writer
            delete(name)

        monkeypatch.setattr(files, "delete", dying)
        with contextlib.suppress(StopIteration):
            writers[0]._merge(names)
        assert read(files) == wanted


def test_a_merge_stops_where_another_writer_is_merging(
    files: Files, few_segments: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the oldest segment when the other replaces the two oldest."""
    monkeypatch.setattr(at_once, "THREADS", 1)
    writer, other = ManifestWriter(files), ManifestWriter(files)
    for one in (entry(0, 1), entry(0, 2), entry(1)):
        writer.add(one)
        writer.flush()
    oldest = files.names("manifest")[:2]
    writer.add(entry(7))
    name_read, read_file = [], files.read

    def interrupted(name: str, *most: int) -> bytes | None:
        content = read_file(name, *most)
        name_read.append(name)
        if name_read == [f"manifest/{oldest[0]}"]:
            other._merge(oldest)
        return content

    monkeypatch.setattr(files, "read", interrupted)
    writer.flush()
    assert read(files) == keyed(entry(0, 2), entry(1), entry(7))


def test_a_merge_that_changes_nothing_keeps_the_segment(
    files: Files, tmp_path: Path, few_segments: int
) -> None:
    """The merged segment may be the newest of them, byte for byte."""
    writer = ManifestWriter(files)
    for _ in range(few_segments + 1):
        writer.add(entry())
        writer.flush()
    assert len(segments(tmp_path)) == 1
    assert read(files) == keyed(entry())


def test_a_reader_lists_again_when_segments_are_merged(
    files: Files, few_segments: int, tmp_path: Path
) -> None:
    writer = ManifestWriter(files)
    for block in range(few_segments):
        writer.add(entry(block))
        writer.flush()
    names = files.names

    def merged_meanwhile(folder: str) -> list[str]:
        files.names = names  # type: ignore[method-assign]
        listed = names(folder)
        writer.add(entry(few_segments))
        writer.flush()
        assert len(segments(tmp_path)) == 1
        return listed

    files.names = merged_meanwhile  # type: ignore[method-assign]
    assert read(files) == keyed(*(entry(block) for block in range(few_segments + 1)))


def test_a_segment_that_is_listed_but_never_there_is_passed_over(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed(files, entry())
    there = files.names("manifest")
    ghost = f"99999999999999-{'0' * 16}.parquet"
    monkeypatch.setattr(files, "names", lambda folder: [*there, ghost])
    found = Manifest.read(files)
    assert found.passed_over == 1
    assert entries_of(found.of_cell(CELL), CELL) == [entry()]


# --- damage ---------------------------------------------------------------------------------


def named(content: bytes, milliseconds: int = 99_999_999_999_990) -> str:
    """The name that a segment with such a content would have."""
    return f"{milliseconds:014d}-{hashlib.blake2b(content, digest_size=8).hexdigest()}.parquet"


def parquet(table: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    return buffer.getvalue().to_pybytes()


def good_table(files: Files) -> pa.Table:
    (name,) = files.names("manifest")
    return pq.read_table(pa.BufferReader(files.read(f"manifest/{name}")))


CHANGES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "another column": lambda table: table.append_column("note", pa.array(["x"])),
    "no checksum": lambda table: table.drop_columns("checksum"),
    "a null": lambda table: table.set_column(1, "block", pa.array([None], pa.uint32())),
    "a short checksum": lambda table: table.set_column(5, "checksum", pa.array(["abc"])),
    "text for a number": lambda table: table.set_column(1, "block", pa.array(["one"])),
    "another order": lambda table: table.select([*reversed(table.column_names)]),
    "other summaries": lambda table: table.drop_columns("summary.lost"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_foreign_table_is_passed_over(
    files: Files, change: Callable[[pa.Table], pa.Table]
) -> None:
    flushed(files, entry(0, 1))
    content = parquet(change(good_table(files)))
    files.publish(f"manifest/{named(content, 1)}", content)
    found = Manifest.read(files)
    assert found.passed_over == 1
    assert entries_of(found.of_cell(CELL), CELL) == [entry(0, 1)]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a segment"])
def test_what_is_no_parquet_is_passed_over(files: Files, content: bytes) -> None:
    flushed(files, entry())
    files.publish(f"manifest/{named(content)}", content)
    files.publish("manifest/README", content)
    found = Manifest.read(files)
    assert found.passed_over == 2
    assert entries_of(found.of_cell(CELL), CELL) == [entry()]


@pytest.mark.parametrize("kept", [0, 4, 500, -1])
def test_a_torn_segment_is_passed_over(files: Files, tmp_path: Path, kept: int) -> None:
    flushed(files, entry(0, 1), entry(1, 1))
    flushed(files, entry(0, 2))
    newest = segments(tmp_path)[-1]
    newest.write_bytes(newest.read_bytes()[:kept])
    found = Manifest.read(files)
    assert found.passed_over == 1
    assert entries_of(found.of_cell(CELL), CELL) == [entry(0, 1), entry(1, 1)]


def test_a_flipped_bit_is_noticed_anywhere(files: Files, tmp_path: Path) -> None:
    flushed(files, entry())
    (path,) = segments(tmp_path)
    content = path.read_bytes()
    for place in range(0, len(content), 17):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert Manifest.read(files).passed_over == 1


def test_what_cannot_be_read_is_neither_merged_nor_deleted(
    files: Files, tmp_path: Path, few_segments: int
) -> None:
    flushed(files, entry(0))
    damaged = segments(tmp_path)[0]
    damaged.write_bytes(b"torn")
    foreign = tmp_path / "manifest" / "notes.txt"
    foreign.write_bytes(b"mine")
    names_read: list[str] = []
    read_file = files.read

    def noting(name: str, *most: int) -> bytes | None:
        names_read.append(name)
        return read_file(name, *most)

    files.read = noting  # type: ignore[method-assign, assignment]
    writer = ManifestWriter(files)
    for block in range(1, 12):
        writer.add(entry(block))
        writer.flush()
        assert len(segments(tmp_path)) <= few_segments + 2
    assert names_read.count(f"manifest/{damaged.name}") == 1  # it is tried once only
    assert {damaged, foreign} <= set(segments(tmp_path))
    found = Manifest.read(files)
    assert found.passed_over == 2
    assert entries_of(found.of_cell(CELL), CELL) == [entry(block) for block in range(1, 12)]


# --- several processes ----------------------------------------------------------------------


WRITER = """
import sys
from mcrelu.store import manifest
from mcrelu.store.files import Files
manifest.MOST_SEGMENTS = 4
writer = manifest.ManifestWriter(Files.at(sys.argv[1]))
for block in range(int(sys.argv[3])):
    writer.add(manifest.Entry(sys.argv[2], block, 100, "{}", 10, "0" * 16, {}))
    writer.flush()
"""


@pytest.mark.slow
def test_writers_and_readers_at_a_time_lose_nothing(files: Files) -> None:
    cells, flushes = [CELL, OTHER], 40
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, files.uri, cell, str(flushes)])
        for cell in cells
    ]
    reached = dict.fromkeys(cells, 0)
    while any(writer.poll() is None for writer in writers):
        found = Manifest.read(files)
        assert found.passed_over == 0
        for cell in cells:
            blocks = found.of_cell(cell).block
            assert list(blocks) == list(range(len(blocks)))  # no gap, at any time
            assert len(blocks) >= reached[cell]
            reached[cell] = len(blocks)
    assert [writer.returncode for writer in writers] == [0, 0]
    found = Manifest.read(files)
    assert [len(found.of_cell(cell).block) for cell in cells] == [flushes, flushes]


def test_on_an_object_store(s3: FaultyApp, tmp_path: Path, few_segments: int) -> None:
    files = Files.at(f"s3://{BUCKET}/{tmp_path.name}")
    writer = ManifestWriter(files)
    for block in range(6):
        writer.add(entry(block))
        writer.flush()
    assert len(files.names("manifest")) <= few_segments
    assert read(files) == keyed(*(entry(block) for block in range(6)))


# --- size -----------------------------------------------------------------------------------


READER = """
import resource, sys, time
from mcrelu.store.files import Files
from mcrelu.store.manifest import Manifest
files = Files.at(sys.argv[1])
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
found = Manifest.read(files)
seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(found.of_cell(sys.argv[2]).block), after - before, seconds)
"""


@pytest.mark.slow
def test_a_hundred_thousand_entries_are_little(files: Files, tmp_path: Path) -> None:
    """Written by many flushes, read soon and in little memory."""
    cells = [f"{k:016x}" for k in range(100)]
    writer = ManifestWriter(files)
    started = time.monotonic()
    for k in range(100_000):
        writer.add(entry(k // 100, 1, cells[k % 100]))
        if k % 200 == 199:
            writer.flush()
    assert time.monotonic() - started < 60
    assert len(segments(tmp_path)) <= MOST_SEGMENTS
    command = [sys.executable, "-c", READER, files.uri, cells[-1]]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    entries, kilobytes, seconds = int(told[0]), int(told[1]), float(told[2])
    assert entries == 1000
    assert kilobytes < 100_000
    assert seconds < 5
