"""What every experiment must do, whichever it is: the same tests for all, without branching."""

from __future__ import annotations

import json
import os
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import coins
import numpy as np
import pyarrow as pa
import pytest

import mcrelu
from mcrelu.errors import ExitCode, ForeignOutputError, UserError
from mcrelu.experiments.base import CELLS, REGISTRY, BlockTask, Count, Experiment, experiment
from mcrelu.figures.plot import draw, draw_together
from mcrelu.report import publish_report
from mcrelu.runtime.block import attempt
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.runtime.task import BlockDone
from mcrelu.stats.comparison import FISHER, MCNEMAR, PAIRED_T, WELCH
from mcrelu.store.contents import Contents
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.parquet import digest
from mcrelu.store.pooled import PooledReader
from mcrelu.store.reduce import reduce
from mcrelu.store.shards import Shard, identity, shard_name, with_extent
from mcrelu.sweep.cell import Block
from mcrelu.sweep.sweep import Sweep

NAMES = list(REGISTRY)  # coins among them: importing their module registered them


@pytest.fixture(params=NAMES)
def one(request: pytest.FixtureRequest) -> Experiment:
    return experiment(request.param)


def example(one: Experiment, **changes: Any) -> Sweep:
    return Sweep.of({**one.example, **changes})


def do_blocks(output: Output, blocks: list[Block]) -> None:
    for block in blocks:
        provenance = output.sweep.provenance(block.cell)
        result = attempt(BlockTask(block, provenance, output.files.uri))
        assert isinstance(result, BlockDone), result


def started(folder: Path, sweep: Sweep) -> Output:
    output = Output.claim(Files.at(folder), sweep)
    output.take()
    return output


# --- outputs of another ---------------------------------------------------------------------


@pytest.mark.parametrize("other", NAMES)
def test_an_output_of_another_experiment_is_refused_in_one_line(
    one: Experiment, other: str, tmp_path: Path
) -> None:
    if other == one.name:
        pytest.skip("its own outputs it continues")
    started(tmp_path, example(experiment(other)))
    with pytest.raises(ForeignOutputError) as caught:
        Output.claim(Files.at(tmp_path), example(one))
    assert f"experiment {other!r} there, {one.name!r} here" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


# --- specs ----------------------------------------------------------------------------------


def test_its_name_is_the_one_in_the_registry(one: Experiment) -> None:
    assert one.example["experiment"] == one.name
    assert experiment(one.name) is one


def test_a_spec_survives_being_written(one: Experiment) -> None:
    sweep = example(one)
    again = Sweep.from_text(sweep.to_yaml())
    assert again == sweep
    assert [cell.id for cell in again.cells] == [cell.id for cell in sweep.cells]
    assert len({cell.id for cell in sweep.cells}) == len(sweep.cells) > 1


def test_an_unknown_key_is_refused(one: Experiment) -> None:
    with pytest.raises(UserError, match="zebra"):
        example(one, zebra=1)


def test_what_an_output_says_of_itself_survives_being_written(one: Experiment) -> None:
    contents = Contents.of(example(one))
    assert Contents.from_json(json.dumps(contents.to_json()).encode()) == contents


# --- rows -----------------------------------------------------------------------------------


def rows_of(one: Experiment, folder: Path, networks: int | None = None) -> tuple[Block, pa.Table]:
    sweep = example(one)
    whole = sweep.block(sweep.cells[0], 0)
    block = Block(whole.cell, 0, 0, networks or whole.networks)
    task = BlockTask(block, sweep.provenance(block.cell), str(folder))
    return block, one.do(task, Files.at(folder))


def test_rows_have_the_schema(one: Experiment, tmp_path: Path) -> None:
    block, rows = rows_of(one, tmp_path)
    assert rows.schema.equals(one.schema)
    assert rows.num_rows == block.networks
    assert not any(pa.types.is_dictionary(field.type) for field in one.schema)
    assert set(rows["cell"].to_pylist()) == {block.cell.id}


def test_the_same_block_has_the_same_rows(one: Experiment, tmp_path: Path) -> None:
    _, rows = rows_of(one, tmp_path / "one")
    _, again = rows_of(one, tmp_path / "two")
    assert digest(rows) == digest(again)
    assert again.equals(rows)


