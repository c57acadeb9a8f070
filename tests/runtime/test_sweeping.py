"""Whole runs: the same rows however they come about, interruption, resumption, failed blocks."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweeps import MINIBATCHES, SPEC, rows, same_rows, sweep

import mcrelu
from mcrelu.errors import ExitCode, ForeignOutputError
from mcrelu.runtime import block as block_module
from mcrelu.runtime.block import BlockTask, attempt, train_block
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.shards import Provenance
from mcrelu.sweep.cell import Block, Cell
from mcrelu.sweep.sweep import Sweep

SLOW_SPEC = SPEC.replace("[4, 8]", "[256]").replace("networks: 100", "networks: 640")


@pytest.fixture(scope="module", params=[SPEC, MINIBATCHES], ids=["gd", "minibatches"])
def reference(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sweep, Path]:
    """A sweep and its output by the serial executor."""
    out = tmp_path_factory.mktemp("serial")
    wanted = sweep(request.param)
    assert mcrelu.run(wanted, out, executor="serial").exit_code == 0
    return wanted, out


def test_all_networks_are_there_once(reference: tuple[Sweep, Path]) -> None:
    wanted, out = reference
    for cell in wanted.cells:
        table = mcrelu.Run.open(out).networks(cell)
        assert table["network"].to_pylist() == list(range(wanted.spec.networks))
        assert set(table["cell"].to_pylist()) == {cell.id}


@pytest.mark.ray
@pytest.mark.parametrize("workers", [1, 2])
def test_ray_gives_the_same_rows(
    reference: tuple[Sweep, Path], workers: int, tmp_path: Path
) -> None:
    wanted, out = reference
    assert mcrelu.run(wanted, tmp_path, executor="ray", workers=workers).exit_code == 0
    assert same_rows(tmp_path, out)


def test_blocks_in_shuffled_order_give_the_same_rows(
    reference: tuple[Sweep, Path], tmp_path: Path
) -> None:
    wanted, out = reference
    output = Output(Files.at(tmp_path), wanted)
    blocks = list(wanted.all_blocks())
    random.Random(3).shuffle(blocks)
    for block in blocks:
        attempt(BlockTask(block, output.origin(block.cell), str(tmp_path)))
    assert same_rows(tmp_path, out)


def test_other_cells_beside_it_do_not_change_a_cell(
    reference: tuple[Sweep, Path], tmp_path: Path
) -> None:
    wanted, out = reference
    cells = wanted.spec.cells.model_dump() | {"width": [8, 2, 4], "offset": [0.1, 0.0]}
    more = Sweep.of(wanted.spec.model_dump(mode="json", exclude_none=True) | {"cells": cells})
    mcrelu.run(more, tmp_path, executor="serial")
    found = rows(tmp_path)
    assert all(found[name].equals(table) for name, table in rows(out).items())


def test_a_thousand_networks_extended_to_2500_equal_2500_at_once(tmp_path: Path) -> None:
    text = SPEC.replace("[4, 8]", "[4]").replace("block_size: 40", "block_size: 300")
    for networks in (1000, 2500):
        mcrelu.run(sweep(text, networks=networks), tmp_path / "extended", executor="serial")
    mcrelu.run(sweep(text, networks=2500), tmp_path / "whole", executor="serial")
    assert same_rows(tmp_path / "extended", tmp_path / "whole")


def test_extension_runs_only_the_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mcrelu.run(sweep(networks=80), tmp_path, executor="serial")
    done = count_blocks(monkeypatch)
    mcrelu.run(sweep(networks=100), tmp_path, executor="serial")
    assert sorted(done) == [(4, 2), (8, 2)]
    cells = {"width": [4, 8, 16]}
    mcrelu.run(sweep(networks=100, cells=cells), tmp_path, executor="serial")
    assert sorted(done[2:]) == [(16, 0), (16, 1), (16, 2)]


def test_a_finished_run_has_nothing_to_do(
    reference: tuple[Sweep, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, out = reference
    done = count_blocks(monkeypatch)
    assert mcrelu.run(wanted, out, executor="serial").exit_code == 0
    assert done == []


def test_a_torn_and_a_foreign_shard_are_done_again(
    tmp_path: Path, reference: tuple[Sweep, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, out = reference
    mcrelu.run(wanted, tmp_path, executor="serial")
    torn, foreign, *_ = sorted(tmp_path.glob("shards/*/*.parquet"))
    torn.write_bytes(torn.read_bytes()[:-100])
    other = sweep(wanted.to_yaml(), seed=99)
    mcrelu.run(other, tmp_path / "other", executor="serial")
    foreign.write_bytes((tmp_path / "other" / foreign.relative_to(tmp_path)).read_bytes())
    done = count_blocks(monkeypatch)
    mcrelu.run(wanted, tmp_path, executor="serial")
    assert len(done) == 2
    assert all(rows(tmp_path)[name].equals(table) for name, table in rows(out).items())


def test_another_seed_gives_other_rows(reference: tuple[Sweep, Path], tmp_path: Path) -> None:
    wanted, out = reference
    mcrelu.run(sweep(wanted.to_yaml(), seed=99), tmp_path, executor="serial")
    assert not same_rows(tmp_path, out)


def test_an_output_is_refused_to_another_seed(reference: tuple[Sweep, Path]) -> None:
    wanted, out = reference
    with pytest.raises(ForeignOutputError, match="seed"):
        mcrelu.run(sweep(wanted.to_yaml(), seed=99), out, executor="serial")


def test_legacy_rng_repeats_the_original_s_batches(tmp_path: Path) -> None:
    text = SPEC.replace("[4, 8]", "[2048]").replace("block_size: 40", "rng: legacy")
    text = text.replace("maximum: 50", "maximum: 1").replace("interval: 100", "interval: 2")
    wanted = sweep(text.replace("networks: 100", "networks: 64"), seed=1234567890)
    run = mcrelu.run(wanted, tmp_path, executor="serial")
    (cell,) = wanted.cells
    step_size = run.networks(cell)["step_size"].to_pylist()
    origin = Provenance(1234567890, "legacy", 32)
    parts = [train_block(Block(cell, index, 32 * index, 32), origin)[0] for index in (0, 1)]
    assert step_size == [h for part in parts for h in part]
    assert len(set(step_size)) == 64


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Block 1 of width 8 raises, always."""
    original = block_module.train_block

    def fail(block: Block, origin: Provenance) -> object:
        if (block.cell.width, block.index) == (8, 1):
            raise ZeroDivisionError("as scripted")
        return original(block, origin)

    with monkeypatch.context() as patch:
        patch.setattr(block_module, "train_block", fail)
        yield


