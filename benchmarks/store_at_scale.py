"""How the store does with very many blocks: status, resume, reduce, check.

    python -m benchmarks.store_at_scale --blocks 100000 --rows 1 --folder /somewhere/with/room

makes up an output of so many blocks of one cell, with the manifest that a driver would have
written, and times what reads it, each in a process of its own, with that process's peak memory.
Shards are written without waiting for the disk, so making them up says nothing about how fast runs
are.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from mcrelu.experiments.base import experiment_of
from mcrelu.experiments.crossing.rows import crossing_rows
from mcrelu.problems.one_d import Outcome, StopReason
from mcrelu.runtime.task import BlockDone
from mcrelu.runtime.work import work_of
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.reduce import reduce
from mcrelu.store.shards import publish_shard, shard_of
from mcrelu.sweep.sweep import Sweep

CHUNK = 500  # blocks that a process makes up at a time
SEGMENTS = 40  # of the manifest
ACTIONS = ("status", "resume", "reduce", "check")


def main() -> None:
    """Make up an output, then time what reads it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=1, help="networks per block")
    parser.add_argument("--folder", type=Path, default=Path("store-at-scale"))
    parser.add_argument("--keep", action="store_true", help="leave the output there")
    parser.add_argument("--actions", nargs="+", choices=ACTIONS, default=ACTIONS)
    parser.add_argument("--do", choices=ACTIONS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.do:
        act(given.do, given.folder)
        return
    if not (given.folder / "cells.json").exists():
        started = time.perf_counter()
        make_up(given.folder, given.blocks, given.rows)
        print(f"{given.blocks} blocks of {given.rows} made up in {since(started):.0f} s")
    for action in given.actions:
        command = [sys.executable, "-m", "benchmarks.store_at_scale", "--do", action]
        subprocess.run([*command, "--folder", str(given.folder)], check=True)
    if not given.keep:
        shutil.rmtree(given.folder)


def act(action: str, folder: Path) -> None:
    """Do one thing and say what it took."""
    started = time.perf_counter()
    output = Output.open(Files.at(folder))
    imported = since(started)
    started = time.perf_counter()
    if action == "status":
        said = f"{output.inventory().cells[output.cells[0].id].good.sum()} good"
    elif action == "resume":
        said = f"next block: {work_of(output.sweep, output.inventory()).next()}"
    elif action == "reduce":
        said = f"{reduce(output).tables['cells']['networks'].to_pylist()} networks"
    else:
        said = f"{len(output.reader().damaged())} damaged"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{action:7s} {since(started):7.2f} s, {peak:5.0f} MB at most; {said} ({imported:.2f} s)")


def make_up(folder: Path, blocks: int, rows: int) -> None:
    """An output with all of its blocks."""
    spec = {
        "version": 1,
        "experiment": "crossing",
        "seed": 1,
        "networks": blocks * rows,
        "cells": {"width": [16]},
        "stop": ["crossing", "sufficient"],
        "block_size": rows,
    }
    sweep = Sweep.of(spec)
    output = Output.claim(Files.at(folder), sweep)
    output.take()
    chunks = [range(k, min(k + CHUNK, blocks)) for k in range(0, blocks, CHUNK)]
    every = max(1, len(chunks) // SEGMENTS)
    with ProcessPoolExecutor() as pool:
        made = pool.map(make_up_blocks, [str(folder)] * len(chunks), [spec] * len(chunks), chunks)
        for k, done in enumerate(made, 1):
            for one in done:
                output.manifest.add(one.entry)
            if k % every == 0:
                output.manifest.flush()
    output.manifest.flush()


def make_up_blocks(folder: str, spec: dict[str, object], indices: range) -> list[BlockDone]:
    """Publish blocks with statuses made up."""
    sweep, files = Sweep.of(spec), Quick.at(folder)
    cell = sweep.cells[0]
    done = []
    for index in indices:
        block = sweep.block(cell, index)
        rng = np.random.default_rng([1, index])
        status = rng.choice([StopReason.CROSSED, StopReason.LOCALLY_CONVERGED], block.networks)
        crossing = np.where(status == StopReason.CROSSED, rng.integers(1, 9000, len(status)), 0)
        losses = rng.random((3, len(status)))
        outcome = Outcome(status.astype(np.int8), 1000 + 0 * crossing, crossing, *losses)
        rows = crossing_rows(block, rng.random(len(status)), outcome)
        shard = publish_shard(
            files, block, shard_of(block, sweep.provenance(cell), rows, {"attempt": "1"})
        )
        done.append(BlockDone(block, 0.0, shard, experiment_of(cell).summary(rows)))
    return done


class Quick(Files):
    """Files that are written without waiting for the disk."""

    def publish(self, name: str, content: object) -> None:
        """Write a file."""
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(memoryview(content))  # type: ignore[arg-type]


def since(started: float) -> float:
    """Seconds since a time."""
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
