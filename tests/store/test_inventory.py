"""What of an output is there, by its manifest and its listing, and how its rows are read."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from small_sweeps import (
    assert_same_rows,
    flip,
    output,
    rows_of,
    run_serially,
    shard_files,
    sweep,
)

import mcrelu
from mcrelu.errors import ExitCode
from mcrelu.store import reader as reader_module
from mcrelu.store.compact import compact
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.parquet import ParquetFile, parquet_file
from mcrelu.store.reduce import reduce, refused_in, written_tables
from mcrelu.store.shards import shard_name

SMALL = sweep(networks=60, cells={"width": [4, 8]})  # 2 x 6 blocks


@pytest.fixture
def done(tmp_path: Path) -> Output:
    """A finished output of two cells with six blocks each."""
    return run_serially(tmp_path, SMALL)


def manifest_files(folder: Path) -> list[Path]:
    return sorted((folder / "manifest").glob("*.parquet"))


class Reads:
    """Counts the shards that are read."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        read = Files.read

        def counted(files: Files, name: str, *most: int) -> bytes | None:
            self.names.append(name)
            return read(files, name, *most)

        patch.setattr(Files, "read", counted)

    @property
    def shards(self) -> list[str]:
        return [name for name in self.names if name.startswith("shards/")]


# --- the manifest ---------------------------------------------------------------------------