def test_a_block_that_raises_is_recorded_and_the_others_go_on(
    tmp_path: Path, failing: None
) -> None:
    run = mcrelu.run(sweep(), tmp_path, executor="serial")
    assert run.exit_code == ExitCode.FAILED_BLOCKS
    assert len(rows(tmp_path)) == 5
    (path,) = tmp_path.glob("errors/*.json")
    error = json.loads(path.read_text())
    assert error["error"] == "ZeroDivisionError: as scripted"
    assert (error["seed"], error["block"], error["cell"]["width"]) == (11, 1, 8)
    assert "in fail" in error["traceback"]
    assert error["replay"].startswith("mcrelu run ")
    assert json.loads((tmp_path / "status.json").read_text())["exit_code"] == 4


def test_only_blocks_before_a_gap_are_counted(tmp_path: Path, failing: None) -> None:
    table = mcrelu.run(sweep(), tmp_path, executor="serial").table()
    assert table["networks"].to_pylist() == [100, 40]


def test_a_failed_block_is_tried_again_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(block_module, "train_block", lambda *_: 1 / 0)
        mcrelu.run(sweep(), tmp_path, executor="serial")
    assert len(list(tmp_path.glob("errors/*.json"))) == 6
    assert mcrelu.run(sweep(), tmp_path, executor="serial").exit_code == 0
    assert list(tmp_path.glob("errors/*.json")) == []
    assert len(rows(tmp_path)) == 6


def start(out: Path, *options: str) -> subprocess.Popen[str]:
    """A run of the slow sweep in a process of its own that has written a shard or two."""
    path = out.parent / "slow.yaml"
    path.write_text(SLOW_SPEC)
    command = [sys.executable, "-m", "mcrelu", "run", str(path), "--out", str(out), *options]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    process = subprocess.Popen(
        command, env=environment, text=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("shards/*/*.parquet")):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.fixture(scope="module")
def slow_reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("slow")
    mcrelu.run(Sweep.from_text(SLOW_SPEC), out, executor="serial")
    return out


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [["--serial"], pytest.param(["--workers", "2"], marks=pytest.mark.ray)]
)
def test_a_run_killed_mid_way_is_resumed(
    options: list[str], slow_reference: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(out, *options)
    process.kill()
    process.communicate()
    before = len(rows(out))
    assert 0 < before < len(rows(slow_reference))
    assert mcrelu.run(Sweep.from_text(SLOW_SPEC), out, executor="serial").exit_code == 0
    assert same_rows(out, slow_reference)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [["--serial"], pytest.param(["--workers", "2"], marks=pytest.mark.ray)]
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_so_and_is_resumed(
    options: list[str], number: int, code: int, slow_reference: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(out, *options)
    process.send_signal(number)
    _, log = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in log
    assert "the same command goes on" in log
    assert json.loads((out / "status.json").read_text())["exit_code"] == code
    assert len(rows(out)) < len(rows(slow_reference))
    assert mcrelu.run(Sweep.from_text(SLOW_SPEC), out, executor="serial").exit_code == 0
    assert same_rows(out, slow_reference)


def count_blocks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Width and index of every block that is trained from now on."""
    done: list[tuple[int, int]] = []
    original = block_module.train_block

    def counted(block: Block, origin: Provenance) -> object:
        done.append((block.cell.width, block.index))
        return original(block, origin)

    monkeypatch.setattr(block_module, "train_block", counted)
    return done


def test_cells_of_the_same_parameters_are_equal() -> None:
    """Handles of executors are dictionary keys: tasks must be hashable values."""
    one, other = sweep().cells[0], sweep().cells[0]
    assert isinstance(one, Cell)
    assert hash(one) == hash(other)
