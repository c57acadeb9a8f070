"""Checkpoints of blocks: whole, of the right sweep, and one at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from star_sweeps import star_sweep

from mcrelu.store.checkpoints import (
    Checkpoint,
    begun_blocks,
    latest_checkpoint,
    publish_checkpoint,
)
from mcrelu.store.files import Files
from mcrelu.sweep.cell import Block, Provenance
from mcrelu.types import Array

BLOCK = next(star_sweep().all_blocks())
PROVENANCE = Provenance(seed=5, rng="philox", block_size=2, streams="")


def checkpoint(epoch: int) -> Checkpoint:
    rng = np.random.default_rng(epoch)
    arrays: dict[str, Array] = {
        "weights": rng.normal(size=(2, 3)),
        "single": rng.normal(size=(2, 1)).astype(np.float32),
        "counts": rng.integers(100, size=5),
        "nothing": np.empty((2, 0)),
    }
    return Checkpoint(epoch, arrays)


def same(one: Checkpoint, other: Checkpoint) -> bool:
    return (one.epoch, one.arrays.keys()) == (other.epoch, other.arrays.keys()) and all(
        array.dtype == other.arrays[name].dtype and np.array_equal(array, other.arrays[name])
        for name, array in one.arrays.items()
    )


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files.at(tmp_path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.npz"))


def test_what_is_read_is_what_was_written(files: Files) -> None:
    written = checkpoint(20_000)
    publish_checkpoint(files, BLOCK, PROVENANCE, written)
    read = latest_checkpoint(files, BLOCK, PROVENANCE, most=20_000)
    assert read is not None
    assert same(read, written)
    assert not same(read, checkpoint(30_000))


def begun(files: Files) -> list[int]:
    """Epochs of blocks that are not done."""
    return begun_blocks(files, {BLOCK.cell.id: np.zeros(1, dtype=bool)})


def test_the_newest_replaces_older_ones(files: Files, tmp_path: Path) -> None:
    for epoch in (10_000, 20_000, 30_000):
        publish_checkpoint(files, BLOCK, PROVENANCE, checkpoint(epoch))
    (name,) = names(tmp_path)
    assert name.startswith("0000030000-")
    assert begun(files) == [30_000]
    assert begun_blocks(files, {BLOCK.cell.id: np.array([True])}) == []  # it is done


def test_a_slow_twin_does_not_take_a_block_back(files: Files, tmp_path: Path) -> None:
    """Two workers may do a block at a time, if one was thought dead."""
    for epoch in (10_000, 20_000, 30_000):
        publish_checkpoint(files, BLOCK, PROVENANCE, checkpoint(epoch))
    publish_checkpoint(files, BLOCK, PROVENANCE, checkpoint(20_000))
    read = latest_checkpoint(files, BLOCK, PROVENANCE, most=10**6)
    assert read is not None
    assert same(read, checkpoint(30_000))
    publish_checkpoint(files, BLOCK, PROVENANCE, checkpoint(40_000))
    (name,) = names(tmp_path)
    assert name.startswith("0000040000-")


def test_another_of_the_same_epoch_stays(files: Files, tmp_path: Path) -> None:
    """It may be that of a run with other networks; which of them is read, its identity says."""
    other = Block(BLOCK.cell, BLOCK.index, BLOCK.first, BLOCK.networks - 1)
    for block in (BLOCK, other):
        publish_checkpoint(files, block, PROVENANCE, checkpoint(10_000))
    assert len(names(tmp_path)) == 2
    for block in (BLOCK, other):
        assert latest_checkpoint(files, block, PROVENANCE, most=10_000) is not None


def test_none_is_taken_from_beyond_the_end(files: Files) -> None:
    publish_checkpoint(files, BLOCK, PROVENANCE, checkpoint(20_000))
    assert latest_checkpoint(files, BLOCK, PROVENANCE, most=19_999) is None


def test_where_there_is_none_there_is_none(files: Files) -> None:
    assert latest_checkpoint(files, BLOCK, PROVENANCE, most=10**6) is None


@pytest.mark.parametrize(
    ("block", "provenance"),
    [
        (BLOCK, replace(PROVENANCE, seed=6)),
        (BLOCK, replace(PROVENANCE, block_size=3)),
        (Block(BLOCK.cell, 0, 0, 1), PROVENANCE),
    ],
    ids=["seed", "block size", "networks"],
)
def test_one_of_another_run_is_none(files: Files, block: Block, provenance: Provenance) -> None:
    publish_checkpoint(files, BLOCK, PROVENANCE, checkpoint(10_000))
    assert latest_checkpoint(files, block, provenance, most=10**6) is None


@pytest.mark.parametrize("kept", [0, 10, 500, -1])
def test_a_torn_one_is_none_and_the_older_one_serves(
    files: Files, tmp_path: Path, kept: int
) -> None:
    publish_checkpoint(files, BLOCK, PROVENANCE, checkpoint(10_000))
    (older,) = tmp_path.rglob("*.npz")
    content = older.read_bytes()
    publish_checkpoint(files, BLOCK, PROVENANCE, checkpoint(20_000))
    (newer,) = tmp_path.rglob("*.npz")
    newer.write_bytes(newer.read_bytes()[:kept])
    assert latest_checkpoint(files, BLOCK, PROVENANCE, most=10**6) is None
    older.write_bytes(content)  # as if the run had died between writing and removing
    read = latest_checkpoint(files, BLOCK, PROVENANCE, most=10**6)
    assert read is not None
    assert same(read, checkpoint(10_000))


def test_a_flipped_bit_is_noticed_anywhere(files: Files, tmp_path: Path) -> None:
    publish_checkpoint(files, BLOCK, PROVENANCE, checkpoint(10_000))
    (path,) = tmp_path.rglob("*.npz")
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert latest_checkpoint(files, BLOCK, PROVENANCE, most=10**6) is None


def test_other_files_are_passed_over(files: Files, tmp_path: Path) -> None:
    publish_checkpoint(files, BLOCK, PROVENANCE, checkpoint(10_000))
    (path,) = tmp_path.rglob("*.npz")
    for name in ("notes.npz", "9999999999.npz", "README"):
        (path.parent / name).write_bytes(b"")
    assert begun(files) == [10_000]
    assert latest_checkpoint(files, BLOCK, PROVENANCE, most=10**6) is not None
