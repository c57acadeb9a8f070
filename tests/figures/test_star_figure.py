"""The star figure: what is in it, and that it can be redrawn bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.container import ErrorbarContainer

from mcrelu.experiments.base import CELLS as CELL_TABLE
from mcrelu.experiments.star.curves import curves_of
from mcrelu.experiments.star.figures import star_figure
from mcrelu.experiments.star.sections import sections
from mcrelu.figures.style import look, publish
from mcrelu.stats.intervals import wilson
from mcrelu.store.files import Files


def cell(width: int, kinks: int, losses: int, **changes: Any) -> dict[str, Any]:
    row = {
        "width": width, "data": "star-11", "depth": 1, "activation": "relu",
        "step_rule": "inv_lambda_max", "step_factor": 1.0, "random_bias": False,
        "networks": 100, "relative_loss": 0.5, "diverged": 0,
    }  # fmt: skip
    for event, k in (("kink", kinks), ("loss", losses)):
        low, high = wilson(k, 100)
        row |= {
            f"{event}_estimate": k / 100,
            f"{event}_wilson_low": float(low),
            f"{event}_wilson_high": float(high),
        }
    return row | changes


CELLS = pa.Table.from_pylist(
    [
        cell(8192, 80, 10),
        cell(4096, 90, 40),
        cell(4096, 95, 50, step_factor=2.0),
        cell(16, 0, 0, networks=0),
        cell(16, 7, 3, data="cross", depth=3, activation="tanh", random_bias=True),
    ]
)


def test_curves_ascend_and_have_the_paper_s_points() -> None:
    first, other, second = curves_of(CELLS)  # by their narrowest width, with results or not
    assert first.width == [4096, 8192]
    assert [one.paper for one in first.fractions["kink"]] == [0.896, 0.84]
    assert [one.paper for one in second.fractions["loss"]] == [0.367]
    assert not other.in_paper


def test_names_say_what_differs() -> None:
    names = {curve.name for curve in curves_of(CELLS)}
    assert names == {
        "star-11, h = 1/λ_max",
        "star-11, h = 2/λ_max",
        "cross, 3 hidden layers, tanh, random biases, h = 1/λ_max",
    }


def test_rows_have_both_fractions_with_intervals() -> None:
    section = max(sections({CELL_TABLE: CELLS}), key=lambda one: len(one.rows))
    waiting, first, last = section.rows
    assert section.title == "star-11, h = 1/λ_max"
    assert len(section.headings) == len(first) == 9
    kinks = ("0.900", "0.826 .. 0.945", "0.896")
    assert first == ("4096", "100", *kinks, "0.400", "0.309 .. 0.498", "0.367", "0.5")
    assert last[0] == "8192"
    assert waiting == ("16", "0", *[""] * 7)


def test_error_bars_are_the_intervals() -> None:
    curve = max(curves_of(CELLS), key=lambda one: len(one.width))
    with look():
        kinks, losses = star_figure([curve]).axes
    for axes, counts in ((kinks, [90, 80]), (losses, [40, 10])):
        (bars,) = cast("ErrorbarContainer", axes.containers[0]).lines[2]
        ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
        for (bottom, top), k in zip(ends, counts, strict=True):
            assert (bottom, top) == pytest.approx(tuple(map(float, wilson(k, 100))))
        (paper,) = [line for line in axes.lines if line.get_label() == "paper"]
        assert np.asarray(paper.get_xdata()).tolist() == [4096, 8192]


def test_panels_are_labelled() -> None:
    with look():
        figure = star_figure(curves_of(CELLS))
    for axes in figure.axes:
        assert "width" in axes.get_xlabel()
        assert axes.get_title()
        assert axes.get_xscale() == "log"
    assert figure.axes[0].get_ylabel() == "fraction of networks"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(labels) == 4
    assert "paper" in labels


def test_the_same_table_gives_the_same_files(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        with look():
            paths = publish(star_figure(curves_of(CELLS)), Files.at(tmp_path / name), "star")
        contents.append([Path(path).read_bytes() for path in paths])
    assert contents[0] == contents[1]
