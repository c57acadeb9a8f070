"""Shards: good ones read back, and anything else counts as not there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from small_sweeps import SEED, crossing_cells, made_up_outcome, sweep

from mcrelu.experiments.crossing.rows import crossing_rows
from mcrelu.experiments.crossing.schema import SCHEMA, SCHEMA_VERSION
from mcrelu.problems.one_d import Outcome, StopReason
from mcrelu.rng import stream_version
from mcrelu.store.contents import Contents
from mcrelu.store.files import Files
from mcrelu.store.inventory import CellInventory, take_inventory
from mcrelu.store.output import Output
from mcrelu.store.parquet import digest
from mcrelu.store.shards import (
    Shard,
    checksum,
    identity,
    publish_shard,
    shard_name,
    shard_of,
    with_extent,
)
from mcrelu.sweep.cell import Block, Cell, Provenance

PROVENANCE = Provenance(SEED, "philox4x32", 10, stream_version())
SWEEP = sweep(networks=60)
CONTENTS = Contents.of(SWEEP)
(CELL,) = crossing_cells(SWEEP)
OTHER_CELL: Cell = sweep(cells={"width": [8]}).cells[0]
BLOCKS = list(SWEEP.all_blocks())
BLOCK = BLOCKS[1]
NOTES = {"host": "somewhere", "attempt": "2"}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files.at(tmp_path)


def rows_of(block: Block, seed: int = 1) -> pa.Table:
    """Made-up rows of a block, the same for the same seed."""
    return crossing_rows(block, np.full(block.networks, 0.25), made_up_outcome(block, seed))


def publish(
    files: Files, block: Block = BLOCK, provenance: Provenance = PROVENANCE, seed: int = 1
) -> pa.Table:
    rows = rows_of(block, seed)
    publish_shard(files, block, shard_of(block, provenance, rows, NOTES))
    return rows


def raw(files: Files, block: Block = BLOCK) -> bytes:
    content = files.read(shard_name(block))
    assert content is not None
    return content


def read_shard(files: Files, block: Block = BLOCK) -> pa.Table | None:
    """The rows in the shard of a block, None if it is not good."""
    content = files.read(shard_name(block))
    wanted = with_extent(identity(block, PROVENANCE), block.cell.extent())
    if content is None:
        return None
    with Shard.of(content) as shard:
        return shard.block(wanted)


def inventory(files: Files, contents: Contents = CONTENTS) -> CellInventory:
    return take_inventory(files, contents).cells[CELL.id]


def is_missing(files: Files) -> bool:
    """Whether the block counts as not there, which both readers must agree on."""
    absent = read_shard(files) is None
    taken = take_inventory(files, CONTENTS)
    assert taken.cells[CELL.id].good[BLOCK.index] == (not absent)
    there = files.read(shard_name(BLOCK)) is not None
    assert taken.refused == ([shard_name(BLOCK)] if there and absent else [])
    return absent


# --- good shards ----------------------------------------------------------------------------


def test_a_good_shard_reads_back_equal(files: Files) -> None:
    rows = publish(files)
    read = read_shard(files)
    assert read is not None
    assert read.equals(rows)
    assert read.schema.equals(SCHEMA)
    assert not is_missing(files)


def test_its_place_is_fixed_by_the_block(files: Files, tmp_path: Path) -> None:
    publish(files)
    assert shard_name(BLOCK) == f"shards/{CELL.id}/000001.parquet"
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert paths == [tmp_path / shard_name(BLOCK)]


def test_a_retry_replaces_it(files: Files) -> None:
    publish(files, seed=1)
    second = publish(files, seed=2)
    assert second.equals(read_shard(files))


def test_metadata_says_what_it_is(files: Files) -> None:
    rows = publish(files)
    metadata = pq.read_metadata(pa.BufferReader(raw(files))).metadata
    named = {key.decode(): value.decode() for key, value in metadata.items()}
    named.pop("ARROW:schema")
    assert named.pop("mcrelu.digest") == digest(rows)
    assert named == {
        "mcrelu.host": "somewhere",
        "mcrelu.attempt": "2",
        "mcrelu.schema": str(SCHEMA_VERSION),
        "mcrelu.cell": CELL.id,
        "mcrelu.block": "1",
        "mcrelu.networks": "10",
        "mcrelu.seed": str(SEED),
        "mcrelu.rng": "philox4x32",
        "mcrelu.streams": stream_version(),
        "mcrelu.block_size": "10",
    }
    said = {key.removeprefix("mcrelu."): value for key, value in named.items()}
    with Shard.of(raw(files)) as shard:
        assert shard.metadata() == said | {"digest": digest(rows)}


def test_publishing_says_what_lies_there(files: Files) -> None:
    published = publish_shard(files, BLOCK, shard_of(BLOCK, PROVENANCE, rows_of(BLOCK), NOTES))
    assert published == (len(raw(files)), checksum(raw(files)))
    assert len(published.checksum) == 16


def test_notes_cannot_change_the_identity(files: Files) -> None:
    publish_shard(
        files, BLOCK, shard_of(BLOCK, PROVENANCE, rows_of(BLOCK), {"cell": "of somebody else"})
    )
    assert not is_missing(files)


# --- rows -----------------------------------------------------------------------------------


def test_row_contents() -> None:
    block = Block(CELL, 3, 30, 2)
    outcome = Outcome(
        status=np.array([StopReason.CROSSED, StopReason.LOCALLY_CONVERGED], dtype=np.int8),
        stop_iteration=np.array([1000, 4_294_967_295]),
        first_crossing=np.array([17, 0]),
        max_kink=np.array([1.5, 0.25]),
        training_loss=np.array([0.125, np.nan]),
        validation_loss=np.array([np.inf, 1e-300]),
    )
    rows = crossing_rows(block, np.array([0.5, 0.75]), outcome).to_pylist()
    common = {
        "cell": CELL.id,
        "block": 3,
        "width": 4,
        "offset": 0.0,
        "optimizer": "gd",
        "step_rule": "inv_lambda_max",
        "init": "he",
        "leaky_slope": CELL.leaky_slope,
        "engine": CELL.engine,
    }
    assert rows[0] == common | {
        "network": 30,
        "status": 3,
        "stop_iteration": 1000,
        "first_crossing": 17,
        "max_kink": 1.5,
        "step_size": 0.5,
        "training_loss": 0.125,
        "validation_loss": np.inf,
    }
    assert np.isnan(rows[1].pop("training_loss"))
    assert rows[1] == common | {
        "network": 31,
        "status": 4,
        "stop_iteration": 4_294_967_295,
        "first_crossing": None,
        "max_kink": 0.25,
        "step_size": 0.75,
        "validation_loss": 1e-300,
    }


def test_only_a_crossing_that_never_was_is_null(files: Files) -> None:
    publish(files)
    read = read_shard(files)
    assert read is not None
    crossed = read["status"].to_numpy() == StopReason.CROSSED
    assert 0 < crossed.sum() < 10
    nulls = {name: read[name].null_count for name in read.column_names}
    assert nulls.pop("first_crossing") == (~crossed).sum()
    assert set(nulls.values()) == {0}
    assert [value is None for value in read["first_crossing"].to_pylist()] == list(~crossed)


def test_types_are_as_narrow_as_the_values_allow() -> None:
    name = pa.string()
    assert {field.name: field.type for field in SCHEMA} == {
        "cell": name,
        "block": pa.uint32(),
        "network": pa.uint32(),
        "width": pa.uint32(),
        "offset": pa.float64(),
        "optimizer": name,
        "step_rule": name,
        "init": name,
        "leaky_slope": pa.float64(),
        "engine": name,
        "status": pa.uint8(),
        "stop_iteration": pa.uint32(),
        "first_crossing": pa.uint32(),
        "max_kink": pa.float64(),
        "step_size": pa.float64(),
        "training_loss": pa.float64(),
        "validation_loss": pa.float64(),
    }


# --- bad shards -----------------------------------------------------------------------------


def test_no_shard_is_missing(files: Files) -> None:
    assert is_missing(files)


def test_a_truncated_shard_is_missing(files: Files) -> None:
    publish(files)
    content = raw(files)
    lengths = {*range(16), *range(0, len(content), 97), *range(len(content) - 16, len(content))}
    for length in sorted(lengths):
        files.publish(shard_name(BLOCK), content[:length])
        assert is_missing(files), f"{length} of {len(content)} bytes"


def test_a_longer_shard_is_missing(files: Files) -> None:
    publish(files)
    files.publish(shard_name(BLOCK), raw(files) + b"more")
    assert is_missing(files)


def test_a_flipped_byte_never_changes_a_row(files: Files) -> None:
    """Whatever byte it is: the shard is missing, or its rows are what they were."""
    rows = publish(files)
    content = raw(files)
    outcomes = []
    for place in range(0, len(content), 5):
        flipped = bytearray(content)
        flipped[place] ^= 0xFF
        files.publish(shard_name(BLOCK), bytes(flipped))
        read = read_shard(files)
        assert read is None or read.equals(rows), f"byte {place}"
        outcomes.append(read is None)
    assert np.mean(outcomes) > 0.5


@pytest.mark.parametrize(
    "column", ["status", "stop_iteration", "first_crossing", "max_kink", "validation_loss"]
)
def test_a_flipped_byte_in_the_values_is_noticed(files: Files, column: str) -> None:
    publish(files)
    content = bytearray(raw(files))
    place = pq.read_metadata(pa.BufferReader(raw(files))).row_group(0)
    chunk = place.column(SCHEMA.get_field_index(column))
    content[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0x01
    files.publish(shard_name(BLOCK), bytes(content))
    assert is_missing(files)


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1", b"PAR1PAR1", b"Not a shard at all.\n" * 100, bytes(5000)],
    ids=["empty", "magic", "two magics", "text", "zeros"],
)
def test_another_file_is_missing(files: Files, content: bytes) -> None:
    files.publish(shard_name(BLOCK), content)
    assert is_missing(files)


def parquet(table: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    return buffer.getvalue().to_pybytes()


def test_somebody_elses_parquet_is_missing(files: Files) -> None:
    files.publish(shard_name(BLOCK), parquet(pa.table({"x": range(10)})))
    assert is_missing(files)


def test_rows_without_an_identity_are_missing(files: Files) -> None:
    files.publish(shard_name(BLOCK), parquet(rows_of(BLOCK)))
    assert is_missing(files)


def test_metadata_that_is_no_text_is_missing(files: Files) -> None:
    table = rows_of(BLOCK).replace_schema_metadata({b"mcrelu.cell": b"\xff\xfe"})
    files.publish(shard_name(BLOCK), parquet(table))
    assert is_missing(files)


OTHER_ROWS: dict[str, pa.Table] = {
    "other columns": pa.table({"zebra": range(10)}),
    "other types": pa.table({name: ["x"] * 10 for name in SCHEMA.names}),
    "fewer rows": rows_of(BLOCK).slice(0, 9),
    "more rows": pa.concat_tables([rows_of(BLOCK), rows_of(BLOCK).slice(0, 1)]),
}


@pytest.mark.parametrize("rows", OTHER_ROWS.values(), ids=OTHER_ROWS.keys())
def test_other_rows_are_not_published(files: Files, rows: pa.Table) -> None:
    with pytest.raises(ValueError, match="schema of its experiment"):
        publish_shard(files, BLOCK, shard_of(BLOCK, PROVENANCE, rows, NOTES))
    assert files.read(shard_name(BLOCK)) is None


@pytest.mark.parametrize("rows", OTHER_ROWS.values(), ids=OTHER_ROWS.keys())
def test_the_right_identity_on_other_rows_is_missing(files: Files, rows: pa.Table) -> None:
    publish(files)
    metadata = pq.read_schema(pa.BufferReader(raw(files))).metadata
    files.publish(shard_name(BLOCK), parquet(rows.replace_schema_metadata(metadata)))
    assert is_missing(files)


FOREIGN: dict[str, tuple[Block, Provenance]] = {
    "another cell": (dataclasses.replace(BLOCK, cell=OTHER_CELL), PROVENANCE),
    "another block": (Block(CELL, 2, 20, 10), PROVENANCE),
    "another seed": (BLOCK, dataclasses.replace(PROVENANCE, seed=SEED + 1)),
    "another rng": (BLOCK, dataclasses.replace(PROVENANCE, rng="legacy")),
    "other streams": (BLOCK, dataclasses.replace(PROVENANCE, streams="0")),
    "another block size": (BLOCK, dataclasses.replace(PROVENANCE, block_size=20)),
    "a shorter one": (Block(CELL, 1, 10, 9), PROVENANCE),
    "a longer one": (Block(CELL, 1, 10, 11), PROVENANCE),
}


@pytest.mark.parametrize(("block", "provenance"), FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_shard_is_missing(files: Files, block: Block, provenance: Provenance) -> None:
    publish(files, block, provenance)
    files.publish(shard_name(BLOCK), raw(files, block))
    assert is_missing(files)
    publish(files)
    assert not is_missing(files)  # and it can be replaced


def test_a_shard_of_another_schema_is_missing(files: Files) -> None:
    publish(files)
    later = dataclasses.replace(CONTENTS, schema_version=SCHEMA_VERSION + 1)
    assert inventory(files).good[BLOCK.index]
    assert not inventory(files, later).good.any()


def test_fewer_rows_than_the_metadata_says_is_missing(files: Files) -> None:
    publish(files)
    fewer = rows_of(BLOCK).slice(0, 9)
    metadata = pq.read_schema(pa.BufferReader(raw(files))).metadata
    metadata[b"mcrelu.digest"] = digest(fewer).encode()
    files.publish(shard_name(BLOCK), parquet(fewer.replace_schema_metadata(metadata)))
    assert is_missing(files)


# --- cells ----------------------------------------------------------------------------------


def publish_blocks(files: Files, present: list[int]) -> None:
    for index in present:
        publish(files, BLOCKS[index], seed=index)


@pytest.mark.parametrize(
    ("present", "counted"),
    [
        ([], 0),
        ([0], 1),
        ([0, 1, 2, 3, 4, 5], 6),
        ([1, 2, 3, 4, 5], 0),
        ([0, 1, 3, 4, 5], 2),
        ([0, 2, 4], 1),
        ([0, 1, 2, 3, 4], 5),
    ],
)
def test_blocks_behind_a_gap_are_never_counted(
    files: Files, present: list[int], counted: int
) -> None:
    publish_blocks(files, present)
    output = Output(files, CONTENTS, SWEEP)
    prefix = output.networks(CELL)
    assert prefix["network"].to_pylist() == list(range(10 * counted))
    assert prefix.schema.equals(SCHEMA)
    assert inventory(files).prefix() == counted
    missing = [block.index for block in output.missing()]
    assert missing == [index for index in range(6) if index not in present]


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-1], lambda _: b"", lambda _: b"text"],
    ids=["torn", "empty", "text"],
)
def test_a_bad_shard_is_a_gap(files: Files, damage: Callable[[bytes], bytes]) -> None:
    publish_blocks(files, list(range(6)))
    files.publish(shard_name(BLOCKS[2]), damage(raw(files, BLOCKS[2])))
    output = Output(files, CONTENTS, SWEEP)
    assert output.networks(CELL).num_rows == 20
    assert output.missing() == [BLOCKS[2]]
    assert output.reader().refused == [shard_name(BLOCKS[2])]


def test_the_prefix_holds_the_rows_in_index_order(files: Files) -> None:
    publish_blocks(files, [5, 3, 1, 0, 2, 4])
    expected = pa.concat_tables(rows_of(block, seed=block.index) for block in BLOCKS)
    assert Output(files, CONTENTS, SWEEP).networks(CELL).equals(expected)


def test_temporary_files_are_no_shards(files: Files, tmp_path: Path) -> None:
    publish_blocks(files, [0])
    stray = tmp_path / shard_name(BLOCKS[1])
    stray.with_name(".0123456789abcdef.tmp").write_bytes(raw(files, BLOCKS[0]))
    assert Output(files, CONTENTS, SWEEP).networks(CELL).num_rows == 10


def test_pyarrow_reads_the_folder_as_it_lies(files: Files, tmp_path: Path) -> None:
    publish_blocks(files, list(range(6)))
    publish(files, dataclasses.replace(BLOCK, cell=OTHER_CELL))
    (tmp_path / "shards" / CELL.id / ".0123456789abcdef.tmp").write_bytes(b"left behind")
    data = pyarrow.dataset.dataset(tmp_path / "shards", format="parquet")
    assert data.schema.remove_metadata().equals(SCHEMA)
    table = data.to_table()
    assert table.num_rows == 70
    ours = table.filter(pyarrow.dataset.field("cell") == CELL.id).sort_by("network")
    assert ours["network"].to_pylist() == list(range(60))
