"""Files that take gigabytes once unpacked: refused by what stands in their footers, in one line."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bounded import PEAK_BYTES, assert_refused, mcrelu
from small_sweeps import run_serially, sweep

from mcrelu.errors import ForeignOutputError, ResourceError, UserError
from mcrelu.store.contents import CELLS_FILE, Contents
from mcrelu.store.files import Files
from mcrelu.store.inventory import identity_in, verified_rows
from mcrelu.store.manifest import MOST_UNPACKED, Entry, Manifest, ManifestWriter, _name
from mcrelu.store.npz import DAMAGED, arrays_in
from mcrelu.store.output import Output
from mcrelu.store.parquet import digest as digest_of_rows
from mcrelu.store.parquet import parquet_of, table_of
from mcrelu.store.reduce import reduce, written_tables
from mcrelu.store.shards import Shard, publish_merged, shard_content
from mcrelu.sweep.cell import digest
from mcrelu.sweep.sweep import MAX_BLOCKS
from mcrelu.verify.archive import read_arrays

SWEEP = sweep()


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run_serially(folder, SWEEP)
    return folder


@pytest.fixture
def out(once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(once, tmp_path / "out"))


def opened(out: Path) -> Output:
    return Output.open(Files.at(out))


def first_shard(out: Path) -> Path:
    return min((out / "shards").rglob("*.parquet"))


def rows_of(content: bytes, output: Output) -> pa.Table | None:
    with Shard.of(content) as shard:
        return verified_rows(output.contents, output.cells[0], 0, shard)


def repeated(table: pa.Table, times: int) -> pa.Table:
    return pa.concat_tables([table] * times)


def with_texts(table: pa.Table, characters: int) -> pa.Table:
    """One long text that stands in every row, packed as a dictionary of one."""
    texts = pa.array(["x" * characters] * table.num_rows)
    return table.set_column(table.schema.get_field_index("engine"), "engine", texts)


class NeverRead:
    """Fails a test that reads rows."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        def read(*_: Any, **__: Any) -> Any:
            raise AssertionError("rows were read")

        patch.setattr(pq.ParquetFile, "read_row_groups", read)
        patch.setattr(pq.ParquetFile, "read_row_group", read)
        patch.setattr(pq.ParquetFile, "read", read)


