"""Tables in files: read back equal, without Arrow's threads, and damage is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_sweeps import output, publish_made_up, sweep

import mcrelu
from mcrelu.store.compact import compact
from mcrelu.store.files import Files
from mcrelu.store.manifest import Manifest
from mcrelu.store.parquet import DAMAGED, digest, parquet_of, table_of

TABLE = pa.table({"width": [4, 8], "estimate": [0.5, None], "name": ["a", "b"]})


def test_a_table_reads_back_equal() -> None:
    assert table_of(parquet_of(TABLE).to_pybytes()).equals(TABLE)


def read_a_table(files: Files) -> None:
    table_of(parquet_of(TABLE).to_pybytes())


def read_a_merged_shard(files: Files) -> None:
    one = output(files.uri, sweep())
    for block in one.missing():
        publish_made_up(one, block)
    assert compact(one).files == 1
    assert one.networks(one.cells[0]).num_rows == 25


def read_a_manifest(files: Files) -> None:
    one = output(files.uri, sweep())
    for block in one.missing():
        publish_made_up(one, block)
    one.record(one.inventory().entered)
    assert len(Manifest.read(files).of_cell(one.cells[0].id).block) == 3


@pytest.mark.parametrize("reading", [read_a_table, read_a_merged_shard, read_a_manifest])
def test_reading_starts_no_threads_of_arrow(
    reading: Callable[[Files], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With them some per cent of the processes that read shards abort when they end."""
    asked: list[bool] = []

    def note(name: str) -> None:
        original = getattr(pq.ParquetFile, name)

        def noting(*args: Any, **options: Any) -> pa.Table:
            asked.append(options.get("use_threads", True))
            return original(*args, **options)

        monkeypatch.setattr(pq.ParquetFile, name, noting)

    note("read")
    note("read_row_group")
    note("read_row_groups")
    reading(Files.at(tmp_path))
    assert asked
    assert not any(asked)


def test_nobody_else_reads_parquet() -> None:
    sources = Path(mcrelu.__file__).parent.rglob("*.py")
    readers = [path.name for path in sources if "pyarrow.parquet" in path.read_text()]
    assert readers == ["parquet.py"]


def test_a_digest_is_of_values_however_they_lie() -> None:
    half = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 1)])
    assert digest(half) == digest(TABLE)
    padded = pa.concat_tables([TABLE, TABLE]).combine_chunks()
    assert digest(padded.slice(1, 2)) == digest(pa.concat_tables([TABLE[1:], TABLE[:1]]))
    assert digest(table_of(parquet_of(TABLE).to_pybytes())) == digest(TABLE)
    assert digest(TABLE.slice(0, 0)) == digest(TABLE.schema.empty_table())


LISTS = pa.table({"losses": [[1.0, 2.0], [3.0]], "name": ["ab", "c"], "on": [True, False]})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TABLE, TABLE.rename_columns(["width", "estimate", "label"])),
        (TABLE, TABLE.set_column(0, "width", pa.array([4, 8], pa.int32()))),
        (TABLE, TABLE.set_column(1, "estimate", pa.array([0.5, 0.0]))),
        (TABLE, TABLE.set_column(2, "name", pa.array(["ab", ""]))),
        (TABLE, TABLE.set_column(2, "name", pa.array(["a", None]))),
        (TABLE.slice(0, 1), TABLE),
        (LISTS, LISTS.set_column(0, "losses", pa.array([[1.0], [2.0, 3.0]]))),
        (LISTS, LISTS.set_column(0, "losses", pa.array([[1.0, 2.0], [4.0]]))),
        (LISTS, LISTS.set_column(1, "name", pa.array(["a", "bc"]))),
        (LISTS, LISTS.set_column(2, "on", pa.array([True, True]))),
    ],
)
def test_a_digest_tells_tables_apart(one: pa.Table, other: pa.Table) -> None:
    assert digest(one) != digest(other)


@pytest.mark.parametrize("start", [20, 60, -10])
def test_damage_is_one_of_the_known_errors(start: int) -> None:
    content = bytearray(parquet_of(TABLE).to_pybytes())
    content[start] ^= 0xFF
    with pytest.raises(DAMAGED):
        table_of(bytes(content))
