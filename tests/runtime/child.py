"""A run in a process of its own, which can be caught at a given point and killed there.

``python child.py SPEC OUT EXECUTOR [WHERE AFTER READY]``: EXECUTOR is ``serial`` or a number of
Ray workers. Once AFTER blocks are done the run goes slowly at WHERE, for the test to end it,
and says so by making the file READY.

``block``: before a block is trained (serial only). ``shards``: the shard's file is half written
(serial only). ``between``: in the driver, when it counts a block.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcrelu.errors import ForeignOutputError
from mcrelu.experiments.crossing import block as crossing
from mcrelu.runtime.progress import Silent, Tally
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.submit import Executor
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.store.files import Files
from mcrelu.store.local_store import LocalStore
from mcrelu.store.output import Output
from mcrelu.sweep.sweep import Sweep


class Watch(Silent):
    """Counts the blocks of this run and slows it down after enough of them."""

    def __init__(self, where: str, after: int, ready: Path | None) -> None:
        self._where, self._after, self._ready = where, after, ready
        self._before: int | None = None
        self._done = 0

    def update(self, tally: Tally) -> None:
        if self._before is None:
            self._before = tally.blocks_done
        self._done = tally.blocks_done - self._before
        self.pass_by("between")

    def pass_by(self, where: str) -> None:
        """Dawdle here if this is the place and the time."""
        if self._ready is not None and where == self._where and self._done >= self._after:
            self._ready.touch()
            time.sleep(1.0)


def slow_down(watch: Watch) -> None:
    """Let blocks and writes pass by the watch."""
    train_block, write = crossing.train_block, LocalStore._write

    def train(*args: Any) -> Any:
        watch.pass_by("block")
        return train_block(*args)

    def write_halves(store: LocalStore, path: Path, content: Any) -> None:
        if "shards" in path.parts:
            write(store, path, bytes(content)[: len(content) // 2])
            watch.pass_by("shards")
        write(store, path, content)

    crossing.train_block = train  # type: ignore[assignment]
    LocalStore._write = write_halves  # type: ignore[assignment,method-assign]


def starter(name: str) -> Callable[[], Executor[Any]]:
    if name == "serial":
        return SerialExecutor
    from mcrelu.runtime.ray_tasks import RayExecutor

    return lambda: RayExecutor.embed(int(name))


def main(
    spec: str, out: str, executor: str, where: str = "", after: str = "0", ready: str = ""
) -> int:
    watch = Watch(where, int(after), Path(ready) if ready else None)
    slow_down(watch)
    output = Output.claim(Files.at(out), Sweep.from_yaml(spec))
    try:
        return do_sweep(output, starter(executor), watch)
    except ForeignOutputError as error:
        print(error)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
