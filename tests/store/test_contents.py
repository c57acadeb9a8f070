"""What an output says of itself: enough for any later program to read it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_sweeps import output, run_serially, sweep
from star_sweeps import star_sweep

import mcrelu
from mcrelu.engines.one_d.grouped import GroupedEngine
from mcrelu.errors import ExitCode, ForeignOutputError, ResourceError
from mcrelu.store import contents as contents_module
from mcrelu.store.contents import CELLS_FILE, Contents
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.ownership import SPEC
from mcrelu.store.reduce import reduce
from mcrelu.sweep import sweep as sweep_module
from mcrelu.sweep.sweep import Sweep


def small() -> Sweep:
    """As this program understands it now."""
    return sweep(networks=25, cells={"width": [4, 8]})


SMALL = small()


def refusal(folder: Path) -> str:
    with pytest.raises(ForeignOutputError) as caught:
        output(folder, small())
    assert caught.value.exit_code == ExitCode(6) == ExitCode.FOREIGN_OUTPUT
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture
def done(tmp_path: Path) -> Output:
    """A finished output with its tables."""
    finished = run_serially(tmp_path, SMALL)
    reduce(finished)
    return finished


def test_a_later_engine_reads_but_does_not_run(
    done: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of an engine's older version used to count as missing, and tables became zeros."""
    before = reduce(done).tables["cells"]
    monkeypatch.setattr(GroupedEngine, "semantics", GroupedEngine.semantics + 1)
    later = mcrelu.Run.open(tmp_path)
    assert later.status()["blocks_done"] == 6
    assert later.table().equals(before.replace_schema_metadata(None))
    assert reduce(later.output).tables["cells"].equals(before)
    assert later.networks(later.cells[0]).num_rows == 25
    message = refusal(tmp_path)
    version = GroupedEngine.semantics
    assert f"engine grouped has version {version - 1} there, {version} here" in message
    assert "versions that began it" in message
    assert "another --out" in message


def test_other_random_streams_are_refused_by_name(
    done: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents_module, "stream_version", lambda: "0123456789abcdef")
    monkeypatch.setattr(sweep_module, "stream_version", lambda: "0123456789abcdef")
    assert "numpy changed" in refusal(tmp_path)
    assert mcrelu.Run.open(tmp_path).status()["blocks_done"] == 6


def test_a_shard_of_other_streams_is_not_counted(
    done: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "stream_version", lambda: "0123456789abcdef")
    monkeypatch.setattr(contents_module, "stream_version", lambda: "0123456789abcdef")
    other = run_serially(tmp_path / "other", SMALL)
    cell = other.cells[0].id
    name = f"shards/{cell}/000001.parquet"
    content = other.files.read(name)
    assert content is not None
    done.files.publish(name, content)
    assert Output.open(done.files).reader().damaged() == [name]


def test_an_output_is_opened_whatever_this_machine_has(
    done: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with less memory than a block needs may read; it must not train."""
    monkeypatch.setattr(GroupedEngine, "memory", staticmethod(lambda *_: 2**60))
    assert mcrelu.Run.open(tmp_path).status()["blocks_done"] == 6
    with pytest.raises(ResourceError, match=r"width"):
        mcrelu.run(sweep(networks=50, cells={"width": [4, 8]}), tmp_path, executor="serial")


def test_without_its_spec_an_output_can_be_read(done: Output, tmp_path: Path) -> None:
    (tmp_path / SPEC).unlink()
    assert mcrelu.Run.open(tmp_path).table()["networks"].to_pylist() == [25, 25]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b"\xff\xfe"])
def test_damaged_contents_are_refused(content: bytes, done: Output, tmp_path: Path) -> None:
    (tmp_path / CELLS_FILE).write_bytes(content)
    assert CELLS_FILE in refusal(tmp_path)
    with pytest.raises(ForeignOutputError, match="damaged or of a later version"):
        Output.open(Files.at(tmp_path))


def test_shards_without_contents_are_of_an_older_version(done: Output, tmp_path: Path) -> None:
    """They must not be overwritten, nor be tables of zeros."""
    (tmp_path / CELLS_FILE).unlink()
    assert "versions before 0.2" in refusal(tmp_path)
    with pytest.raises(ForeignOutputError, match="versions before"):
        Output.open(Files.at(tmp_path))


def test_an_experiment_of_a_later_version_is_named(done: Output, tmp_path: Path) -> None:
    said = json.loads((tmp_path / CELLS_FILE).read_text()) | {"experiment": "zebras"}
    (tmp_path / CELLS_FILE).write_text(json.dumps(said))
    with pytest.raises(ForeignOutputError, match="'zebras'"):
        Output.open(Files.at(tmp_path))


def test_an_empty_spec_counts_as_absent(tmp_path: Path) -> None:
    """That is what a power loss used to leave."""
    (tmp_path / SPEC).write_bytes(b"")
    run_serially(tmp_path, SMALL)
    assert Contents.of(SMALL) == Output.open(Files.at(tmp_path)).contents
    assert Output.open(Files.at(tmp_path)).sweep.cells == SMALL.cells


def test_two_sweeps_that_claim_one_new_output_do_not_both_get_it(tmp_path: Path) -> None:
    first = output(tmp_path, SMALL)
    second = output(tmp_path, sweep(seed=7))  # nothing is there yet
    first.take()
    with pytest.raises(ForeignOutputError, match="seed"):
        second.take()
    assert Output.open(Files.at(tmp_path)).contents == Contents.of(SMALL)
    third = output(tmp_path, SMALL)
    third.take()  # the same sweep may


def test_a_run_that_ended_between_spec_and_contents_goes_on(tmp_path: Path) -> None:
    output(tmp_path, SMALL).take()
    (tmp_path / CELLS_FILE).unlink()
    with pytest.raises(ForeignOutputError, match="seed"):
        output(tmp_path, sweep(seed=7))
    assert run_serially(tmp_path, SMALL).missing() == []


def test_cells_draw_alike_where_they_say_so_or_train_the_same() -> None:
    """Outputs until 0.2.0 say what is trained only."""
    one, other = Contents.of(
        star_sweep(cells={"width": [6], "data": ["star-3"], "step_factor": [1, 2]})
    ).cells
    assert one.training != other.training
    assert one.draws_as(other)
    older = replace(one, draws="")
    assert older.draws_as(one)
    assert not older.draws_as(replace(other, draws=""))
