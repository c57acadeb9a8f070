"""Trainings of the star experiment as checkpoints, which outputs of any age have alike."""

from __future__ import annotations

import hashlib
import io
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from star_sweeps import star_sweep

from mcrelu.experiments.star.training import Training
from mcrelu.problems.r_d import NEVER, Info, Layer, State
from mcrelu.store.checkpoints import latest_checkpoint, publish_checkpoint
from mcrelu.store.files import Files
from mcrelu.store.shards import identity
from mcrelu.sweep.cell import Provenance

BLOCK = next(star_sweep().all_blocks())
PROVENANCE = Provenance(seed=5, rng="philox", block_size=2, streams="")


def training(kind: type, width: int = 6, depth: int = 1) -> Training:
    rng = np.random.default_rng(depth)
    sizes = [2, *[width] * depth, 1]
    layers = tuple(
        Layer(rng.normal(size=(2, a, b)).astype(kind), rng.normal(size=(2, b)).astype(kind))
        for a, b in pairwise(sizes)
    )
    first = np.array([3, NEVER])
    return Training(State(20_000, layers, Info(first, first[::-1])), rng.random((2, 20)))


def assert_same(one: Training, other: Training) -> None:
    assert one.state.epoch == other.state.epoch
    assert len(one.state.layers) == len(other.state.layers)
    ours, theirs = ([*t.state.info, t.losses, *sum(t.state.layers, ())] for t in (one, other))
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("depth", [1, 2, 11])
def test_what_is_read_is_what_was_written(tmp_path: Path, kind: type, depth: int) -> None:
    files, written = Files.at(tmp_path), training(kind, depth=depth)
    publish_checkpoint(files, BLOCK, PROVENANCE, written.checkpoint())
    read = latest_checkpoint(files, BLOCK, PROVENANCE, most=20_000)
    assert read is not None
    assert_same(Training.of(read), written)


def test_the_archive_is_that_of_older_outputs(tmp_path: Path) -> None:
    written = training(np.float64)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        identity=np.array(json.dumps(identity(BLOCK, PROVENANCE))),
        epoch=np.array(20_000),
        first_kink_change=written.state.info.first_kink_change,
        first_loss_crossing=written.state.info.first_loss_crossing,
        losses=written.losses,
        weight_0=written.state.layers[0].weight,
        bias_0=written.state.layers[0].bias,
        weight_1=written.state.layers[1].weight,
        bias_1=written.state.layers[1].bias,
    )
    content, files = buffer.getvalue(), Files.at(tmp_path)
    name = f"0000020000-{hashlib.blake2b(content, digest_size=8).hexdigest()}.npz"
    files.publish(f"checkpoints/{BLOCK.cell.id}/{BLOCK.index:06d}/{name}", content)
    read = latest_checkpoint(files, BLOCK, PROVENANCE, most=20_000)
    assert read is not None
    assert_same(Training.of(read), written)
    publish_checkpoint(files, BLOCK, PROVENANCE, written.checkpoint())
    (path,) = tmp_path.rglob("*.npz")
    assert path.read_bytes() == content
