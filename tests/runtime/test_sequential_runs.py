"""Runs that end by a relative width: the same tables whichever way they come about."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from processes import caught, child, exit_code
from small_sweeps import assert_same_columns, output, shard_files, spec

import mcrelu
from mcrelu.errors import ExitCode, ForeignOutputError
from mcrelu.experiments.base import BlockTask
from mcrelu.experiments.crossing import block as crossing
from mcrelu.experiments.crossing.tables import summary
from mcrelu.runtime.serial import Attempt, SerialExecutor
from mcrelu.runtime.submit import Executor
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.stats.sequential import Sample
from mcrelu.store.output import Output
from mcrelu.store.reduce import cell_table
from mcrelu.sweep.cell import Block, Cell
from mcrelu.sweep.sweep import Sweep

WIDTHS = [4, 8, 16]


def adaptive(relative_width: float | None = 0.6, **changes: Any) -> Sweep:
    """Samples of 1, 3 and 4 blocks or so; every cell has its own need."""
    return Sweep.of(values(relative_width, **changes))


def values(relative_width: float | None = 0.6, **changes: Any) -> dict[str, Any]:
    stop: list[Any] = ["crossing", "sufficient"]
    stop += [] if relative_width is None else [{"relative_width": relative_width}]
    plain = {"networks": 3000, "block_size": 30, "cells": {"width": WIDTHS}, "stop": stop}
    return spec(**(plain | changes))


class Noting(SerialExecutor):
    """Has several blocks in flight, does them in any order, and notes them."""

    name = "noting"

    def __init__(self, capacity: int = 1, seed: int = 0) -> None:
        super().__init__()
        self._capacity, self._chance = capacity, random.Random(seed)
        self.blocks: list[tuple[int, int]] = []  # width and index

    def capacity(self) -> int:
        return self._capacity

    def submit(self, task: BlockTask, number: int) -> Attempt:
        self.blocks.append((task.block.cell.width, task.block.index))
        return super().submit(task, number)

    def wait(self, handles: Collection[Attempt], seconds: float) -> list[Attempt]:
        return self._chance.sample(list(handles), self._chance.randint(1, len(handles)))


def run(
    folder: Path, wanted: Sweep, executor: SerialExecutor | None = None
) -> tuple[ExitCode, Output]:
    done = output(folder, wanted)
    return do_sweep(done, lambda: executor or SerialExecutor()), done


def refuse() -> Executor[Any]:
    raise AssertionError("there is nothing to do")


def assert_same_results(one: Output, other: Output) -> None:
    """Tables and the rows behind them, bit for bit, whatever else is on disk."""
    ours, theirs = cell_table(one), cell_table(other)
    assert ours.drop_columns("relative_width_wanted").equals(
        theirs.drop_columns("relative_width_wanted")
    )
    assert ours["networks"].to_pylist() != [0] * ours.num_rows
    for cell in one.sweep.cells:
        assert_same_columns(one.networks(cell), other.networks(cell))


def all_rows(done: Output, cell: Cell) -> pa.Table:
    """The rows of a cell that are there, counted or not, in index order."""
    shards = sorted((Path(done.files.root) / "shards" / cell.id).glob("*.parquet"))
    tables = [pq.read_table(path).replace_schema_metadata(None) for path in shards]
    return pa.concat_tables(tables)


def blocks_there(folder: Path, wanted: Sweep) -> int:
    return len(shard_files(folder, wanted))


def needed(table: pa.Table, size: int = 30) -> dict[int, int]:
    """Blocks in the sample of each width."""
    rows = table.to_pylist()
    assert all(row["networks"] % size == 0 for row in rows)
    return {row["width"]: row["networks"] // size for row in rows}


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """The adaptive sweep done one block at a time."""
    code, done = run(tmp_path_factory.mktemp("serial"), adaptive())
    assert code == ExitCode.DONE
    return done


def test_samples_end_where_they_are_narrow_enough(serial: Output) -> None:
    blocks = needed(cell_table(serial))
    assert len(set(blocks.values())) > 1  # else the test's sweep says little
    for row in cell_table(serial).to_pylist():
        assert row["relative_width"] <= row["relative_width_wanted"] == 0.6
        width = (row["sequence_high"] - row["sequence_low"]) / row["estimate"]
        assert row["relative_width"] == pytest.approx(width)
    for cell in serial.sweep.cells:
        rows = serial.networks(cell)
        assert rows.equals(all_rows(serial, cell))  # nothing is done in vain one by one
        before = rows.slice(0, rows.num_rows - 30)
        sample = Sample(before.num_rows // 30, summary(before)["k"], before.num_rows)
        assert sample.relative_width > 0.6


@pytest.mark.parametrize("seed", range(4))
def test_many_at_once_in_any_order(seed: int, serial: Output, tmp_path: Path) -> None:
    executor = Noting(capacity=11, seed=seed)
    code, done = run(tmp_path, adaptive(), executor)
    assert code == ExitCode.DONE
    assert_same_results(serial, done)
    blocks = needed(cell_table(serial))
    assert len(executor.blocks) == len(set(executor.blocks)) == blocks_there(tmp_path, adaptive())
    assert len(executor.blocks) >= sum(blocks.values())


def test_what_is_there_beyond_the_sample_is_not_counted(serial: Output, tmp_path: Path) -> None:
    run(tmp_path, adaptive(None, networks=600))
    done = output(tmp_path, adaptive())
    assert do_sweep(done, refuse) == ExitCode.DONE
    assert_same_results(serial, done)
    opened = mcrelu.Run.open(tmp_path)
    assert opened.table().equals(cell_table(serial))
    for cell in opened.sweep.cells:
        assert all_rows(done, cell).num_rows == 600 > done.networks(cell).num_rows
        assert opened.networks(cell).equals(serial.networks(cell))


@pytest.mark.ray
def test_ray(serial: Output, tmp_path: Path) -> None:
    run = mcrelu.run(adaptive(), tmp_path, workers=2)
    assert run.exit_code == ExitCode.DONE
    assert_same_results(serial, run.output)


@pytest.mark.parametrize("where", ["block", "shards", "between"])
def test_a_killed_run_resumes(where: str, serial: Output, tmp_path: Path) -> None:
    path, folder, ready = tmp_path / "sweep.yaml", tmp_path / "out", tmp_path / "ready"
    path.write_text(yaml.safe_dump(values()))
    with child(path, folder, "serial", where, 3, ready) as process:
        caught(process, ready)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    there = {file: file.stat().st_mtime_ns for file in shard_files(folder, adaptive())}
    assert 3 <= len(there) < sum(needed(cell_table(serial)).values())
    executor = Noting()
    code, done = run(folder, adaptive(), executor)
    assert code == ExitCode.DONE
    assert_same_results(serial, done)
    assert len(there) + len(executor.blocks) == sum(needed(cell_table(serial)).values())
    assert {file: file.stat().st_mtime_ns for file in there} == there


@pytest.mark.ray
def test_an_interrupted_ray_run_resumes(serial: Output, tmp_path: Path) -> None:
    path, folder, ready = tmp_path / "sweep.yaml", tmp_path / "out", tmp_path / "ready"
    path.write_text(yaml.safe_dump(values()))
    with child(path, folder, 2, "between", 3, ready) as process:
        caught(process, ready)
        process.send_signal(signal.SIGTERM)
        assert exit_code(process) == ExitCode.TERMINATED
    code, done = run(folder, adaptive())
    assert code == ExitCode.DONE
    assert_same_results(serial, done)


def test_a_run_that_is_done_starts_no_executor(serial: Output) -> None:
    again = output(serial.files.root, adaptive())
    assert do_sweep(again, refuse) == ExitCode.DONE
    said = again.read_json("status.json")
    assert said is not None
    assert said["state"] == "done"
    assert said["cells"] == {"total": 3, "reached": 3}
    assert said["blocks"]["total"] == said["blocks"]["done"]


def test_a_narrower_width_runs_only_the_difference(tmp_path: Path) -> None:
    _, coarse = run(tmp_path / "grown", adaptive(0.8))
    before = needed(cell_table(coarse))
    executor = Noting()
    code, fine = run(tmp_path / "grown", adaptive(0.6), executor)
    after = needed(cell_table(fine))
    assert code == ExitCode.DONE
    assert sorted(executor.blocks) == [
        (width, index) for width in WIDTHS for index in range(before[width], after[width])
    ]
    assert_same_results(fine, run(tmp_path / "at once", adaptive(0.6))[1])


def test_a_wider_width_runs_nothing_and_counts_less(serial: Output, tmp_path: Path) -> None:
    run(tmp_path / "fine", adaptive(0.6))
    coarse = output(tmp_path / "fine", adaptive(0.8))
    assert do_sweep(coarse, refuse) == ExitCode.DONE
    assert_same_results(coarse, run(tmp_path / "coarse", adaptive(0.8))[1])
    total = sum(needed(cell_table(coarse)).values())
    assert total < sum(needed(cell_table(serial)).values())


def test_a_relative_width_on_top_of_counts_and_back(serial: Output, tmp_path: Path) -> None:
    """A sweep of fixed counts may ask for a relative width later, and the other way round."""
    few = {"networks": 45}  # the second block is short, and done again
    run(tmp_path / "out", adaptive(None, **few))
    code, done = run(tmp_path / "out", adaptive())
    assert code == ExitCode.DONE
    assert_same_results(serial, done)
    fixed = {"networks": 600}
    run(tmp_path / "plain", adaptive(None, **fixed))
    run(tmp_path / "narrow", adaptive(0.6, **fixed))
    code, back = run(tmp_path / "narrow", adaptive(None, **fixed))
    assert code == ExitCode.DONE
    assert_same_results(back, output(tmp_path / "plain", adaptive(None, **fixed)))
    assert cell_table(back)["networks"].to_pylist() == [600] * 3


def test_a_budget_ends_the_run_and_more_networks_go_on(serial: Output, tmp_path: Path) -> None:
    code, short = run(tmp_path, adaptive(networks=75))
    assert code == ExitCode(5) == ExitCode.BUDGET
    said = short.read_json("status.json")
    assert said is not None
    assert (said["state"], said["exit_code"]) == ("budget", 5)
    assert said["cells"]["reached"] < 3
    assert do_sweep(output(tmp_path, adaptive(networks=75)), refuse) == ExitCode.BUDGET
    counted = cell_table(short)["networks"].to_pylist()
    assert max(counted) == 75
    code, done = run(tmp_path, adaptive())
    assert code == ExitCode.DONE
    assert_same_results(serial, done)


def test_fewer_networks_are_refused(serial: Output) -> None:
    with pytest.raises(ForeignOutputError, match="networks: 3000 there, 75 here"):
        output(serial.files.root, adaptive(networks=75))


def test_a_failed_block_takes_precedence_and_is_done_by_the_next_run(
    serial: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_block = crossing.train_block

    def failing(block: Block, provenance: Any) -> Any:
        if (block.cell.width, block.index) == (16, 1):
            raise ZeroDivisionError
        return train_block(block, provenance)

    with monkeypatch.context() as patch:
        patch.setattr(crossing, "train_block", failing)
        code, failed = run(tmp_path, adaptive())
        assert code == ExitCode.FAILED_BLOCKS
        counted = needed(cell_table(failed))
        whole = needed(cell_table(serial))
        assert counted == whole | {16: 1}
        assert len(list((tmp_path / "errors").iterdir())) == 1
    executor = Noting()
    code, done = run(tmp_path, adaptive(), executor)
    assert code == ExitCode.DONE
    assert executor.blocks == [(16, index) for index in range(1, whole[16])]
    assert list((tmp_path / "errors").iterdir()) == []
    assert_same_results(serial, done)


def test_a_damaged_shard_of_the_sample_is_done_again(serial: Output, tmp_path: Path) -> None:
    run(tmp_path, adaptive())
    (first, *_) = shard_files(tmp_path, adaptive())
    first.write_bytes(first.read_bytes()[:-1])
    executor = Noting()
    code, done = run(tmp_path, adaptive(), executor)
    assert (code, executor.blocks) == (ExitCode.DONE, [(4, 0)])
    assert_same_results(serial, done)


def test_status_says_how_many_cells_are_narrow_enough(serial: Output, tmp_path: Path) -> None:
    run(tmp_path, adaptive(networks=75))
    said = mcrelu.Run.open(tmp_path).status()
    assert said["cells"] == 3
    assert 0 < said["cells_reached"] < 3
    assert json.dumps(said)
    assert mcrelu.Run.open(serial.files.root).status()["cells_reached"] == 3


def test_legacy_streams_may_end_by_a_relative_width_too(tmp_path: Path) -> None:
    legacy = adaptive(
        2.0,
        rng="legacy",
        block_size=None,
        networks=160,
        cells={"width": [2048]},
        checks={"interval": 2, "maximum": 2},
        stop=["crossing", {"sufficient": {"form": "published"}}, {"relative_width": 2.0}],
    )
    code, done = run(tmp_path, legacy)
    size = legacy.block_size(legacy.cells[0])
    assert code == ExitCode.DONE  # all are unfinished, so that all may cross
    assert cell_table(done)["networks"].to_pylist() == [size]