def test_its_first_networks_do_not_depend_on_how_many_it_has(
    one: Experiment, tmp_path: Path
) -> None:
    """So that one network can be trained again by itself."""
    block, rows = rows_of(one, tmp_path / "all")
    _, first = rows_of(one, tmp_path / "first", networks=1)
    assert block.networks > 1
    assert first.equals(rows.slice(0, 1))


def test_a_shard_reads_back_equal(one: Experiment, tmp_path: Path) -> None:
    output = started(tmp_path, example(one))
    block = next(output.sweep.all_blocks())
    do_blocks(output, [block])
    content = output.files.read(shard_name(block))
    own = with_extent(identity(block, output.sweep.provenance(block.cell)), block.cell.extent())
    assert content is not None
    with Shard.of(content) as shard:
        read = shard.block(own)
    assert read is not None
    assert read.equals(
        one.do(BlockTask(block, output.sweep.provenance(block.cell), "x"), Files.at(tmp_path / "x"))
    )


def test_a_summary_counts_networks(one: Experiment, tmp_path: Path) -> None:
    _, rows = rows_of(one, tmp_path)
    summary = one.summary(rows)
    assert 0 <= summary["k"] <= rows.num_rows
    assert all(type(value) is int for value in summary.values())
    assert one.summary(rows.slice(0, 0))["k"] == 0


# --- tables, sections, figures --------------------------------------------------------------


@pytest.mark.parametrize("amount", ["none", "some", "all"])
def test_tables_sections_and_figures(one: Experiment, amount: str, tmp_path: Path) -> None:
    output = started(tmp_path, example(one))
    blocks = list(output.sweep.all_blocks())
    number = {"none": 0, "some": 1, "all": len(blocks)}[amount]
    do_blocks(output, blocks[:number])
    tables = reduce(output).tables
    cells = tables[CELLS]
    networks = cells["networks"].to_pylist()
    assert cells["cell"].to_pylist() == [cell.id for cell in output.sweep.cells]
    assert sum(networks) == sum(block.networks for block in blocks[:number])
    assert set(one.point_columns) <= set(cells.column_names)
    derived = one.derived(cells)
    assert {name: table.equals(tables[name]) for name, table in derived.items()} == dict.fromkeys(
        derived, True
    )
    assert bool(one.sections(derived)) == (number > 0)
    sections = one.sections(tables)
    assert bool(sections) == (number > 0)
    for section in sections:
        assert section.title
        assert {len(row) for row in section.rows} <= {len(section.headings)}
    figures = draw(output)
    assert bool(figures) == (number > 0)
    drawings = one.drawings(tables)
    assert all("network" in drawing.caption for drawing in drawings)
    names = {drawing.name for drawing in drawings}
    assert {drawing.name for drawing in one.drawings(derived)} <= names
    assert {section.figure for section in sections} - {None} <= names
    report = Path(publish_report(output)).read_text()
    assert one.title in report
    assert report.count('<img src="data:image/svg+xml') == len(names)
    assert all(section.title.split(":")[0] in report for section in sections)
    assert ("No block is complete" in report) == (number == 0)
    assert ("Unfinished" in report) == (number < len(blocks))


def test_counts_are_those_of_points(one: Experiment, tmp_path: Path) -> None:
    run = mcrelu.run(example(one), tmp_path / "out", executor="serial")
    counts = one.points(run.table())
    assert {count.n for count in counts.values()} == {run.sweep.spec.networks}
    assert {place for _, place in counts} == set(run.table()[one.abscissa].to_pylist())
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    comparison = run.compare(str(tmp_path / "copy"))
    assert comparison.num_rows == len(counts)
    assert comparison["z"].to_pylist() == [0.0] * len(counts)
    assert all(comparison["agrees"].to_pylist())
    assert set(comparison["test"].to_pylist()) <= {MCNEMAR, PAIRED_T}


