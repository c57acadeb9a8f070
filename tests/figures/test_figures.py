"""Figures: what is in them, that they can be redrawn bit for bit, and that the LaTeX compiles."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path as MarkerPath

from mcrelu.experiments.crossing.figures import crossing_figure, dodges_of, drawings
from mcrelu.experiments.crossing.pgf import crossing_tex
from mcrelu.experiments.crossing.sections import sections
from mcrelu.experiments.crossing.series import (
    Series,
    doubts,
    interval_sentences,
    law_sentence,
    series_of,
)
from mcrelu.experiments.crossing.tables import power_laws
from mcrelu.figures.style import look, publish
from mcrelu.figures.ticks import width_ticks
from mcrelu.stats.intervals import clopper_pearson, wilson
from mcrelu.stats.sequential import confidence_sequence
from mcrelu.store.files import Files
from mcrelu.types import Floats

WIDTHS = [16, 32, 64, 128]
LIMIT = "no crossing: 95 % upper limit"


def cells(crossed: list[int], unfinished: int = 0, **setting: object) -> pa.Table:
    """A table of cells as reduce makes it, 1000 networks each.

    ``unfinished`` of those that count as possibly crossed at the last width did not cross yet.
    """
    low, high = wilson(crossed, 1000)
    exact = clopper_pearson(crossed, 1000)
    base = {
        "offset": 0.0,
        "optimizer": "gd",
        "init": "he",
        "step_rule": "inv_lambda_max",
        "stop": "crossing+sufficient",
        "leaky_slope": 0.0,
    } | setting
    columns = {name: [value] * len(crossed) for name, value in base.items()}
    return pa.table(
        {
            **columns,
            "width": WIDTHS[: len(crossed)],
            "networks": [1000] * len(crossed),
            "k_low": [*crossed[:-1], crossed[-1] - unfinished],
            "k_high": crossed,
            "unfinished": [0] * (len(crossed) - 1) + [unfinished],
            "estimate": [k / 1000 for k in crossed],
            "wilson_low": low,
            "wilson_high": high,
            "clopper_pearson_low": exact.low,
            "clopper_pearson_high": exact.high,
        }
    )


def series(crossed: list[int], unfinished: int = 0, **setting: object) -> list[Series]:
    table = cells(crossed, unfinished, **setting)
    return series_of(table, power_laws(table))


def test_a_series_has_the_paper_s_points_and_its_fit() -> None:
    (one,) = series([360, 250, 180, 130])
    assert one.paper_width == [16, 32, 64, 128, 256, 512, 1024, 2048]
    assert one.paper_estimate[0] == 0.3611
    assert one.law is not None
    assert 0.4 < one.law.exponent < 0.6


def test_a_setting_that_is_not_in_the_paper_has_no_points_of_it() -> None:
    (one,) = series([360, 250], offset=0.5)
    assert one.paper_width == []
    assert one.label == r"GD, $\Delta = 0.5$"


def test_the_interval_is_one_that_holds_where_the_sample_was_ended_by_it() -> None:
    table = cells([360, 250])
    low, high = confidence_sequence([360, 250], 1000)
    table = table.append_column("sequence_low", pa.array(low))
    table = table.append_column("sequence_high", pa.array(high))
    for wanted, ends in ((None, wilson([360, 250], 1000)), (0.5, (low, high))):
        column = pa.array([wanted] * 2, pa.float64())
        (one,) = series_of(table.append_column("relative_width_wanted", column), power_laws(table))
        assert one.low == pytest.approx(ends[0])
        assert one.high == pytest.approx(ends[1])


def test_few_crossings_have_the_exact_interval_and_it_is_said() -> None:
    (one,) = series([360, 5])
    low, high = clopper_pearson(5, 1000)
    assert (one.low[1], one.high[1]) == pytest.approx((float(low), float(high)))
    assert one.low[0] == pytest.approx(float(wilson(360, 1000).low))
    (sentence,) = interval_sentences(one)
    assert "Clopper and Pearson's where fewer than 10" in sentence
    assert interval_sentences(*series([360, 250])) == []


@pytest.mark.parametrize(("crossed", "bias"), [([360, 20], "5%"), ([360, 250], ""), ([0, 0], "")])
def test_estimates_whose_samples_ended_early_are_said_to_be_biased(
    crossed: list[int], bias: str
) -> None:
    table = cells(crossed)
    low, high = confidence_sequence(crossed, 1000)
    for name, column in (
        ("sequence_low", low), ("sequence_high", high), ("relative_width_wanted", [1.0, 1.0])
    ):  # fmt: skip
        table = table.append_column(name, pa.array(column))
    (one,) = series_of(table, power_laws(table))
    found = interval_sentences(one)
    assert [bias in sentence for sentence in found] == [True] * bool(bias)


def test_widths_without_results_have_empty_rows_and_are_not_drawn() -> None:
    table = cells([360, 250, 180])
    none = dict.fromkeys(("estimate", "wilson_low", "wilson_high"))
    rows = [*table.to_pylist(), table.to_pylist()[0] | none | {"width": 128, "networks": 0}]
    rows += [rows[-1] | {"offset": 0.1, "width": 16}]
    reasons: dict[str, int | None] = dict.fromkeys(
        ("crossed", "locally_converged", "early_stopped"), 0
    )
    reasons |= {"a_degenerate": 0, "x_degenerate": 0, "relative_width_wanted": None}
    waiting = pa.Table.from_pylist([row | reasons for row in rows])
    tables = {"cells": waiting, "power_laws": power_laws(waiting)}
    first, other, endings = sections(tables)
    assert [row[:3] for row in first.rows][2:] == [("64", "1000", "0.1800"), ("128", "0", "")]
    assert "So far of 3 widths" in first.remarks[0]
    assert [row[:4] for row in other.rows] == [("16", "0", "", "")]
    assert len(endings.rows) == 5
    (drawing,) = drawings(tables)
    with look():
        assert len(drawing.figure.axes[0].containers) == 1


def legend_of(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_error_bars_are_the_intervals() -> None:
    with look():
        axes = crossing_figure(series([360, 250, 180, 130])).axes[0]
    (bars,) = cast("ErrorbarContainer", axes.containers[0]).lines[2]
    ends = sorted(segment[:, 1].tolist() for segment in bars.get_segments())
    low, high = wilson([130, 180, 250, 360], 1000)
    for (bottom, top), a, b in zip(ends, low, high, strict=True):
        assert bottom == pytest.approx(a)
        assert top == pytest.approx(b)


def test_axes_are_logarithmic_and_labelled() -> None:
    with look():
        axes = crossing_figure(series([360, 250])).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert "width" in axes.get_xlabel()
    assert axes.get_ylabel()
    assert legend_of(axes)[0] == "GD"


def legend_below(figure: Figure) -> dict[str, Line2D]:
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    return dict(zip(names, cast("list[Line2D]", legend.legend_handles), strict=True))


def heights(line: Line2D) -> Floats:
    """Ordinates of a marker that is a path."""
    return np.asarray(cast("MarkerPath", line.get_marker()).vertices)[:, 1]


def lines_called(axes: Axes, name: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_label() == name]


def test_no_crossing_is_an_upper_limit_and_the_legend_says_so() -> None:
    with look():
        figure = crossing_figure(series([5, 0]))
    (limit,) = lines_called(figure.axes[0], LIMIT)
    assert np.asarray(limit.get_xdata()).tolist() == [32]
    assert np.asarray(limit.get_ydata()).tolist() == pytest.approx(
        [float(clopper_pearson(0, 1000).high)]
    )
    arrow, shown = heights(limit), heights(legend_below(figure)[LIMIT])
    assert arrow.min() < 0.0 == arrow.max()  # down from there
    assert shown.tolist() == arrow.tolist()
    low, _ = figure.axes[0].get_ylim()
    assert low < clopper_pearson(0, 1000).high / 1.5
    assert "coordinates {(32, 0.00368208)}" in crossing_tex(series([5, 0]))


def test_without_zeros_there_are_no_upper_limits() -> None:
    with look():
        axes = crossing_figure(series([360, 250])).axes[0]
    assert lines_called(axes, LIMIT) == []
    assert LIMIT not in legend_of(axes)
    assert "limit" not in crossing_tex(series([360, 250]))


def test_a_law_is_marked_while_widths_are_waited_for() -> None:
    (one,) = series([360, 250, 180, 130])
    waiting = replace(one, waiting=[256])
    for drawn, marked in ((one, False), (waiting, True)):
        with look():
            labels = legend_of(crossing_figure([drawn]).axes[0])
        (law,) = [label for label in labels if "propto" in label]
        assert law.endswith(" so far") == marked
        assert (" so far}" in crossing_tex([drawn])) == marked


def test_series_of_the_same_widths_stand_side_by_side() -> None:
    both = [*series([360, 250, 180]), *series([360, 250, 180], offset=0.5)]
    left, right = dodges_of(both)
    assert left == -right < 0.0
    assert 2.0 * right < 0.5  # octaves: neighbouring widths stay apart
    with look():
        axes = crossing_figure(both).axes[0]
    for dodge, container in zip((left, right), axes.containers, strict=True):
        points = cast("ErrorbarContainer", container).lines[0]
        assert np.log2(points.get_xdata()) == pytest.approx([4 + dodge, 5 + dodge, 6 + dodge])
    assert dodges_of(both[:1]) == [0.0]
    assert dodges_of([both[0], replace(both[1], width=[128, 256, 512])]) == [0.0, 0.0]


def test_the_paper_s_points_look_as_in_the_legend_and_stand_beside_ours() -> None:
    offsets = (0.0, 0.01, 0.1)
    three = [series([360, 250], offset=offset)[0] for offset in offsets]
    with look():
        figure = crossing_figure(three)
    papers = lines_called(figure.axes[0], "paper")
    assert len(papers) == 3
    handle = legend_below(figure)["paper"]
    for line, dodge in zip(papers, dodges_of(three), strict=True):
        for what in ("color", "marker", "markersize", "markerfacecolor", "markeredgewidth"):
            getter = f"get_{what}"
            assert getattr(line, getter)() == getattr(handle, getter)(), what
        assert np.log2(line.get_xdata())[0] == pytest.approx(4 + dodge)


def test_the_same_table_draws_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        with look():
            figure = crossing_figure(series([360, 250, 180, 130]))
            publish(figure, Files.at(tmp_path / folder), "figures/crossing")
    for suffix in ("png", "pdf", "svg"):
        name = f"figures/crossing.{suffix}"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_many_widths_keep_room_between_their_labels() -> None:
    widths = [2**k for k in range(4, 17)]
    assert width_ticks(widths) == widths[::2]
    assert width_ticks(widths[:8]) == widths[:8]


def test_wide_widths_are_powers_of_two() -> None:
    with look():
        axes = crossing_figure(series([360, 250])).axes[0]
        assert [tick.get_text() for tick in axes.get_xticklabels()][:2] == ["16", "32"]
        (one,) = series([360, 250], offset=0.5)
        wide = replace(one, width=[1024, 65536])
        axes = crossing_figure([wide]).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["$2^{10}$", "$2^{16}$"]


def test_many_series_have_their_legend_below_and_one_entry_for_the_paper() -> None:
    offsets = (0.0, 0.01, 0.1)
    with look():
        figure = crossing_figure([series([360, 250], offset=offset)[0] for offset in offsets])
    assert figure.axes[0].get_legend() is None
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert len(labels) == len(offsets) + 2
    assert labels.count("paper") == 1
    with look():
        figure.draw_without_rendering()
    place = legend.get_window_extent().transformed(figure.transFigure.inverted())
    assert place.y1 < figure.axes[0].get_position().y0
    assert figure.axes[0].get_position().width > 0.85  # nothing beside them


def test_unfinished_networks_are_shown_and_not_fitted() -> None:
    (one,) = series([360, 250, 180, 600], unfinished=470)
    (finished,) = series([360, 250, 180])
    assert one.law == finished.law
    assert "47% at n = 128" in doubts(one)
    with look():
        axes = crossing_figure([one]).axes[0]
    labels = legend_of(axes)
    assert "if no unfinished network crosses" in labels
    ends = [y for line in axes.lines for y in np.asarray(line.get_ydata()).tolist()]
    assert 0.13 in ends


def test_a_law_that_does_not_fit_is_not_drawn() -> None:
    (straight,) = series([360, 250, 180, 130])
    (bent,) = series([360, 180, 180, 360])
    assert straight.sound_law == straight.law
    assert law_sentence(straight).startswith("P = ")
    assert bent.law is not None
    assert bent.sound_law is None
    assert law_sentence(bent).startswith("No power law")
    with look():
        lines = [len(crossing_figure([one]).axes[0].lines) for one in (straight, bent)]
    assert lines[0] == lines[1] + 1
    assert "x^(-" in crossing_tex([straight]).replace("x^(-0.5)", "")
    assert "x^(-" not in crossing_tex([bent]).replace("x^(-0.5)", "")


@pytest.mark.parametrize(
    ("crossed", "unfinished", "reason"),
    [
        ([546], 0, "No power law: one width alone fixes no exponent."),
        ([546, 500], 400, "No power law: one width alone fixes no exponent."),
        ([3, 0, 0], 0, "No power law: the estimate is 0 at all widths but one."),
        ([1000, 1000], 0, "No power law: the estimate is 1 at all widths."),
    ],
)
def test_why_there_is_no_law(crossed: list[int], unfinished: int, reason: str) -> None:
    """All of these were called too few crossings."""
    (one,) = series(crossed, unfinished)
    assert law_sentence(one) == reason


def test_how_well_a_law_fits_is_said() -> None:
    (good,), (bad,), (two,) = (series(k) for k in ([360, 250, 180, 130], [360, 100, 200], [9, 4]))
    assert "at 2 degrees of freedom, p = 0." in law_sentence(good)
    assert "at 1 degree of freedom, p = 1" in law_sentence(bad)
    assert "nothing tests it" in law_sentence(two)


def test_few_unfinished_networks_are_no_matter() -> None:
    (one,) = series([360, 250, 180, 130], unfinished=10)
    assert doubts(one) == ""
    assert one.law is not None
    assert one.law.points == 4


def test_names_have_no_latex() -> None:
    (one,) = series([360, 250], offset=0.1, leaky_slope=0.3)
    assert one.name == "GD, leaky slope = 0.3, Δ = 0.1"


def test_the_pgfplots_document_has_the_numbers() -> None:
    text = crossing_tex(series([360, 250, 180, 130]))
    assert "16 0.36 " in text
    assert "(16, 0.3611)" in text


def has_pgfplots() -> bool:
    """TeX may be there without it."""
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    return (
        subprocess.run(["kpsewhich", "pgfplots.sty"], check=False, capture_output=True).stdout
        != b""
    )


@pytest.mark.slow
@pytest.mark.skipif(not has_pgfplots(), reason="needs pdflatex with pgfplots")
def test_the_pgfplots_document_compiles(tmp_path: Path) -> None:
    lots = series([360, 250, 180, 130]) + series([300, 200], offset=0.1) + series([5, 0])
    (tmp_path / "figure.tex").write_text(crossing_tex(lots))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "figure.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "figure.pdf").stat().st_size > 5000
