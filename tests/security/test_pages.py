"""Files whose pages ask for more memory than their footers say: refused before Arrow reads them."""

from __future__ import annotations

import gc
import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bounded import PEAK_BYTES, mcrelu
from forged_parquet import (
    BYTES,
    DATA,
    DICTIONARY,
    I32,
    I64,
    LIST,
    PLAIN,
    RLE_DICTIONARY,
    STRUCT,
    Footer,
    levels,
    page,
    run,
    struct_in,
    with_pages,
    written,
    zeros,
)
from small_sweeps import run_serially, sweep

from mcrelu.store import parquet
from mcrelu.store.parquet import DAMAGED, parquet_of, table_of

ROWS = 10
PRESENT = levels(run(1, ROWS))  # of a column without gaps
FIRST = bytes([1]) + run(0, ROWS)  # everywhere the first entry of a dictionary

TABLE = pa.table(
    {
        "width": pa.array(range(ROWS), pa.uint32()),
        "engine": ["grouped"] * ROWS,
        "losses": pa.array([[0.5]] * ROWS, pa.list_(pa.field("element", pa.float32()))),
    }
)
LOSSES = "losses.list.element"
CONTENT = parquet_of(TABLE).to_pybytes()


def plain(values: int) -> bytes:
    """Levels and values of the column of widths."""
    return PRESENT + bytes(4 * values)


class TestGood:
    def test_what_the_helper_takes_apart_is_put_together_again(self) -> None:
        assert Footer.of(CONTENT).content() == CONTENT

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"compression": "none"},
            {"compression": "gzip", "use_dictionary": False},
            {"compression": "zstd", "data_page_version": "2.0"},
            {"data_page_size": 1000, "write_batch_size": 100, "write_page_checksum": True},
            {"dictionary_pagesize_limit": 100, "write_batch_size": 10},
            {"use_byte_stream_split": ["number"], "use_dictionary": False},
            {"column_encoding": {"count": "DELTA_BINARY_PACKED"}, "use_dictionary": False},
            {"row_group_size": 300, "write_page_index": True, "store_schema": False},
            {"version": "1.0", "use_deprecated_int96_timestamps": True},
        ],
        ids=str,
    )
    def test_files_however_they_are_written(self, options: dict[str, Any]) -> None:
        rng = np.random.default_rng(3)
        number = rng.random(1000)
        table = pa.table(
            {
                "number": pa.array(number, mask=number < 0.1),
                "count": rng.integers(0, 50, 1000),
                "name": [f"name {k % 77}" if k % 5 else None for k in range(1000)],
                "on": number < 0.5,
                "half": number.astype(np.float16),
                "list": pa.array([[1.0] * (k % 4) for k in range(1000)]),
                "when": pa.array(range(1000), pa.timestamp("us")),
            }
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer, **options)
        got = table_of(buffer.getvalue())
        assert got.to_pylist() == pq.read_table(buffer).to_pylist()
        assert got.select(["number", "name"]).equals(table.select(["number", "name"]))

    def test_texts_and_bytes_of_all_kinds(self) -> None:
        for kind in (pa.large_string(), pa.binary(), pa.dictionary(pa.int8(), pa.string())):
            buffer = io.BytesIO()
            words = pa.array(["a", None, "a"])
            words = words.dictionary_encode() if pa.types.is_dictionary(kind) else words
            pq.write_table(pa.table({"word": words.cast(kind)}), buffer)
            got = table_of(buffer.getvalue())["word"]
            assert got.cast(pa.string()).to_pylist() == ["a", None, "a"]
            assert not pa.types.is_dictionary(got.type)

    def test_no_rows(self) -> None:
        assert table_of(parquet_of(TABLE[:0]).to_pybytes()).equals(TABLE[:0])


