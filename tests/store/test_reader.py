"""The rows that count: verified while they are read, and cut where the sample ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from small_sweeps import flip, output, publish_made_up, sweep

from mcrelu.problems.one_d import StopReason
from mcrelu.stats.sequential import Sample
from mcrelu.store.compact import compact
from mcrelu.store.output import Output
from mcrelu.store.shards import shard_name

COUNTS = [(k, 100) for k in (30, 40, 35, 36, 33, 38, 31, 40)]


def filled(folder: Path, target: float | None, counts: list[tuple[int, int]] = COUNTS) -> Output:
    """An output whose blocks have these counts; nothing of it is in the manifest."""
    stop = ["crossing", "sufficient", *([{"relative_width": target}] if target else [])]
    made = output(folder, sweep(networks=100 * len(COUNTS), block_size=100, stop=stop))
    made.take()
    crossed, stayed = StopReason.CROSSED, StopReason.LOCALLY_CONVERGED
    for block, (k, n) in zip(made.sweep.all_blocks(), counts, strict=False):
        publish_made_up(made, block, [crossed] * k + [stayed] * (n - k))
    return made


def enter(one: Output) -> None:
    one.record(one.inventory().entered)


def merge(one: Output) -> None:
    assert compact(one).files == 1


def leave(one: Output) -> None:
    pass


# Shards that are only listed, that are in the manifest, and that are merged.
STATES = pytest.mark.parametrize("state", [leave, enter, merge])


@STATES
@pytest.mark.parametrize("target", [0.3, 0.5, 0.7, 2.0, None])
def test_the_sample_of_rows_is_cut_at_block_ends(
    target: float | None, state: Callable[[Output], None], tmp_path: Path
) -> None:
    one = filled(tmp_path, target)
    state(one)
    expected = Sample().grown(COUNTS, target)
    (cell,) = one.cells
    parts = list(one.reader().sample(cell, ["block", "status"]))
    assert [part["block"].unique().to_pylist() for part in parts] == [
        [k] for k in range(expected.blocks)
    ]
    status = pa.concat_tables(parts)["status"].to_numpy()
    assert (len(status), (status == StopReason.CROSSED).sum()) == (expected.n, expected.k)
    assert one.samples() == {cell.label: expected}
    assert one.networks(cell)["network"].to_pylist() == list(range(expected.n))


def test_there_is_no_sample_without_blocks(tmp_path: Path) -> None:
    one = filled(tmp_path, 0.5, counts=[])
    (cell,) = one.cells
    assert list(one.reader().sample(cell, ["status"])) == []
    assert one.samples() == {cell.label: Sample()}
    assert one.networks(cell).num_rows == 0


@STATES
def test_columns_are_those_asked_for_in_that_order(
    state: Callable[[Output], None], tmp_path: Path
) -> None:
    one = filled(tmp_path, None)
    state(one)
    (cell,) = one.cells
    for part in one.reader().sample(cell, ["network", "max_kink"]):
        assert part.column_names == ["network", "max_kink"]
        assert part.schema.metadata is None


@pytest.mark.parametrize("state", [leave, enter])
def test_a_damaged_shard_ends_the_sample_and_is_named(
    state: Callable[[Output], None], tmp_path: Path
) -> None:
    one = filled(tmp_path, None)
    state(one)
    name = shard_name(one.sweep.block(one.sweep.cells[0], 3))
    flip(tmp_path / name)
    reader = one.reader()
    (cell,) = one.cells
    parts = list(reader.sample(cell, ["block"]))
    assert len(parts) == 3
    assert reader.refused == [name]


@pytest.mark.parametrize("state", [leave, enter])
def test_a_shard_that_vanishes_while_it_is_read_ends_the_sample(
    state: Callable[[Output], None], tmp_path: Path
) -> None:
    one = filled(tmp_path, None)
    state(one)
    reader = one.reader()
    (tmp_path / shard_name(one.sweep.block(one.sweep.cells[0], 2))).unlink()
    (cell,) = one.cells
    assert len(list(reader.sample(cell, None))) == 2


def test_every_damaged_shard_is_found_also_behind_a_gap(tmp_path: Path) -> None:
    one = filled(tmp_path, 2.0)
    enter(one)
    blocks = list(one.sweep.all_blocks())
    (tmp_path / shard_name(blocks[1])).unlink()
    flip(tmp_path / shard_name(blocks[5]))
    flip(tmp_path / shard_name(blocks[7]))
    assert one.reader().damaged() == [shard_name(blocks[5]), shard_name(blocks[7])]


@STATES
def test_an_entry_does_not_excuse_a_shard_of_another_size(
    state: Callable[[Output], None], tmp_path: Path
) -> None:
    """A shard that was written anew is read, and counted with what it says now."""
    one = filled(tmp_path, None)
    state(one)
    block = one.sweep.block(one.sweep.cells[0], 0)
    publish_made_up(one, block, [StopReason.LOCALLY_CONVERGED])
    (sample,) = one.samples().values()
    assert (sample.k, sample.n) == (sum(k for k, _ in COUNTS[1:]), 800)
