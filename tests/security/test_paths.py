"""Places that an output may be at, and names in it that lead nowhere else."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from small_sweeps import run_serially, sweep

from mcrelu.errors import UserError
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.reduce import reduce, refused_in, written_tables
from mcrelu.store.shards import is_shard
from mcrelu.store.uris import SCHEMES

CELL = "0123456789abcdef"


@pytest.mark.parametrize("scheme", ["mock", "subtree", "slow", "http", "ftp", "javascript"])
def test_other_stores_are_refused_with_those_that_there_are(scheme: str) -> None:
    with pytest.raises(UserError, match=f"kind {scheme}://") as caught:
        Files.at(f"{scheme}://bucket/run")
    assert all(known in str(caught.value) for known in SCHEMES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["a\0b", "file:///tmp/a%00b", "s3://bucket/a%00b"])
def test_zero_bytes(where: str) -> None:
    with pytest.raises(UserError, match="has a zero byte"):
        Files.at(where)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"shards/{CELL}/000000.parquet", True),
        (f"shards/{CELL}/000000-000007.parquet", True),
        (f"shards/{CELL}/../../000000.parquet", False),
        (f"/shards/{CELL}/000000.parquet", False),
        ("shards/../000000.parquet", False),
        (f"shards/{CELL}/000000.parquet\n", False),
        (f"shards/{CELL}/\0.parquet", False),
        ("../../../etc/passwd", False),
        (f"tables/{CELL}/000000.parquet", False),
        (7, False),
        (None, False),
    ],
)
def test_names_of_shards(name: object, expected: bool) -> None:
    assert is_shard(name) is expected


@pytest.mark.parametrize(
    "noted",
    [b'["../../../etc/passwd", "/etc/passwd", "\\u0000", 7, ["x"]]', b"{", b"7", b"[" * 10**5],
)
def test_shards_that_a_table_names(noted: bytes, tmp_path: Path) -> None:
    """They are looked at, so they may be nothing else."""
    output = run_serially(tmp_path, sweep())
    cells: pa.Table = reduce(output).tables["cells"]
    output.publish_table("cells", cells.replace_schema_metadata({b"mcrelu.refused": noted}))
    assert refused_in(written_tables(output)) == []
    assert Output.open(output.files).inventory().refused == []


def test_folders_of_no_cell_count_for_nothing(tmp_path: Path) -> None:
    output = run_serially(tmp_path, sweep())
    for folder in ("shards/..x/y", "checkpoints/a/b", f"checkpoints/{CELL}/many"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "000000.parquet").write_bytes(b"x")
        (tmp_path / folder / f"0000000001-{CELL}.npz").write_bytes(b"x")
    assert output.missing() == []
