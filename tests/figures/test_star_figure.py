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
from mcrelu.experiments.star.figures import drawings, star_figure
from mcrelu.experiments.star.sections import sections
from mcrelu.experiments.star.tables import DECILES, PROGRESS, SETTING
from mcrelu.figures.style import look, publish
from mcrelu.stats.intervals import clopper_pearson, wilson
from mcrelu.store.files import Files


def cell(width: int, kinks: int, losses: int, **changes: Any) -> dict[str, Any]:
    row = {
        "width": width, "data": "star-11", "depth": 1, "activation": "relu",
        "step_rule": "inv_lambda_max", "step_factor": 1.0, "random_bias": False,
        "networks": 100, "relative_loss": 0.5, "diverged": 0,
    }  # fmt: skip
    for event, k in (("kink", kinks), ("loss", losses)):
        (low, high), exact = wilson(k, 100), clopper_pearson(k, 100)
        row |= {
            f"{event}_k": k,
            f"{event}_estimate": k / 100,
            f"{event}_wilson_low": float(low),
            f"{event}_wilson_high": float(high),
            f"{event}_clopper_pearson_low": float(exact.low),
            f"{event}_clopper_pearson_high": float(exact.high),
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
    section = sections({CELL_TABLE: CELLS})[0]
    waiting, first, last = section.rows
    assert section.title == "star-11, h = 1/λ_max"
    assert len(section.headings) == len(first) == 9
    kinks = ("0.900", "0.826 .. 0.945", "0.896")
    assert first == ("4096", "100", *kinks, "0.400", "0.309 .. 0.498", "0.367", "0.5")
    assert last[0] == "8192"
    assert waiting == ("16", "0", *[""] * 7)


def test_few_networks_have_the_exact_interval_and_it_is_said() -> None:
    few = pa.Table.from_pylist([cell(16, 7, 3), cell(32, 50, 97)])
    (curve,) = curves_of(few)
    (first, second), losses = curve.fractions["kink"], curve.fractions["loss"]
    assert (first.low, first.high) == pytest.approx(tuple(map(float, clopper_pearson(7, 100))))
    assert (second.low, second.high) == pytest.approx(tuple(map(float, wilson(50, 100))))
    assert losses[1].high == pytest.approx(float(clopper_pearson(97, 100).high))
    section, _ = sections({CELL_TABLE: few})
    assert any("Clopper and Pearson's where" in remark for remark in section.remarks)
    plain, _ = sections({CELL_TABLE: pa.Table.from_pylist([cell(32, 50, 40)])})
    assert plain.remarks == ()


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


def test_curves_do_not_hide_each_other() -> None:
    """Where all are 1 they lie on each other: thinner ones on thicker, bars side by side."""
    lots = [cell(width, 100, 100, step_factor=factor) for factor in (1.0, 2.0) for width in (8, 16)]
    with look():
        axes = star_figure(curves_of(pa.Table.from_pylist(lots))).axes[0]
    (first, *_), (second, *_) = (
        cast("ErrorbarContainer", container).lines for container in axes.containers
    )
    assert first.get_linewidth() > second.get_linewidth()
    assert (first.get_linestyle(), first.get_marker()) != (
        second.get_linestyle(), second.get_marker(),
    )  # fmt: skip
    assert np.all(np.asarray(first.get_xdata()) < np.asarray(second.get_xdata()))


EPOCHS = [1000, 2000, 3000]


def with_progress() -> dict[str, pa.Table]:
    """Tables of two widths, of which one has results; deciles from 0.9 to 1.1, and one infinite."""
    row = cell(16, 50, 50)
    shared = {name: row[name] for name in (*SETTING, "width")}
    deciles = {f"decile_{q}": 0.9 + q / 500 for q in DECILES}
    rows = [shared | deciles | {"epoch": epoch} for epoch in EPOCHS]
    rows[0]["decile_90"] = np.inf
    cells = pa.Table.from_pylist([row, cell(32, 0, 0, networks=0)])
    return {CELL_TABLE: cells, PROGRESS: pa.Table.from_pylist(rows)}


def test_losses_are_medians_with_bands_between_deciles() -> None:
    first, drawing = drawings(with_progress())
    assert (first.name, drawing.name) == ("star", "losses")
    assert "deciles" in drawing.caption
    assert drawing.caption.startswith("100 networks per line")
    (axes,) = drawing.figure.axes
    median = axes.lines[0]
    assert np.asarray(median.get_xdata()).tolist() == EPOCHS
    assert np.asarray(median.get_ydata()) == pytest.approx([0.0] * 3)
    outer = axes.collections[0].get_paths()[0].vertices
    assert (outer[:, 1].min(), outer[:, 1].max()) == pytest.approx((-0.08, 0.08))
    assert outer[:, 0].min() == 2000  # infinite before that
    assert len(axes.collections) == 4
    assert axes.get_title() == "$n = 16$"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "symlog")


def test_sections_tell_the_losses_and_how_training_ended() -> None:
    _, losses, endings = sections(with_progress())
    assert losses.figure == "losses"
    assert losses.rows == (("star-11, h = 1/λ_max", "16", "3000", "-0.08", "+0", "+0.08"),)
    assert [row[1:] for row in endings.rows] == [("16", "100", "100", "0"), ("32", "0", "0", "0")]


def test_without_a_table_of_progress_there_are_no_losses() -> None:
    cells = {CELL_TABLE: CELLS}
    assert [drawing.name for drawing in drawings(cells)] == ["star"]
    assert not any(section.figure == "losses" for section in sections(cells))
