"""Sweeps that take a moment, and what a test wants to know of an output."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike

from mcrelu.experiments.crossing.cell import CrossingCell
from mcrelu.experiments.crossing.rows import crossing_rows
from mcrelu.problems.one_d import Outcome, StopReason
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.store.files import Files
from mcrelu.store.inventory import NOWHERE, CellInventory, Inventory
from mcrelu.store.manifest import Entries
from mcrelu.store.output import Output
from mcrelu.store.shards import NO_FILES, publish_shard, shard_name, shard_of
from mcrelu.sweep.cell import Block
from mcrelu.sweep.sweep import Sweep

SEED = 20200212

_PLAIN: dict[str, Any] = {
    "version": 1,
    "experiment": "crossing",
    "seed": SEED,
    "networks": 25,
    "cells": {"width": [4]},
    "stop": ["crossing", "sufficient"],
    "block_size": 10,
}


def spec(**changes: Any) -> dict[str, Any]:
    """A small valid spec with keys replaced; a key whose value is None is left out."""
    merged = deepcopy(_PLAIN) | changes
    return {key: value for key, value in merged.items() if value is not None}


def sweep(**changes: Any) -> Sweep:
    """The sweep of :func:`spec`."""
    return Sweep.of(spec(**changes))


def crossing_cells(wanted: Sweep) -> list[CrossingCell]:
    """The cells of a sweep of the crossing experiment."""
    return [cell for cell in wanted.cells if isinstance(cell, CrossingCell)]


def output(folder: Path | str, wanted: Sweep) -> Output:
    """The output at a folder or URI, claimed but not written."""
    return Output.claim(Files.at(folder), wanted)


def run_serially(folder: Path | str, wanted: Sweep) -> Output:
    """The output of a sweep that ran in this process."""
    claimed = output(folder, wanted)
    do_sweep(claimed, SerialExecutor)
    return claimed


def rows_of(done: Output) -> dict[str, pa.Table]:
    """All rows of an output, by cell id."""
    return {cell.id: done.networks(cell) for cell in done.sweep.cells}


def assert_same_rows(one: Output, other: Output) -> None:
    """Both outputs hold all networks of the same cells, bit for bit, each network once."""
    assert one.sweep.cells == other.sweep.cells
    assert not one.missing()
    assert not other.missing()
    for cell in one.sweep.cells:
        ours, theirs = one.networks(cell), other.networks(cell)
        assert ours["network"].to_pylist() == list(range(one.sweep.spec.networks))
        assert ours.schema == theirs.schema
        assert_same_columns(ours, theirs)


def assert_same_columns(ours: pa.Table, theirs: pa.Table) -> None:
    """Two tables agree bit for bit; says in which columns they do not."""
    names = ours.column_names
    different = [name for name in names if not ours[name].equals(theirs[name])]
    assert not different
    assert ours.num_rows == theirs.num_rows


def inventory_of(wanted: Sweep, k: Mapping[Block, int] | None = None) -> Inventory:
    """An inventory in which some blocks are good, with these counts, and no others."""
    unsigned, text = np.empty(0, dtype=np.uint32), np.empty(0, dtype=np.bytes_)
    manifest = Entries(unsigned, unsigned, text, unsigned.astype(np.uint64), text, {})
    cells = {}
    for cell in wanted.cells:
        nowhere = np.full(wanted.block_count(cell), NOWHERE)
        good, counts = np.zeros(len(nowhere), dtype=bool), np.zeros_like(nowhere)
        for block, count in (k or {}).items():
            if block.cell == cell:
                good[block.index], counts[block.index] = True, count
        cells[cell.id] = CellInventory(good, {"k": counts}, nowhere, NO_FILES, manifest, nowhere)
    return Inventory(cells, entered=[], refused=[], torn_segments=0)


def shard_files(folder: Path, wanted: Sweep) -> list[Path]:
    """The shards of a sweep that are there, good or not."""
    paths = (folder / shard_name(block) for block in wanted.all_blocks())
    return [path for path in paths if path.exists()]


def publish_made_up(done: Output, block: Block, status: ArrayLike | None = None) -> None:
    """Write the shard of a block that nobody trained, with these statuses over and over if any."""
    outcome = made_up_outcome(block)
    if status is not None:
        outcome = outcome_of(np.resize(status, block.networks))
    rows = crossing_rows(block, np.full(block.networks, 0.5), outcome)
    publish_shard(done.files, block, shard_of(block, done.sweep.provenance(block.cell), rows, {}))


def made_up_outcome(block: Block, seed: int = 1) -> Outcome:
    """An outcome that nobody trained, with some crossings; the same for the same seed."""
    rng = np.random.default_rng([seed, block.index])
    status = np.resize([StopReason.CROSSED, StopReason.LOCALLY_CONVERGED], block.networks)
    return outcome_of(status, rng)


def outcome_of(status: ArrayLike, rng: np.random.Generator | None = None) -> Outcome:
    """An outcome with given statuses and whatever else, crossings where the status says so."""
    rng = rng or np.random.default_rng(1)
    codes = np.asarray(status, dtype=np.int8)
    m = len(codes)
    crossing = np.where(codes == StopReason.CROSSED, rng.integers(1, 5000, m), 0)
    losses = rng.random((3, m))
    return Outcome(codes, rng.integers(5000, 9000, m), crossing, *losses)


def flip(path: Path) -> None:
    """Change a byte of a shard's values, which no listing shows."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = (group.column(k) for k in range(group.num_columns))
    (losses,) = (column for column in columns if column.path_in_schema == "training_loss")
    content = bytearray(path.read_bytes())
    content[losses.data_page_offset + losses.total_compressed_size - 8] ^= 0xFF
    path.write_bytes(content)