@pytest.fixture
def never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test in which Arrow reads a page."""

    def read(*_: Any, **__: Any) -> Any:
        raise AssertionError("pages were read")

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", read)


LARGER = "pages are larger than the footer says"


class TestPages:
    def test_true_ones_are_read(self) -> None:
        """Else the refusals below would show nothing of what is wrong."""
        content = with_pages(CONTENT, "width", [page(DATA, plain(ROWS), ROWS, PLAIN)])
        assert table_of(content)["width"].to_pylist() == [0] * ROWS
        words = [
            page(DICTIONARY, b"\1\0\0\0x", 1, PLAIN),
            page(DATA, PRESENT + FIRST, ROWS, RLE_DICTIONARY),
        ]
        content = with_pages(CONTENT, "engine", words)
        assert table_of(content)["engine"].to_pylist() == ["x"] * ROWS
        many = [page(DATA, levels(run(0, ROWS)) + levels(run(3, ROWS)) + bytes(40), ROWS, PLAIN)]
        content = with_pages(CONTENT, LOSSES, many, unpacked=200)
        assert table_of(content)["losses"].to_pylist() == [[0.0]] * ROWS

    def test_one_that_says_that_it_is_larger(self, never_read: None) -> None:
        lie = page(DATA, plain(ROWS), ROWS, PLAIN, unpacked=2**31 - 1)
        with pytest.raises(ValueError, match=LARGER):
            table_of(with_pages(CONTENT, "width", [lie]))

    def test_one_that_is_larger_once_unpacked(self, never_read: None) -> None:
        size = 2**24
        bomb = page(DATA, b"", ROWS, PLAIN, unpacked=size, packed=zeros(size, PRESENT))
        assert len(bomb) < 2**12
        with pytest.raises(ValueError, match=LARGER):
            table_of(with_pages(CONTENT, "width", [bomb], packed=True))

    def test_larger_ones_together(self, never_read: None) -> None:
        half = page(DATA, levels(run(1, 5)) + bytes(20), 5, PLAIN)
        assert len(half) > 20
        with pytest.raises(ValueError, match=LARGER):
            table_of(with_pages(CONTENT, "width", [half, half], unpacked=2 * 26 - 1))

    def test_a_dictionary_of_more_words_than_there_are_values(self, never_read: None) -> None:
        words = [
            page(DICTIONARY, bytes(4 * ROWS + 4), ROWS + 1, PLAIN),
            page(DATA, PRESENT + FIRST, ROWS, RLE_DICTIONARY),
        ]
        with pytest.raises(ValueError, match=LARGER):
            table_of(with_pages(CONTENT, "engine", words, unpacked=1000))

    @pytest.mark.parametrize("times", [2, 2**30 // ROWS])
    def test_longer_lists_than_the_footer_says(self, never_read: None, times: int) -> None:
        """Repeated levels and values take some bytes, however many they are."""
        many = ROWS * times
        content = levels(run(0, ROWS), run(1, many - ROWS)) + levels(run(2, many))
        lie = page(DATA, content, many, PLAIN)
        with pytest.raises(ValueError, match=LARGER):
            table_of(with_pages(CONTENT, LOSSES, [lie], unpacked=1000))

    def test_more_values_in_several_pages(self, never_read: None) -> None:
        six = page(DATA, levels(run(1, 6)) + bytes(24), 6, PLAIN)
        content = with_pages(CONTENT, "width", [b"", six, six], unpacked=1000)
        with pytest.raises(ValueError, match="more values than the footer says"):
            table_of(content)

    def test_after_the_end_of_a_column(self, never_read: None) -> None:
        footer = Footer.of(with_pages(CONTENT, "width", [page(DATA, plain(ROWS), ROWS, PLAIN)]))
        column = footer.column("width")
        column[7] = (I64, column[7][1] - 1)
        with pytest.raises(ValueError, match=LARGER):
            table_of(footer.content())

    @pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
    def test_encodings_that_grow(self, never_read: None, encoding: str) -> None:
        buffer = io.BytesIO()
        options = {"use_dictionary": False, "column_encoding": {"engine": encoding}}
        pq.write_table(TABLE.select(["engine"]), buffer, **options)
        with pytest.raises(ValueError, match="a page of another kind"):
            table_of(buffer.getvalue())

    @pytest.mark.parametrize(
        "change",
        [
            {1: (I32, 1)},
            {1: (I32, 7)},
            {2: (I32, -1)},
            {3: (I32, -100)},
            {2: (I64, 2**40)},
            {2: (STRUCT, {1: (I32, 1)})},
            {5: (I32, 1)},
            {5: (STRUCT, {1: (I32, -1), 2: (I32, PLAIN)})},
            {5: (STRUCT, {1: (I32, ROWS)})},
            {5: (STRUCT, {1: (STRUCT, {1: (STRUCT, {1: (STRUCT, {})})})})},
            {30: (I32, 5)},  # written with its number, as what is out of order would be
            {9: (LIST, (I32, [1, 2]))},
        ],
        ids=str,
    )
    def test_headers_that_are_none(self, never_read: None, change: dict[int, Any]) -> None:
        whole = page(DATA, plain(ROWS), ROWS, PLAIN)
        header = struct_in(io.BytesIO(whole))
        header |= change
        lie = written(dict(sorted(header.items()))) + plain(ROWS)
        with pytest.raises(
            ValueError, match=r"a size of|of another kind|structs|out of order|kind"
        ):
            table_of(with_pages(CONTENT, "width", [lie]))

    @pytest.mark.parametrize("header", [b"\x15" + b"\xff" * 30, b"\x1c" * 30, b"\x18\xff\x7f", b""])
    def test_headers_without_end(self, never_read: None, header: bytes) -> None:
        content = with_pages(CONTENT, "width", [header])
        with pytest.raises(DAMAGED):
            table_of(content)

    def test_before_the_file(self, never_read: None) -> None:
        for place in (0, -1, -(2**40), 2**40):
            footer = Footer.of(CONTENT)
            footer.column("width")[9] = (I64, place)
            with pytest.raises(DAMAGED):
                table_of(footer.content())

    def test_any_damage_is_one_of_the_known_errors(self) -> None:
        """Every byte before the footer, page checksums aside, since they would find it first."""
        buffer = io.BytesIO()
        pq.write_table(TABLE, buffer, compression="zstd")
        good = buffer.getvalue()
        refused = 0
        for place in range(4, len(Footer.of(good).pages)):
            for change in (0x01, 0xFF):
                content = bytearray(good)
                content[place] ^= change
                try:
                    assert table_of(bytes(content)).num_rows == ROWS
                except DAMAGED:
                    refused += 1
        assert refused > 300


class TestFooters:
    @pytest.mark.parametrize("values", [ROWS - 1, ROWS + 1, 2**40, -1])
    def test_of_other_numbers_of_values_than_rows(self, never_read: None, values: int) -> None:
        footer = Footer.of(CONTENT)
        footer.column("width")[5] = (I64, values)
        with pytest.raises(ValueError, match=r"values than rows|a negative size"):
            table_of(footer.content())

    def test_lists_of_what_grows(self, never_read: None) -> None:
        for value in (["x"], [b"x"], [[1]], {"x": "y"}, {"x": 1, "y": 2}):
            content = parquet_of(pa.table({"a": [value]})).to_pybytes()
            with pytest.raises(ValueError, match="columns of structs, or of lists of anything"):
                table_of(content)

    def test_numbers_of_any_length(self, never_read: None) -> None:
        footer = Footer.of(parquet_of(pa.table({"a": ["x"]})).to_pybytes())
        name = footer.struct[2][1][1][1]
        name[6], name[7], name[8] = (I32, 5), (I32, 0), (I32, 9)  # decimal, its scale and precision
        name.pop(10)
        footer.struct.pop(5)  # what else says that it is a text
        with pytest.raises(ValueError, match="numbers of any length"):
            table_of(footer.content())

    def test_wide_values(self, never_read: None) -> None:
        wide = pa.array([b"x" * 10**4] * 100, pa.binary(10**4))
        buffer = io.BytesIO()
        pq.write_table(pa.table({"a": wide}), buffer)
        assert len(buffer.getvalue()) < 10**4
        with pytest.raises(ValueError, match="takes 1000000 bytes"):
            table_of(buffer.getvalue(), most=10**6 - 1)

    def test_texts_of_several_columns_together(self) -> None:
        """Each column and each row group is small enough by itself."""
        words = pa.array(["x" * 1000] * 100)
        group = pa.table({"a": words, "b": words})
        content = parquet.parquet_of_groups([group, group], group.schema).to_pybytes()
        assert table_of(content, most=4 * 10**5).num_rows == 200
        with pytest.raises(ValueError, match="takes 400000 bytes"):
            table_of(content, most=4 * 10**5 - 1)

    def test_one_that_is_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        size = int.from_bytes(CONTENT[-8:-4], "little")
        monkeypatch.setattr(parquet, "MOST_FOOTER", size)
        assert table_of(CONTENT).num_rows == ROWS
        monkeypatch.setattr(parquet, "MOST_FOOTER", size - 1)
        monkeypatch.delattr(pq, "ParquetFile")
        with pytest.raises(ValueError, match="a footer that is too large"):
            table_of(CONTENT)

    @pytest.mark.parametrize("levels", [50, 2**16 - 2])
    def test_columns_within_columns(self, never_read: None, levels: int) -> None:
        buffer = io.BytesIO()
        pq.write_table(pa.table({"a": [1]}), buffer, store_schema=False)
        footer = Footer.of(buffer.getvalue())
        root, leaf = footer.struct[2][1][1]
        inner = {3: (I32, 1), 4: (BYTES, b"a"), 5: (I32, 1)}
        footer.struct[2] = (LIST, (STRUCT, [root, *[inner] * levels, leaf]))
        footer.column("a")[3] = (LIST, (BYTES, [b"a"] * (levels + 1)))
        with pytest.raises(DAMAGED, match=r"columns of structs|Couldn't deserialize|deeply"):
            table_of(footer.content())

    def test_what_was_read_is_freed_at_once(self) -> None:
        """And not by the garbage collector some time: footers may be large."""

        def footers() -> int:
            return sum(type(one).__name__ == "FileMetaData" for one in gc.get_objects())

        gc.collect()
        gc.disable()
        try:
            before = footers()
            table_of(CONTENT)
            assert footers() == before
            opened = pq.ParquetFile(pa.BufferReader(CONTENT))
            assert opened.schema is not None
            assert footers() == before + 1
            del opened
            assert footers() == before + 1  # what a `schema` does
        finally:
            gc.enable()


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run_serially(folder, sweep())
    return folder


SIZE = 2**31 - 2**16


def packed_page(content: bytes) -> bytes:
    """A page of two gigabytes in a column of numbers."""
    bomb = page(DATA, b"", ROWS, PLAIN, unpacked=SIZE, packed=zeros(SIZE, PRESENT))
    return with_pages(content, "block", [bomb], packed=True)


def long_dictionary(content: bytes) -> bytes:
    """A dictionary of a hundred million empty texts; Arrow takes 24 bytes and more for each."""
    count = 10**8
    packed = zeros(4 * count)
    first = PRESENT + FIRST
    words = [
        page(DICTIONARY, b"", count, PLAIN, unpacked=4 * count, packed=packed),
        page(DATA, first, ROWS, RLE_DICTIONARY, packed=zeros(len(first), first)),
    ]
    return with_pages(content, "cell", words, packed=True)


_PLAINLY = """
import sys, pyarrow.parquet as pq
pq.read_table(sys.argv[1], partitioning=None, read_dictionary=["cell"])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("forge", "command", "code"), [(packed_page, "status", 0), (long_dictionary, "check", 1)]
)
def test_memory(
    out: Path, tmp_path: Path, forge: Callable[[bytes], bytes], command: str, code: int
) -> None:
    """Of an output whose manifest is lost, so that every shard is read."""
    forged = Path(shutil.copytree(out, tmp_path / "out"))
    shutil.rmtree(forged / "manifest")
    shard = min((forged / "shards").rglob("*.parquet"))
    content = forge(shard.read_bytes())
    assert len(content) < 2**18
    shard.write_bytes(content)
    plainly = [sys.executable, "-c", _PLAINLY, str(shard)]
    taken = subprocess.run(plainly, capture_output=True, text=True, check=True)
    assert int(taken.stdout) > 2 * PEAK_BYTES  # else this would show nothing
    ended = mcrelu(command, forged)
    assert ended.code == code, ended.text
    assert ended.peak < PEAK_BYTES
    assert "000000.parquet" in ended.text or "damaged files  1" in ended.text


def long_footer(content: bytes) -> bytes:
    """A footer with millions of columns of three bytes; Arrow takes some five hundred for each."""
    footer = Footer.of(content)
    columns = (LIST, (STRUCT, [{2: (I64, 0)}] * 1000))
    group = written({1: columns, 2: (I64, 0), 3: (I64, 0)})
    groups = (parquet.MOST_FOOTER - 2**16) // len(group)
    footer.struct[4] = (LIST, (STRUCT, [group] * groups))
    return footer.content()


@pytest.mark.slow
def test_memory_of_footers(out: Path, tmp_path: Path) -> None:
    """They are read one by one, so that three take no more than one."""
    forged = Path(shutil.copytree(out, tmp_path / "out"))
    shutil.rmtree(forged / "manifest")
    shards = sorted((forged / "shards").rglob("*.parquet"))
    assert len(shards) == 3
    content = long_footer(shards[0].read_bytes())
    for shard in shards:
        shard.write_bytes(content)
    ended = mcrelu("status", forged)
    assert ended.code == 0, ended.text
    assert "damaged files  3" in ended.text
    assert 2 * PEAK_BYTES < ended.peak < 3 * PEAK_BYTES