class TestShards:
    def test_good_ones_are_read(self, out: Path) -> None:
        """Else the refusals below would show nothing."""
        assert rows_of(first_shard(out).read_bytes(), opened(out)) is not None

    def test_another_number_of_rows(self, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        good = pq.read_table(first_shard(out), partitioning=None)
        content = parquet_of(repeated(good, 1000)).to_pybytes()
        NeverRead(monkeypatch)
        assert rows_of(content, opened(out)) is None

    @pytest.mark.parametrize("change", ["type", "name", "more"])
    def test_other_columns(self, out: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
        good = pq.read_table(first_shard(out), partitioning=None)
        if change == "type":
            good = good.set_column(6, "step_rule", pa.array([b"x" * 9] * good.num_rows))
        elif change == "name":
            good = good.rename_columns(["q", *good.column_names[1:]])
        else:
            good = good.append_column("q", good["cell"])
        content = parquet_of(good).to_pybytes()
        NeverRead(monkeypatch)
        assert rows_of(content, opened(out)) is None

    def test_a_text_that_is_repeated(self, out: Path) -> None:
        good = pq.read_table(first_shard(out), partitioning=None)
        content = parquet_of(with_texts(good, 5 * 10**5)).to_pybytes()
        assert len(content) < 10**5
        with pytest.raises(ValueError, match="takes 5000000 bytes, more than 1000000"):
            table_of(content, ["engine"], most=10**6)
        assert table_of(content, ["engine"], most=10**7).num_rows == good.num_rows

    def test_a_list_of_blocks_that_is_none(self, out: Path) -> None:
        output = opened(out)
        own = identity_in(output.contents, output.cells[0], 0)
        rows = rows_of(first_shard(out).read_bytes(), output)
        assert rows is not None
        publish_merged(output.files, "merged.parquet", [(own, rows)])
        whole = pq.read_table(out / "merged.parquet", partitioning=None)
        known = dict(whole.schema.metadata)
        for blocks in ("[1, 2]", "{}", "[" * 5000, '[{"block": "x"}]', "7", "null"):
            known[b"mcrelu.blocks"] = blocks.encode()
            content = parquet_of(whole.replace_schema_metadata(known)).to_pybytes()
            assert rows_of(content, output) is None

    def test_a_file_that_is_too_large(self, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        output, name = opened(out), str(first_shard(out).relative_to(out))
        monkeypatch.setattr("mcrelu.store.shards.MOST_BYTES", first_shard(out).stat().st_size)
        assert shard_content(output.files, name)
        monkeypatch.setattr("mcrelu.store.shards.MOST_BYTES", first_shard(out).stat().st_size - 1)
        assert shard_content(output.files, name) == b""
        (out / "manifest").rename(out / "gone")
        assert name in output.inventory().refused

    def test_names_with_endless_numbers(self, out: Path) -> None:
        folder = first_shard(out).parent
        (folder / f"{'9' * 40}.parquet").write_bytes(b"")
        (folder / f"000000-{'9' * 40}.parquet").write_bytes(b"")
        assert opened(out).inventory().refused == []


def only_segment(out: Path) -> Path:
    """The manifest in one segment: a run that takes long, as where kernels compile, writes more."""
    segments = sorted((out / "manifest").iterdir())
    content = parquet_of(pa.concat_tables(table_of(one.read_bytes()) for one in segments))
    for one in segments:
        one.unlink()
    merged = out / "manifest" / _name(10**12, content.to_pybytes())
    merged.write_bytes(content)
    return merged


class TestManifest:
    def test_more_entries_than_fit_into_a_file(self, out: Path) -> None:
        segment = only_segment(out)
        table = table_of(segment.read_bytes())
        content = parquet_of(repeated(table.slice(0, 1), 10**5)).to_pybytes()
        (out / "manifest" / _name(10**13, content)).write_bytes(content)
        assert Manifest.read(Files.at(out)).passed_over == 1
        assert opened(out).missing() == []

    def test_as_many_as_there_may_be_are_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        count = 10**4
        monkeypatch.setattr(
            "mcrelu.store.manifest.MOST_UNPACKED", MOST_UNPACKED * count // MAX_BLOCKS
        )
        writer = ManifestWriter(Files.at(tmp_path))
        cell, rng = SWEEP.cells[0].id, np.random.default_rng(1)
        for block in range(count):
            extent = '{"epochs":1000000}'
            writer.add(Entry(cell, block, 10, extent, 5000, rng.bytes(8).hex(), {"k": block % 10}))
        writer.flush()
        assert len(Manifest.read(Files.at(tmp_path)).of_cell(cell).block) == count
        monkeypatch.setattr("mcrelu.store.manifest.MOST_UNPACKED", 60 * count)
        assert Manifest.read(Files.at(tmp_path)).passed_over == 1

    def test_counts_that_cannot_be(self, out: Path) -> None:
        segment = only_segment(out)
        table = table_of(segment.read_bytes())
        place = table.schema.get_field_index("summary.k")
        wrong = table.set_column(place, "summary.k", pa.array([-1, 99, 10**18][: len(table)]))
        for changed in (wrong, table.drop_columns(["summary.k"])):
            segment.unlink(missing_ok=True)
            content = parquet_of(changed).to_pybytes()
            segment = out / "manifest" / _name(10**13, content)
            segment.write_bytes(content)
            inventory = opened(out).inventory()
            assert len(inventory.entered) == 3  # read instead
            assert inventory.cells[SWEEP.cells[0].id].good.all()


class TestTables:
    def test_one_that_is_huge(self, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        reduce(opened(out))
        monkeypatch.setattr("mcrelu.store.output.MOST_TABLE_BYTES", 10)
        with pytest.raises(UserError, match="table cells is damaged"):
            opened(out).read_table("cells")

    def test_columns_of_other_kinds(self, out: Path) -> None:
        output = opened(out)
        table = reduce(output).tables["cells"]
        written_tables(output)
        for name, values in {
            "networks": ["<b>"],
            "estimate": [[1.0]],
            "optimizer": [7],
            "cell": [None],
        }.items():
            column = table.schema.get_field_index(name)
            changed = table.set_column(column, name, pa.array(values))
            pq.write_table(changed, out / "tables" / "cells.parquet")
            with pytest.raises(UserError, match="table cells is damaged; give mcrelu reduce"):
                written_tables(output)
        output.publish_table("cells", table.drop_columns(["networks"]))
        with pytest.raises(UserError, match="table cells is damaged"):
            written_tables(output)


def packed(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def replaced(content: bytes, old: bytes, new: bytes) -> bytes:
    """An archive with an array that says something else of itself."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(result, "w") as other:
        for name in archive.namelist():
            assert old in archive.read(name)
            other.writestr(name, archive.read(name).replace(old, new))
    return result.getvalue()


class TestArchives:
    def test_plain_ones_are_read(self) -> None:
        found = arrays_in(packed(a=np.arange(3), b=np.array("text"), c=np.float32(2.5)))
        assert {key: value.tolist() for key, value in found.items()} == {
            "a": [0, 1, 2],
            "b": "text",
            "c": 2.5,
        }

    def test_what_is_too_large_is_not_unpacked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        content = packed(a=np.zeros(10**6))
        assert len(content) < 10**4
        arrays_in(content, most=8 * 10**6 + 1000)
        monkeypatch.delattr(zipfile.ZipFile, "read")
        with pytest.raises(ValueError, match="more than 8000000"):
            arrays_in(content, most=8 * 10**6)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"(100,), }          ", b"(10000000000000,), }"[:20].ljust(19)),
            (b"'<f8'", b"'|O8'"),
            (b"'<f8'", b"'<U9'"),
            (b"\x93NUMPY\x01", b"\x93NUMPY\x03"),
            (b"{'descr", b"{{descr"),
        ],
        ids=["shape", "objects", "texts", "version", "header"],
    )
    def test_an_array_is_as_large_as_it_says(self, old: bytes, new: bytes) -> None:
        with pytest.raises(DAMAGED):
            arrays_in(replaced(packed(a=np.zeros(100)), old, new))

    def test_too_many(self) -> None:
        with pytest.raises(ValueError, match="2000 arrays"):
            arrays_in(packed(**{f"a{k}": np.array(1) for k in range(2000)}))

    def test_of_other_packings(self) -> None:
        result = io.BytesIO()
        with zipfile.ZipFile(result, "w", zipfile.ZIP_LZMA) as archive:
            archive.writestr("a.npy", b"0" * 1000)
        with pytest.raises(ValueError, match="packed in another way"):
            arrays_in(result.getvalue())

    def test_golden_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "golden.npz"
        path.write_bytes(packed(a=np.zeros(100)))
        assert len(read_arrays(path)["a"]) == 100
        monkeypatch.setattr("mcrelu.verify.archive.MOST_BYTES", 100)
        with pytest.raises(UserError, match="cannot be read"):
            read_arrays(path)


class TestContents:
    def changed(self, out: Path, **values: Any) -> bytes:
        known = json.loads((out / CELLS_FILE).read_text())
        cell = {key: values.pop(key) for key in list(values) if key in known["cells"][0]}
        known["cells"][0] |= cell
        return json.dumps(known | values).encode()

    def test_unchanged(self, out: Path) -> None:
        (out / CELLS_FILE).write_bytes(self.changed(out))
        opened(out)

    @pytest.mark.parametrize(
        "values",
        [
            {"networks": 10**15},
            {"networks": "25"},
            {"networks": 2.5},
            {"networks": -1},
            {"networks": True},
            {"relative_width": float("nan")},
            {"seed": None},
            {"cells": None},
            {"cells": [7]},
            {"cells": {"a": 1}},
            {"experiment": ["crossing"]},
            {"settings": []},
            {"id": "../../../../etc"},
            {"id": "/etc/passwd/////"},
            {"id": "0123456789abcde\n"},
            {"id": "0123456789abcdef"},  # that of other parameters
            {"id": "\0" * 16},
            {"block_size": 0},
            {"block_size": 2**40},
            {"extent": {"epochs": "many"}},
            {"label": "x" * 10**5},
            {"parameters": {}},
            {"parameters": []},
            {"more": 1},
        ],
        ids=str,
    )
    def test_what_is_not_as_we_write_it(self, out: Path, values: dict[str, Any]) -> None:
        (out / CELLS_FILE).write_bytes(self.changed(out, **values))
        with pytest.raises(ForeignOutputError, match=r"cells.json is damaged or of a later"):
            opened(out)

    def test_parameters_without_what_is_needed(self, out: Path) -> None:
        """Even if their id is right."""
        parameters: dict[str, Any] = {"width": "many"}
        content = self.changed(out, parameters=parameters, id=digest(parameters))
        (out / CELLS_FILE).write_bytes(content)
        with pytest.raises(ForeignOutputError, match=r"cells.json is damaged or of a later"):
            opened(out)

    @pytest.mark.parametrize("content", [b"[" * 10**5, b'{"a":' * 10**5, b"\xff", b"", b"null"])
    def test_what_is_no_json(self, out: Path, content: bytes) -> None:
        (out / "status.json").write_bytes(content)
        assert opened(out).read_json("status.json") is None
        (out / CELLS_FILE).write_bytes(content)
        with pytest.raises(ForeignOutputError, match=r"cells.json is damaged"):
            opened(out)

    def test_one_that_is_too_large(self, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mcrelu.store.ownership.MOST_BYTES", 100)
        with pytest.raises(ResourceError, match=r"cells.json: it has more than the"):
            opened(out)
        monkeypatch.setattr("mcrelu.store.output.MOST_JSON_BYTES", 10)
        assert Output(Files.at(out), Contents.of(SWEEP)).read_json("status.json") is None


def zeros(path: Path, name: str, gibibytes: int) -> None:
    """An archive with an array of so many gibibytes of zeros, of a thousandth of that."""
    piece, count = bytes(2**24), gibibytes * 2**6
    header = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (count * 2**21,)}
    np.lib.format.write_array_header_1_0(header, shape)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as stream,
    ):
        stream.write(header.getvalue())
        for _ in range(count):
            stream.write(piece)


def bomb(out: Path, groups: int) -> bytes:
    """The first shard with hundreds of millions of rows, of zeros."""
    shard = first_shard(out)
    good = pq.read_table(shard, partitioning=None)
    many = good.take(np.zeros(2**20, dtype=np.int64))
    buffer = pa.BufferOutputStream()
    with pq.ParquetWriter(buffer, good.schema, compression="zstd") as writer:
        for _ in range(groups):
            writer.write_table(many)
    return buffer.getvalue().to_pybytes()


@pytest.mark.slow
class TestMemory:
    def test_of_a_shard(self, out: Path) -> None:
        content = bomb(out, groups=32)
        assert len(content) < 2**24
        first_shard(out).write_bytes(content)
        ended = mcrelu("status", out)
        assert ended.code == 0, ended.text
        assert "damaged files" in ended.text
        assert ended.peak < PEAK_BYTES
        ended = mcrelu("check", out)
        assert ended.code == 1
        assert ended.peak < PEAK_BYTES

    def test_of_a_table(self, out: Path) -> None:
        mcrelu("reduce", out)
        table = pq.read_table(out / "tables" / "cells.parquet", partitioning=None)
        texts = pa.DictionaryArray.from_arrays(np.zeros(64, dtype=np.int32), ["x" * 2**26])
        rows = table.take(np.zeros(64, dtype=np.int64))
        pq.write_table(
            rows.set_column(rows.schema.get_field_index("optimizer"), "optimizer", texts),
            out / "tables" / "cells.parquet",
            compression="zstd",
            store_schema=False,
        )
        assert_refused(mcrelu("plot", out), 2, "table cells is damaged; give mcrelu reduce")

    def test_of_a_golden_file(self, tmp_path: Path) -> None:
        zeros(tmp_path / "bomb.npz", "m", gibibytes=4)
        assert_refused(mcrelu("verify", tmp_path / "bomb.npz"), 2, "or of over 512 MiB")


@pytest.mark.slow
def test_memory_of_many_blocks_that_are_large_once_unpacked(tmp_path: Path) -> None:
    """Each may be: 40 blocks of 40 MB, in kilobytes. Few may be in memory at a time."""
    wanted = sweep(networks=400)
    out = run_serially(tmp_path / "out", wanted)
    for path in (tmp_path / "out" / "shards").rglob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        long = with_texts(table, 4 * 2**20)
        known = {**table.schema.metadata, b"mcrelu.digest": digest_of_rows(long).encode()}
        path.write_bytes(parquet_of(long.replace_schema_metadata(known)))
    shutil.rmtree(tmp_path / "out" / "manifest")
    assert len(list(out.sweep.all_blocks())) == 40
    for command in ("check", "reduce"):
        ended = mcrelu(command, tmp_path / "out")
        assert ended.code == 0, ended.text[-2000:]
        assert ended.peak < PEAK_BYTES
