"""Blocks of one task: trained one after the other, written by threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from small_sweeps import assert_same_rows, output, run_serially, sweep

from mcrelu.experiments.base import BlockTask
from mcrelu.runtime import block as module
from mcrelu.runtime.block import attempt_all
from mcrelu.runtime.task import BlockDone
from mcrelu.store.output import Output

SWEEP = sweep(networks=80)


class Threads:
    """In which threads functions of a module were called."""

    def __init__(self, patch: pytest.MonkeyPatch, name: str) -> None:
        self.used: list[threading.Thread] = []
        original = getattr(module, name)

        def noted(*arguments: Any) -> Any:
            self.used.append(threading.current_thread())
            return original(*arguments)

        patch.setattr(module, name, noted)


def tasks(done: Output) -> Sequence[tuple[BlockTask, int]]:
    blocks = done.sweep.all_blocks()
    return [
        (BlockTask(block, done.sweep.provenance(block.cell), done.files.uri), 1) for block in blocks
    ]


def test_each_has_its_shard(tmp_path: Path) -> None:
    done = output(tmp_path / "out", SWEEP)
    results = attempt_all(tasks(done))
    assert all(isinstance(result, BlockDone) for result in results)
    assert [result.block for result in results] == list(SWEEP.all_blocks())
    assert_same_rows(done, run_serially(tmp_path / "serial", SWEEP))


def test_threads_stay_and_make_no_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread that takes memory from Arrow keeps some of it, and more so when it ends."""
    made, written = Threads(monkeypatch, "shard_of"), Threads(monkeypatch, "publish_shard")
    for name in ("one", "other"):
        attempt_all(tasks(output(tmp_path / name, SWEEP)))
    assert set(made.used) == {threading.current_thread()}
    assert len(written.used) == len(made.used) > 0
    assert threading.current_thread() not in written.used
    assert all(thread.is_alive() for thread in written.used)
