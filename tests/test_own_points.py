"""Data of the user's own, and the other ways in which a sweep may differ from the paper's."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import one_d_oracle as oracle
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mcrelu
from mcrelu.data import SampleRule
from mcrelu.errors import SpecError
from mcrelu.experiments.crossing.block import draw_block, problem_of, train_block
from mcrelu.experiments.crossing.cell import CrossingCell
from mcrelu.problems.one_d import Barrier, StopReason
from mcrelu.rng import PhiloxMinibatches
from mcrelu.sweep.sweep import Sweep

X, Y = [-2.5, -1.25, -0.75, 0.5, 1.5], [1.0, -0.5, 0.25, -1.0, 0.5]
SPEC = {
    "version": 1,
    "experiment": "crossing",
    "seed": 5,
    "networks": 40,
    "cells": {"width": [8]},
    "stop": ["crossing", "sufficient"],
    "checks": {"interval": 200, "maximum": 3},
}


def sweep_of(folder: Path | str = ".", **changes: Any) -> Sweep:
    return Sweep.of({**SPEC, **changes}, folder=folder)


def cell_of(sweep: Sweep) -> CrossingCell:
    (cell,) = sweep.cells
    assert isinstance(cell, CrossingCell)
    return cell


def lists(x: list[float] = X, y: list[float] = Y) -> dict[str, list[float]]:
    return {"x": x, "y": y}


# -------------------------------------------------------------------------------- identities


def test_points_of_a_file_are_those_written_out(tmp_path: Path) -> None:
    """Identity is of the numbers, wherever they came from, and the output keeps them."""
    table = pa.table({"height": X, "weight": Y, "name": ["a"] * 5})
    (tmp_path / "deep").mkdir()
    pacsv.write_csv(table, tmp_path / "deep" / "points.csv")
    pq.write_table(table, tmp_path / "points.parquet")
    written = sweep_of(data=lists())
    for file in ("deep/points.csv", "points.parquet", str(tmp_path / "points.parquet")):
        data = {"file": file, "x": "height", "y": "weight"}
        read = sweep_of(tmp_path, data=data)
        assert read == written
        assert [cell.id for cell in read.cells] == [cell.id for cell in written.cells]
        assert Sweep.from_text(read.to_yaml()) == written


def test_a_path_is_relative_to_the_spec(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("x,y\n-1,2\n3,4\n")
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "version: 1\nexperiment: crossing\nseed: 1\nnetworks: 5\ncells: {width: [4]}\n"
        "stop: [crossing]\ndata: {file: p.csv}\n"
    )
    points = cell_of(Sweep.from_yaml(spec)).point_set()
    assert points.x.tolist() == [-1.0, 3.0]
    assert points.y.tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"data": lists([*X[:-1], 1.6])},
        {"data": lists(y=[*Y[:-1], 0.6])},
        {"data": lists(X[::-1], Y[::-1])},  # the order decides which draws fall on which point
        {"data": lists(), "samples": 64},
        {"data": lists(), "samples": {"power": 1}},
        {"data": lists(), "samples": "each"},
        {"data": lists(), "cells": {"width": [8], "input_scale": [2.0]}},
        {"data": lists(), "cells": {"width": [8], "output_scale": [2.0]}},
        {"data": "standard"},
    ],
)
def test_every_change_makes_another_cell(changes: dict[str, Any]) -> None:
    before, after = cell_of(sweep_of(data=lists())), cell_of(sweep_of(**changes))
    assert before.id != after.id
    assert before.stream != after.stream


def test_what_is_spelled_out_as_in_the_paper_changes_nothing() -> None:
    plain = cell_of(sweep_of())
    cells = {"width": [8], "input_scale": [1], "output_scale": [1.0]}
    same = sweep_of(data="standard", samples={"factor": 1, "power": 2}, minibatch=16, cells=cells)
    assert cell_of(same).id == plain.id
    assert cell_of(sweep_of(minibatch=5)).id == plain.id  # gd has no minibatches


# ------------------------------------------------------------------------------------ draws


@pytest.mark.parametrize(
    ("samples", "width", "size"),
    [
        ("squared", 8, 64),
        (100, 8, 100),
        ({"power": 1.5, "factor": 2}, 16, 128),
        ({"power": 1, "factor": 0.01}, 8, 1),
    ],
)
def test_samples_have_the_size_of_the_rule(samples: Any, width: int, size: int) -> None:
    sweep = sweep_of(data=lists(), samples=samples, cells={"width": [width]})
    cell = cell_of(sweep)
    draws = draw_block(sweep.block(cell, 0), sweep.provenance(cell))
    assert (draws.counts.sum(axis=1) == size).all()
    assert (draws.validation_counts.sum(axis=1) == size).all()
    assert draws.counts.shape == (40, 5)


def test_each_point_may_be_there_once() -> None:
    sweep = sweep_of(data=lists(), samples="each")
    cell = cell_of(sweep)
    draws = draw_block(sweep.block(cell, 0), sweep.provenance(cell))
    assert (draws.counts == 1).all()
    assert problem_of(cell, draws).p == pytest.approx(np.full((40, 5), 0.2))


@given(st.integers(1, 255))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_minibatches_have_the_size_asked_for(size: int) -> None:
    counts = np.array([[3, 0, 5], [1, 1, 0]])
    drawn = PhiloxMinibatches(np.random.SeedSequence(1), counts, size).draw(np.arange(2), 7, 400)
    assert (drawn.sum(axis=1) == size).all()
    assert (drawn[0, 1] == 0).all()
    mean = drawn[0, 0].mean() / size
    assert abs(mean - 3 / 8) < 5 * np.sqrt(15 / 64 / (size * 400))


def test_a_minibatch_is_the_start_of_a_larger_one() -> None:
    counts, networks = np.array([[3, 0, 5]]), np.arange(1)
    seed = np.random.SeedSequence(1)
    sizes = [PhiloxMinibatches(seed, counts, k).draw(networks, 0, 50) for k in range(1, 30)]
    for smaller, larger in itertools.pairwise(sizes):
        assert ((larger.astype(int) - smaller).sum(axis=1) == 1).all()
        assert (larger >= smaller).all()


def test_scales_multiply_the_weights() -> None:
    # Other scales are other cells with other draws, so moments are compared, not networks
    lists_ = {"width": [64], "input_scale": [0.5], "output_scale": [3]}
    sweep = sweep_of(networks=200, cells=lists_)
    cell = cell_of(sweep)
    weights = problem_of(cell, draw_block(sweep.block(cell, 0), sweep.provenance(cell))).weights
    net = weights.rows(np.arange(200))
    assert net.a.std() == pytest.approx(0.5 * np.sqrt(2.0), rel=0.03)
    assert net.w.std() == pytest.approx(3.0 * np.sqrt(2.0 / 64), rel=0.03)


# ---------------------------------------------------------------------------------- training


@pytest.mark.parametrize("samples", ["squared", "each"])
def test_rows_are_those_of_training_step_by_step(samples: str) -> None:
    """A block of networks on points at uneven distances, against plain numpy."""
    sweep = sweep_of(data=lists(), samples=samples, stop=["crossing"])
    cell = cell_of(sweep)
    block, provenance = sweep.block(cell, 0), sweep.provenance(cell)
    _, outcome = train_block(block, provenance)
    problem = problem_of(cell, draw_block(block, provenance))
    reached = np.zeros(40, dtype=int)
    weights = problem.weights.rows(np.arange(40))
    trajectory = oracle.trajectory(problem._replace(weights=weights), None, 600)
    for step, net in enumerate(trajectory, start=1):
        out = oracle.outermost_kink(net, np.array(X)) >= 1.0
        reached[(reached == 0) & out & (step <= 600)] = step
    stopped_at = np.where(reached == 0, 600, -(-reached // 200) * 200)
    assert (outcome.first_crossing == reached).all()
    assert (outcome.stop_iteration == stopped_at).all()
    assert (outcome.status == StopReason.CROSSED).sum() > 0


def test_barriers_are_those_of_the_nearest_points() -> None:
    assert Barrier.of(np.array(X)) == Barrier(1 / 0.75, 1 / 0.5)
    assert Barrier.of(np.array([2.0, 4.0])) == Barrier(0.0, 0.5)


@pytest.mark.parametrize("x", [[0.5, 1.5, 2.5], [-0.5, -1.5, -2.5]])
def test_all_points_may_be_on_one_side(x: list[float]) -> None:
    sweep = sweep_of(data=lists(x, Y[:3]))
    _, outcome = train_block(sweep.block(sweep.cells[0], 0), sweep.provenance(sweep.cells[0]))
    allowed = {StopReason.CROSSED, StopReason.X_DEGENERATE}
    assert set(outcome.status.tolist()) <= allowed


def test_an_output_of_own_data_goes_on_without_the_file(tmp_path: Path) -> None:
    pacsv.write_csv(pa.table(lists()), tmp_path / "p.csv")
    out = tmp_path / "out"
    first = mcrelu.run(sweep_of(tmp_path, data={"file": "p.csv"}), out, "serial").table()
    (tmp_path / "p.csv").unlink()
    again = Sweep.from_yaml(out / "spec.yaml", ["networks=50"])
    second = mcrelu.run(again, out, "serial").table()
    assert first["networks"].to_pylist() == [40]
    assert second["networks"].to_pylist() == [50]
    (name,) = second["data"].to_pylist()
    assert name.startswith("5 points (")


# ----------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "fragments"),
    [
        ({"data": lists([-1.0, 0.0], [1.0, 2.0])}, ["x[1] = 0", "kinks start at 0", "leave out"]),
        ({"data": lists([1.0], [1.0, 2.0])}, ["1 x and 2 y"]),
        ({"data": lists([], [])}, ["data.x", "empty"]),
        ({"data": lists([1.0], [1e9])}, ["data.y[0]", "too large"]),
        ({"data": lists(["1"], [1.0])}, ["data.x[0]", "text", "1.0"]),  # type: ignore[list-item]
        ({"data": {"x": [1.0]}}, ["data.y", "missing"]),
        ({"data": "cross"}, ["data = 'cross'", "{file: points.csv}"]),
        ({"data": {"file": "none.csv"}}, ["none.csv", "no such file"]),
        ({"data": {"file": "p.csv", "x": "z"}}, ["p.csv", "'z'", "it has x, y, name"]),
        ({"data": {"file": "p.csv", "y": "name"}}, ["'name'", "give numbers"]),
        ({"data": {"file": "gap.csv"}}, ["'y'", "row 2"]),
        ({"data": {"file": "semi.csv"}}, ["semi.csv", "separate them by commas"]),
        ({"data": {"file": "torn.parquet"}}, ["torn.parquet", "cannot be read"]),
        ({"data": {"file": "empty.csv"}}, ["empty.csv"]),
        ({"data": {"file": "p.csv", "inputs": ["x"]}}, ["data.inputs", "unknown key"]),
        ({"samples": "all"}, ["samples = 'all'", "'each'"]),
        ({"samples": 0}, ["samples = 0", "1 or more"]),
        ({"samples": {"factor": 2}}, ["samples.power", "missing"]),
        ({"samples": "each", "stop": ["crossing", "early_stopping"]}, ["early_stopping", "each"]),
        ({"minibatch": 0}, ["minibatch = 0"]),
        ({"minibatch": 256}, ["minibatch = 256", "255"]),
        ({"rng": "legacy", "samples": 5, "cells": {"width": [16]}}, ["legacy", "leave data"]),
        ({"cells": {"width": [8], "input_scale": [0]}}, ["cells.input_scale[0]", "more than 0"]),
    ],
)
def test_what_is_refused(changes: dict[str, Any], fragments: list[str], tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("x,y,name\n1,2,a\n-1,3,b\n")
    (tmp_path / "gap.csv").write_text("x,y\n1,2\n-1,\n")
    (tmp_path / "semi.csv").write_text("x;y\n1;2\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(SpecError) as error:
        sweep_of(tmp_path, **changes)
    assert not [fragment for fragment in fragments if fragment not in str(error.value)], error.value
    assert "\n" not in str(error.value)


def test_long_lists_do_not_fill_the_message() -> None:
    with pytest.raises(SpecError) as error:
        sweep_of(data=lists([1.0] * 5000, [1.0]))
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("x", "note"),
    [
        (X, None),
        ([-1.0, -1.0, 1.0, 2.0, 3.0], "one distinct point left of zero"),
        ([1.0, 1.5, 2.0, 2.5, 3.0], "no point left of zero"),
        ([-3.0, -2.0, -1.0, 1.0, 1.0], "one distinct point right of zero"),
    ],
)
def test_conditions_of_the_theory_are_named(x: list[float], note: str | None) -> None:
    notes = [one for one in sweep_of(data=lists(x)).notes() if "intercepts" not in one]
    assert len(notes) == (note is not None)
    if note is not None:
        assert note in notes[0]
        assert "x_degenerate" in notes[0]


def test_lines_that_miss_the_origin_are_named() -> None:
    x = [-3.0, -2.0, -1.0, 1.0, 2.0, 4.0]
    through = [abs(place) for place in x]
    assert not sweep_of(data=lists(x, through)).notes()
    beside = [y + (0.5 if place > 0 else -0.25) for place, y in zip(x, through, strict=True)]
    (note,) = sweep_of(data=lists(x, beside)).notes()
    assert "intercepts 0.5 and -0.25" in note
    assert not sweep_of(cells={"width": [8], "offset": [0.1]}).notes()  # Figure 6


def test_checks_that_end_too_early_are_named() -> None:
    assert not sweep_of(checks={"interval": 100, "maximum": 8}).notes()
    (note,) = sweep_of(checks={"interval": 100, "maximum": 7}).notes()
    assert "checks end at step 700" in note
    assert "raise checks.maximum" in note


def test_points_of_one_place_are_one_distinct_point() -> None:
    """Two targets at one x leave the slope of a side undetermined, as one point does."""
    sweep = sweep_of(data=lists([-1.0, -1.0, 1.0, 2.0, 3.0]), samples="each")
    cell = sweep.cells[0]
    _, outcome = train_block(sweep.block(cell, 0), sweep.provenance(cell))
    assert (outcome.status == StopReason.X_DEGENERATE).sum() > 0
    assert StopReason.LOCALLY_CONVERGED not in outcome.status


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        (SampleRule(), "n^2"),
        (SampleRule(0.5, 1.5), "0.5 n^1.5"),
        (SampleRule(100.0, 0.0), "100"),
        (SampleRule(1.0, 0.0), "1"),
        (SampleRule(each=True), "each point once"),
    ],
)
def test_rules_read_like_formulas(rule: SampleRule, shown: str) -> None:
    assert str(rule) == shown
