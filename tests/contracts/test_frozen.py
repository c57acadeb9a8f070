"""Outputs of earlier versions, kept as they were written: every later version reads them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from freeze import FROZEN

import mcrelu
from mcrelu.errors import ExitCode, ForeignOutputError
from mcrelu.experiments.base import CELLS
from mcrelu.figures.plot import draw
from mcrelu.stats.comparison import MCNEMAR, PAIRED_T
from mcrelu.store.reduce import reduce
from mcrelu.sweep.sweep import Sweep

# Exponents were sought as maxima of the likelihood until 0.2.0, which finds half of their digits.
TOLERANCE = {"power_laws": 1e-6}
FOLDERS = sorted(path for path in FROZEN.iterdir() if path.is_dir())


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy, since reading writes tables."""
    return Path(shutil.copytree(request.param, tmp_path / "frozen"))


def test_there_is_one_of_every_experiment() -> None:
    assert {folder.name.partition("-")[0] for folder in FOLDERS} == {
        "crossing",
        "event",
        "setups",
        "star",
    }


def test_its_blocks_are_good(frozen: Path) -> None:
    run = mcrelu.Run.open(frozen)
    status = run.status()
    assert status["blocks_done"] == status["blocks"] > 2
    assert status["refused"] == []
    assert run.output.reader().damaged() == []


def test_its_networks_are_those_of_its_copy(frozen: Path, tmp_path: Path) -> None:
    """Even if it does not say what was drawn, as until 0.2.0."""
    shutil.copytree(frozen, tmp_path / "copy")
    comparison = mcrelu.Run.open(frozen).compare(str(tmp_path / "copy"))
    assert set(comparison["test"].to_pylist()) <= {MCNEMAR, PAIRED_T}
    assert all(comparison["agrees"].to_pylist())


def test_its_blocks_are_good_without_its_manifest(frozen: Path) -> None:
    """Then every shard must prove by itself what it is."""
    shutil.rmtree(frozen / "manifest")
    status = mcrelu.Run.open(frozen).status()
    assert status["blocks_done"] == status["blocks"]
    assert status["refused"] == []


def test_its_tables_are_what_they_were(frozen: Path) -> None:
    """Later versions may add columns; those that were there stay, with their values."""
    before = {path.stem: pq.read_table(path) for path in (frozen / "tables").glob("*.parquet")}
    now = reduce(mcrelu.Run.open(frozen).output).tables
    assert CELLS in before
    for name, table in before.items():
        kept = now[name].select(table.column_names)
        assert kept.schema.equals(table.schema, check_metadata=False)
        for column in table.column_names:
            # Other versions of scipy and numpy may end intervals and means an ulp further.
            ours, theirs = kept[column], table[column]
            if pa.types.is_floating(ours.type):
                assert ours.is_null().equals(theirs.is_null())
                close = pytest.approx(theirs.to_numpy(), rel=TOLERANCE.get(name, 1e-9), nan_ok=True)
                assert ours.to_numpy() == close
            else:
                assert ours.equals(theirs), column


def test_it_can_be_shown(frozen: Path) -> None:
    output = mcrelu.Run.open(frozen).output
    tables = reduce(output).tables
    assert output.experiment.sections(tables)
    assert draw(output)


def test_a_run_goes_on_with_it_or_says_why_not(frozen: Path) -> None:
    """The same rows, or a refusal that names what changed; never rows of two kinds."""
    sweep = Sweep.from_yaml(frozen / "spec.yaml")
    try:
        run = mcrelu.run(sweep, frozen, executor="serial")
    except ForeignOutputError as error:
        assert " there, " in str(error) or "streams" in str(error)  # noqa: PT017
    else:
        assert run.exit_code == ExitCode.DONE
        assert run.status()["blocks_done"] == run.status()["blocks"]
