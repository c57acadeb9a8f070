"""The figure of the steps at which networks are decided, and the percentiles behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.collections import PolyCollection

import mcrelu
from mcrelu.experiments.crossing.decision_figure import decision_figure
from mcrelu.experiments.crossing.decision_steps import DECISION_STEPS, decision_steps_of
from mcrelu.experiments.crossing.tables import CROSSING, PERCENTAGES
from mcrelu.figures.plot import draw
from mcrelu.figures.style import look
from mcrelu.problems.one_d import StopReason
from mcrelu.sweep.sweep import Sweep

SPEC = {
    "version": 1,
    "experiment": "crossing",
    "seed": 1,
    "networks": 60,
    "block_size": 25,
    "cells": {"width": [16, 32], "offset": [0, 1]},
    "stop": ["crossing", "sufficient"],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> mcrelu.Run:
    return mcrelu.run(Sweep.of(SPEC), tmp_path_factory.mktemp("run"), executor="serial")


def test_quantiles_are_those_of_the_rows(run: mcrelu.Run) -> None:
    table = run.table()
    for cell, row in zip(run.output.cells, table.to_pylist(), strict=True):
        rows = run.output.networks(cell)
        status = rows["status"].to_numpy()
        for reason, column, prefix in (
            (StopReason.CROSSED, "first_crossing", "crossing_step"),
            (StopReason.LOCALLY_CONVERGED, "stop_iteration", "certification_step"),
        ):
            steps = np.sort(rows[column].to_numpy()[status == reason])
            assert len(steps) > 5
            for level in PERCENTAGES:
                exact = steps[int(np.ceil(level / 100 * len(steps))) - 1]
                assert row[f"{prefix}_{level:02}"] == pytest.approx(exact, rel=0.011)


def test_a_panel_for_each_series(run: mcrelu.Run) -> None:
    table = run.table()
    series = decision_steps_of(table)
    assert [one.label for one in series] == ["GD", r"GD, $\Delta = 1$"]
    with look():
        figure = decision_figure(series)
    assert len(figure.axes) == 2
    for axes, offset in zip(figure.axes, (0.0, 1.0), strict=True):
        mine = table.filter(pa.compute.equal(table["offset"], offset))
        certified, crossed = (np.asarray(line.get_ydata()) for line in axes.lines)
        assert certified.tolist() == mine["certification_step_50"].to_pylist()
        assert crossed.tolist() == mine["crossing_step_50"].to_pylist()
        assert len([c for c in axes.collections if isinstance(c, PolyCollection)]) == 4
    assert figure.axes[0].get_ylabel() == "step"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "are proved never to cross",
        "cross",
    ]


def test_it_is_drawn_where_networks_were_certified(run: mcrelu.Run) -> None:
    names = {Path(path).name for path in draw(run.output)}
    assert {f"{DECISION_STEPS}.png", f"{DECISION_STEPS}.pdf", f"{DECISION_STEPS}.svg"} <= names


def test_older_tables_have_none(run: mcrelu.Run) -> None:
    assert decision_steps_of(run.table().drop_columns(["crossing_step_50"])) == []


def test_series_that_nothing_proves_have_their_crossings(run: mcrelu.Run) -> None:
    """As with early stopping; and where nothing crosses either there is no series."""
    table = run.table()
    none = pa.array([0] * len(table))
    for name in ("locally_converged", "k_low"):
        table = table.set_column(table.column_names.index(name), name, none)
        found = decision_steps_of(table)
        assert bool(found) == (name == "locally_converged")
        assert all((one.percentile(CROSSING, 50) > 0).all() for one in found)
