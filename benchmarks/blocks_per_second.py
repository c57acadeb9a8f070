"""How many tiny blocks per second go through Ray: what a block costs besides its training.

``python -m benchmarks.blocks_per_second --blocks 20000 --workers 2``
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from mcrelu.runtime.executors import executor_starter
from mcrelu.runtime.progress import Silent, Tally
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.sweep.sweep import Sweep


class Watch(Silent):
    """Notes when the first and the last block were done, and the driver's memory meanwhile."""

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None  # blocks done, and when
        self.last = (0, 0.0)
        self.memory: dict[int, int] = {}  # MiB, by percentage of blocks done

    def update(self, tally: Tally) -> None:
        """Look at the tally."""
        self.last = (tally.blocks_done, time.perf_counter())
        if self.first is None and tally.blocks_done:
            self.first = self.last
        for part in (0, 50, 100):
            if part not in self.memory and 100 * tally.blocks_done >= part * tally.blocks:
                self.memory[part] = resident_mebibytes()

    @property
    def rate(self) -> float:
        """Blocks per second, the start of Ray and the compilation of kernels left out."""
        assert self.first is not None
        (before, started), (after, ended) = self.first, self.last
        return (after - before) / (ended - started)


def resident_mebibytes() -> int:
    """Memory that this process has in RAM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS:"))
    return int(line.split()[1]) // 1024


def tiny_sweep(blocks: int, networks_per_block: int, width: int) -> Sweep:
    """A sweep of one cell whose blocks take a few milliseconds."""
    return Sweep.of(
        {
            "version": 1,
            "experiment": "crossing",
            "seed": 1,
            "networks": blocks * networks_per_block,
            "block_size": networks_per_block,
            "cells": {"width": [width]},
            "stop": ["crossing"],
            "checks": {"interval": 10, "maximum": 1},
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=20_000)
    parser.add_argument("--networks-per-block", type=int, default=1)
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    sweep = tiny_sweep(asked.blocks, asked.networks_per_block, asked.width)
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        start = executor_starter("ray", folder, workers=asked.workers)
        do_sweep(Output.claim(Files.at(folder), sweep), start, watch)
    memory = ", ".join(f"{size} MiB at {part} %" for part, size in watch.memory.items())
    print(f"{watch.rate:.0f} blocks/s; driver: {memory}")


if __name__ == "__main__":
    main()