def test_outputs_of_two_seeds_are_one_sample(one: Experiment, tmp_path: Path) -> None:
    first, second, third = (
        mcrelu.run(example(one, seed=seed), tmp_path / str(seed), executor="serial")
        for seed in (1, 2, 3)
    )
    reader = PooledReader([first.output, second.output])
    cells = one.tables(reader)[CELLS]
    points, most = one.points(cells), first.sweep.spec.networks + second.sweep.spec.networks
    by_id = {cell.id: cell for cell in reader.cells}
    for point, source in one.sources(cells).items():
        values = np.concatenate(
            [source.values(rows) for rows in reader.sample(by_id[source.cell], source.columns)]
        )
        estimate = points[point]
        mean = estimate.k / estimate.n if isinstance(estimate, Count) else estimate.mean
        assert (len(values), np.mean(values)) == (estimate.n, pytest.approx(mean))
    assert max(estimate.n for estimate in points.values()) == most
    comparison = mcrelu.compare_runs([first, second], third)
    assert max(comparison["networks"].to_pylist()) == most
    assert set(comparison["test"].to_pylist()) <= {FISHER, WELCH}
    assert draw_together([first.output, second.output], Files.at(tmp_path / "together"))


def test_the_same_networks_are_not_counted_twice(one: Experiment, tmp_path: Path) -> None:
    run = mcrelu.run(example(one), tmp_path / "out", executor="serial")
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    with pytest.raises(UserError, match=r"seed \d+: the networks of .* are in .*out and in .*copy"):
        PooledReader([run.output, mcrelu.Run.open(tmp_path / "copy").output])


def test_published_values_are_by_figure(one: Experiment) -> None:
    by_figure = [one.published(figure) for figure in one.figures_of_paper]
    assert all(by_figure)
    with pytest.raises(UserError, match="paper"):
        one.published("fig0")


# --- running --------------------------------------------------------------------------------


def networks(output: Output) -> list[pa.Table]:
    return [output.networks(cell) for cell in output.cells]


def test_an_interrupted_run_goes_on_to_the_same_rows(one: Experiment, tmp_path: Path) -> None:
    sweep = example(one)
    half = started(tmp_path / "half", sweep)
    do_blocks(half, list(islice(sweep.all_blocks(), 0, None, 2)))
    resumed = mcrelu.run(sweep, tmp_path / "half", executor="serial")
    whole = mcrelu.run(sweep, tmp_path / "whole", executor="serial")
    assert whole.exit_code == resumed.exit_code == ExitCode.DONE
    assert networks(resumed.output) == networks(whole.output)
    assert resumed.output.missing() == []


def test_a_run_that_has_everything_does_nothing(one: Experiment, tmp_path: Path) -> None:
    sweep = example(one)
    mcrelu.run(sweep, tmp_path, executor="serial")
    done = Output.claim(Files.at(tmp_path), sweep)

    def never() -> SerialExecutor:
        raise AssertionError("nothing is to be done")

    assert do_sweep(done, never) == ExitCode.DONE


def test_more_networks_run_only_the_difference(one: Experiment, tmp_path: Path) -> None:
    mcrelu.run(example(one, networks=4, block_size=2), tmp_path, executor="serial")
    more = Output.claim(Files.at(tmp_path), example(one, networks=6, block_size=2))
    assert {block.index for block in more.missing()} == {2}


def test_status_and_check_know_what_is_there(one: Experiment, tmp_path: Path) -> None:
    sweep = example(one)
    output = started(tmp_path, sweep)
    blocks = list(sweep.all_blocks())
    do_blocks(output, blocks[:1])
    status = mcrelu.Run.open(tmp_path).status()
    assert (status["blocks"], status["blocks_done"]) == (len(blocks), 1)
    assert output.reader().damaged() == []
    path = tmp_path / shard_name(blocks[0])
    path.write_bytes(path.read_bytes()[:-1])
    assert output.reader().damaged() == [shard_name(blocks[0])]


def test_it_can_be_planned(one: Experiment) -> None:
    sweep = example(one)
    cell = sweep.cells[0]
    assert list(one.warm_up_cells(cell))
    assert one.seconds(cell, sweep.provenance(cell), 1) > 0


@pytest.mark.ray
def test_ray_gives_the_rows_of_a_serial_run(
    one: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coins come to the workers as any other package does: by PYTHONPATH."""
    folders = [str(Path(coins.__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    sweep = example(one)
    ray = mcrelu.run(sweep, tmp_path / "ray", executor="ray", workers=2)
    serial = mcrelu.run(sweep, tmp_path / "serial", executor="serial")
    assert ray.exit_code == ExitCode.DONE
    assert networks(ray.output) == networks(serial.output)
    assert draw(ray.output)
    assert all(ray.compare(serial)["agrees"].to_pylist())
