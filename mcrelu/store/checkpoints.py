"""Checkpoints: where the training of a block stands, so that it can go on from there.

One archive of plain arrays per block, checkpoints/<cell>/<block>/<epoch>-<digest>.npz. A newer one
is there before the older one goes. The digest of its bytes guards what the archive itself does not.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcrelu.store.files import Files, OversizedError
from mcrelu.store.npz import DAMAGED, arrays_in
from mcrelu.store.shards import identity
from mcrelu.sweep.cell import Block, Provenance
from mcrelu.types import Bools

CHECKPOINTS = "checkpoints"

_IDENTITY, _EPOCH = "identity", "epoch"
_NAME = re.compile(r"[0-9]{10}-[0-9a-f]{16}\.npz")
_PATH = re.compile(rf"([0-9a-f]{{16}})/([0-9]{{6,9}})/({_NAME.pattern})")
_OVERHEAD = 2**26  # bytes of an archive beside what is trained: losses, names


class Checkpoint(NamedTuple):
    """A training at some time."""

    epoch: int  # steps done
    arrays: dict[str, NDArray[Any]]  # by any names but ``identity`` and ``epoch``


def publish_checkpoint(
    files: Files, block: Block, provenance: Provenance, checkpoint: Checkpoint
) -> None:
    """Write a checkpoint, then remove older ones of the block.

    Newer ones stay: another worker may do the same block, and be ahead.
    """
    arrays: dict[str, Any] = {
        _IDENTITY: np.array(json.dumps(identity(block, provenance))),
        _EPOCH: np.array(checkpoint.epoch),
        **checkpoint.arrays,
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    folder, content = _folder(block), buffer.getvalue()
    files.publish(f"{folder}/{checkpoint.epoch:010d}-{_digest(content)}.npz", content)
    for other in _names(files, folder):
        if _epoch(other) < checkpoint.epoch:
            files.delete(f"{folder}/{other}")


def latest_checkpoint(
    files: Files, block: Block, provenance: Provenance, most: int
) -> Checkpoint | None:
    """The newest whole checkpoint of a block that is at most so many epochs old; None without."""
    folder = _folder(block)
    for name in reversed(_names(files, folder)):
        if _epoch(name) <= most:
            found = _read(files, f"{folder}/{name}", block, provenance)
            if found is not None:
                return found
    return None


def begun_blocks(files: Files, done: Mapping[str, Bools]) -> list[int]:
    """The newest epochs of blocks that have a checkpoint, good or not, and are not done.

    ``done`` says by cell id which of its blocks are.
    """
    return [
        epoch
        for (cell, block), epoch in newest_epochs(files).items()
        if cell in done and not done[cell][block : block + 1]
    ]


def newest_epochs(files: Files) -> dict[tuple[str, int], int]:
    """The newest epoch of each block that has a checkpoint, good or not, by cell id and index."""
    newest: dict[tuple[str, int], int] = {}
    for path in files.sizes(CHECKPOINTS):
        if parts := _PATH.fullmatch(path):
            key = parts[1], int(parts[2])
            newest[key] = max(newest.get(key, 0), _epoch(parts[3]))
    return newest


def _folder(block: Block) -> str:
    return f"{CHECKPOINTS}/{block.cell.id}/{block.index:06d}"


def _read(files: Files, name: str, block: Block, provenance: Provenance) -> Checkpoint | None:
    """A checkpoint, None if it is torn, or of another sweep or another number of networks."""
    most = _OVERHEAD + block.cell.memory(block.networks)
    try:
        content = files.read(name, most)
        if content is None or not name.endswith(f"-{_digest(content)}.npz"):
            return None
        arrays = arrays_in(content, most)
        if json.loads(str(arrays.pop(_IDENTITY))) != identity(block, provenance):
            return None
        return Checkpoint(int(arrays.pop(_EPOCH)), arrays)
    except (*DAMAGED, OversizedError, KeyError, TypeError):
        return None


def _names(files: Files, folder: str) -> list[str]:
    return [name for name in files.names(folder) if _NAME.fullmatch(name)]


def _epoch(name: str) -> int:
    return int(name.partition("-")[0])


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