def test_a_finished_run_is_known_without_reading_a_shard(
    done: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = Reads(monkeypatch)
    again = output(tmp_path, SMALL)
    assert again.missing() == []
    assert mcrelu.Run.open(tmp_path).status()["blocks_done"] == 12
    assert reads.shards == []


def test_without_a_manifest_every_shard_is_read_and_entered_again(
    done: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losing it loses nothing but time."""
    for path in manifest_files(tmp_path):
        path.unlink()
    reads = Reads(monkeypatch)
    assert output(tmp_path, SMALL).missing() == []
    assert len(reads.shards) == 12
    assert mcrelu.run(SMALL, tmp_path, executor="serial").exit_code == ExitCode.DONE
    reads.names.clear()
    assert output(tmp_path, SMALL).missing() == []
    assert reads.shards == []


def test_a_torn_segment_is_passed_over(done: Output, tmp_path: Path) -> None:
    for path in manifest_files(tmp_path):
        path.write_bytes(path.read_bytes()[:-7])
    assert output(tmp_path, SMALL).missing() == []


def test_a_shard_of_another_size_is_read_again(
    done: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn, whole = shard_files(tmp_path, SMALL)[1:3]
    torn.write_bytes(torn.read_bytes()[:-1])
    reads = Reads(monkeypatch)
    (missing,) = output(tmp_path, SMALL).missing()
    assert torn == tmp_path / shard_name(missing)
    assert len(reads.shards) == 1
    assert whole.exists()


def test_a_shard_that_was_deleted_is_missing(done: Output, tmp_path: Path) -> None:
    shard_files(tmp_path, SMALL)[3].unlink()
    assert [block.index for block in output(tmp_path, SMALL).missing()] == [3]


def test_a_run_killed_before_its_manifest_was_written_goes_on(done: Output, tmp_path: Path) -> None:
    """Workers have written shards that no driver recorded."""
    for path in manifest_files(tmp_path):
        path.unlink()
    shard_files(tmp_path, SMALL)[0].unlink()
    assert [block.index for block in output(tmp_path, SMALL).missing()] == [0]
    assert_same_rows(run_serially(tmp_path, SMALL), run_serially(tmp_path / "plain", SMALL))


# --- reading --------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_another(path: Path) -> None:
    path.write_bytes(path.with_name("000004.parquet").read_bytes())


DAMAGES: list[Callable[[Path], None]] = [flip, truncate, empty, replace_by_another]


@pytest.mark.parametrize("damage", DAMAGES)
def test_reduce_names_what_it_refuses(
    damage: Callable[[Path], None], done: Output, tmp_path: Path
) -> None:
    """It used to leave blocks out without a word."""
    path = shard_files(tmp_path, SMALL)[2]
    damage(path)
    reduction = reduce(done)
    name = str(path.relative_to(tmp_path))
    assert reduction.refused == [name]
    assert reduction.tables["cells"]["networks"].to_pylist() == [20, 60]
    assert refused_in(written_tables(done)) == [name]
    assert done.reader().damaged() == [name]


@pytest.mark.parametrize("damage", DAMAGES)
def test_status_knows_what_reduce_refused(
    damage: Callable[[Path], None], done: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without reading the others, and until somebody puts it right."""
    path = shard_files(tmp_path, SMALL)[2]
    whole = path.read_bytes()
    damage(path)
    reduce(done)
    reads = Reads(monkeypatch)
    assert mcrelu.Run.open(tmp_path).status()["refused"] == [str(path.relative_to(tmp_path))]
    assert set(reads.shards) == {str(path.relative_to(tmp_path))}
    path.write_bytes(whole)
    assert mcrelu.Run.open(tmp_path).status()["refused"] == []
    for segment in manifest_files(tmp_path):
        segment.unlink()
    assert mcrelu.Run.open(tmp_path).status()["refused"] == []


def test_status_needs_no_tables_to_see_a_torn_shard(done: Output, tmp_path: Path) -> None:
    path = shard_files(tmp_path, SMALL)[2]
    truncate(path)
    assert mcrelu.Run.open(tmp_path).status()["refused"] == [str(path.relative_to(tmp_path))]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_replaces_what_reduce_refuses(
    damage: Callable[[Path], None], done: Output, tmp_path: Path
) -> None:
    damage(shard_files(tmp_path, SMALL)[2])
    run = mcrelu.run(SMALL, tmp_path, executor="serial")
    assert run.exit_code == ExitCode.DONE
    assert run.table()["networks"].to_pylist() == [60, 60]
    assert refused_in(written_tables(run.output)) == []
    assert_same_rows(run.output, run_serially(tmp_path / "plain", SMALL))


def test_each_shard_is_read_once(
    done: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = Reads(monkeypatch)
    reduce(done)
    assert sorted(reads.shards) == sorted(shard_name(block) for block in SMALL.all_blocks())


def test_reading_is_never_far_ahead(done: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that memory does not grow with the number of blocks."""
    monkeypatch.setattr(reader_module, "AHEAD", 2)
    reads = Reads(monkeypatch)
    sample = done.reader().sample(done.cells[0], ["status"])
    next(sample)
    assert len(reads.shards) <= 3
    assert isinstance(sample, Generator)
    sample.close()


def test_only_the_columns_asked_for_are_decoded(done: Output) -> None:
    (first, *_) = done.reader().sample(done.cells[0], ["status", "network"])
    assert first.column_names == ["status", "network"]


def test_blocks_beyond_those_wanted_are_not_counted(done: Output) -> None:
    """They lie there, and the manifest knows them, but the contents ask for fewer networks."""
    fewer = Output(done.files, replace(done.contents, networks=30))
    inventory = fewer.inventory()
    assert [len(one.good) for one in inventory.cells.values()] == [3, 3]
    assert inventory.refused == []
    assert [fewer.networks(cell).num_rows for cell in fewer.cells] == [30, 30]


# --- compacting -----------------------------------------------------------------------------


def test_compacting_keeps_rows_and_blocks(done: Output, tmp_path: Path) -> None:
    rows, tables = rows_of(done), reduce(done).tables
    merged = compact(done)
    assert (merged.blocks, merged.files) == (12, 2)
    assert len(list((tmp_path / "shards").rglob("*.parquet"))) == 2
    assert rows_of(done) == rows
    assert reduce(done).tables == tables
    assert output(tmp_path, SMALL).missing() == []
    assert done.reader().damaged() == []
    table = ds.dataset(tmp_path / "shards").to_table()
    assert table.num_rows == 120
    assert table.sort_by([("cell", "ascending"), ("network", "ascending")]).group_by(
        "cell"
    ).aggregate([("network", "count")])["network_count"].to_pylist() == [60, 60]


def test_a_merged_file_is_read_and_parsed_once(
    done: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its footer is as long as it has blocks, so once for each would take for ever."""
    rows = rows_of(done)
    compact(done)
    parsed: list[bytes] = []

    def noting(content: bytes) -> AbstractContextManager[ParquetFile]:
        parsed.append(content)
        return parquet_file(content)

    monkeypatch.setattr("mcrelu.store.shards.parquet_file", noting)
    reads = Reads(monkeypatch)
    reader = output(tmp_path, SMALL).reader()
    tables = [table for cell in reader.cells for table in reader.sample(cell, None)]
    assert (len(tables), len(reads.shards), len(parsed)) == (12, 2, 2)
    for path in manifest_files(tmp_path):
        path.unlink()
    assert len(output(tmp_path, SMALL).inventory().entered) == 12
    assert (len(reads.shards), len(parsed)) == (4, 4)
    assert rows_of(done) == rows


def test_compacting_twice_does_nothing(done: Output) -> None:
    compact(done)
    assert compact(done) == (0, 0)


def test_a_compacted_output_grows(done: Output, tmp_path: Path) -> None:
    """Its last block, which was shorter, is done again and wins over the merged one."""
    shorter = run_serially(tmp_path / "grow", sweep(networks=55, cells={"width": [4, 8]}))
    compact(shorter)
    longer = output(tmp_path / "grow", SMALL)
    assert [block.index for block in longer.missing()] == [5, 5]
    assert_same_rows(run_serially(tmp_path / "grow", SMALL), done)
    assert output(tmp_path / "grow", SMALL).reader().damaged() == []


def test_a_compacted_output_needs_no_manifest(done: Output, tmp_path: Path) -> None:
    compact(done)
    for path in manifest_files(tmp_path):
        path.unlink()
    assert output(tmp_path, SMALL).missing() == []


@pytest.mark.parametrize("damage", DAMAGES[:3])
def test_a_damaged_merged_file_is_named_and_its_blocks_are_done_again(
    damage: Callable[[Path], None], done: Output, tmp_path: Path
) -> None:
    rows = rows_of(done)
    compact(done)
    path = next((tmp_path / "shards" / done.cells[0].id).iterdir())
    damage(path)
    assert reduce(done).refused == [str(path.relative_to(tmp_path))]
    mcrelu.run(SMALL, tmp_path, executor="serial")
    assert rows_of(output(tmp_path, SMALL)) == rows


def test_a_damaged_block_is_not_merged(done: Output, tmp_path: Path) -> None:
    flip(shard_files(tmp_path, SMALL)[2])
    compact(done)
    assert len(list((tmp_path / "shards" / done.cells[0].id).iterdir())) == 6
    assert len(done.reader().damaged()) == 1


def test_interrupted_compacting_loses_nothing(
    done: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends before the second of the old files is deleted."""
    rows = rows_of(done)
    calls: list[str] = []
    delete = Files.delete

    def interrupted(files: Files, name: str) -> None:
        if name.startswith("shards/"):
            calls.append(name)
            if len(calls) == 2:
                raise KeyboardInterrupt
        delete(files, name)

    with monkeypatch.context() as patch:
        patch.setattr(Files, "delete", interrupted)
        with pytest.raises(KeyboardInterrupt):
            compact(done)
    assert output(tmp_path, SMALL).missing() == []
    assert rows_of(output(tmp_path, SMALL)) == rows
    assert done.reader().damaged() == []


def test_rows_that_are_taken_hold_up_no_other_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files with large footers are read one at a time, but not for as long as rows are used."""
    merged = run_serially(tmp_path, SMALL)
    compact(merged)
    monkeypatch.setattr("mcrelu.store.parquet._LARGE_FOOTER", 0)
    monkeypatch.setattr(reader_module, "LITTLE", 0)
    monkeypatch.setattr(reader_module, "BYTES_AHEAD", 1)  # one block at a time
    one, other = (merged.reader().sample(merged.cells[0], ["network"]) for _ in range(2))
    pairs = list(zip(one, other, strict=True))
    assert len(pairs) == len(merged.inventory().cells[merged.cells[0].id].good)
    assert all(left.equals(right) for left, right in pairs)
