"""Tables in files: read back equal, without Arrow's threads, and damage is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mcrelu
from mcrelu.store.parquet import DAMAGED, parquet_of, table_of

TABLE = pa.table({"width": [4, 8], "estimate": [0.5, None], "name": ["a", "b"]})


def test_a_table_reads_back_equal() -> None:
    assert table_of(parquet_of(TABLE).to_pybytes()).equals(TABLE)


def test_reading_starts_no_threads_of_arrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """With them some per cent of the processes that read shards abort when they end."""
    asked: list[dict[str, Any]] = []
    read_table = pq.read_table

    def noting(source: Any, **options: Any) -> pa.Table:
        asked.append(options)
        return read_table(source, **options)

    monkeypatch.setattr(pq, "read_table", noting)
    table_of(parquet_of(TABLE).to_pybytes())
    assert [options["use_threads"] for options in asked] == [False]


def test_nobody_else_reads_parquet() -> None:
    sources = Path(mcrelu.__file__).parent.rglob("*.py")
    readers = [path.name for path in sources if "pyarrow.parquet" in path.read_text()]
    assert readers == ["parquet.py"]


@pytest.mark.parametrize("start", [20, 60, -10])
def test_damage_is_one_of_the_known_errors(start: int) -> None:
    content = bytearray(parquet_of(TABLE).to_pybytes())
    content[start] ^= 0xFF
    with pytest.raises(DAMAGED):
        table_of(bytes(content))
