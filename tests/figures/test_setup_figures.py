"""The figures of the setups experiment: what is in them, and that they can be redrawn."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from mcrelu.distributions import inputs_of
from mcrelu.experiments.base import Drawing
from mcrelu.experiments.setups.figures import drawings
from mcrelu.experiments.setups.kink_distances import distance_cdf
from mcrelu.experiments.setups.latex import NAME, setups_tex
from mcrelu.experiments.setups.looks import line_look
from mcrelu.experiments.setups.naming import Biases, Configuration, configuration_of
from mcrelu.experiments.setups.paper import PAPER
from mcrelu.experiments.setups.relative import over_inputs
from mcrelu.experiments.setups.sections import sections
from mcrelu.experiments.setups.tables import BEST, derived
from mcrelu.figures.style import COLUMN_WIDTH, PAGE_WIDTH, look, publish
from mcrelu.figures.ticks import log_ticks
from mcrelu.store.files import Files

BAYES = 0.1376
KINKS = "kink_distances"
LEARNED = "learned_on_ex"
Row = dict[str, Any]


def row(data: str, rmse: float, error: float | None = 0.001, **changes: Any) -> Row:
    """A row of the cell table."""
    return {
        "cell": "c", "data": data, "parametrization": "he", "optimizer": "sgd",
        "bias_init": "zero", "bias_gain": 1.0, "width": 512, "batch": 256,
        "inputs": inputs_of(data), "learning_rate": 0.01, "engine": "fused", "epochs": 9,
        "train_points": 256, "networks": 100, "diverged": 0,
        "best_valid_rmse": rmse, "best_valid_rmse_se": error,
        "best_test_rmse": rmse, "best_test_rmse_se": error,
        "bayes_rmse": BAYES if data == "ex" else 0.0,
    } | changes  # fmt: skip


def paper_rows() -> list[Row]:
    """Table L.1 as cells, a tenth or so beside the published means: 48 configurations, 8 data."""
    rows = []
    for k, ((setting, inputs), mean) in enumerate(PAPER.points().items()):
        if setting.measure == "test":
            names = ("parametrization", "optimizer", "bias_init")
            data = "ex" if setting.distribution == "ex" else f"radial-{inputs}"
            rmse = mean.mean * (1.0 + 0.02 * (37 * k % 11 - 5))
            same = {name: getattr(setting, name) for name in names}
            rows.append(row(data, rmse, mean.error, **same))
    return rows


def tables(rows: Sequence[Row]) -> dict[str, pa.Table]:
    columns = derived(pa.Table.from_pylist([row("ex", 1.0)]))[BEST].schema
    return derived(pa.Table.from_pylist(list(rows), schema=columns))


def drawn(rows: Sequence[Row]) -> dict[str, Drawing]:
    with look():
        found = drawings(tables(rows))
    return {one.name: one for one in found}


FULL = paper_rows()
ALL = drawn(FULL)
RATIOS = [
    row("radial-1", 0.2, 0.01), row("radial-4", 0.4, 0.02),
    row("radial-1", 0.1, 0.01, bias_init="unif-neg"),
    row("radial-4", 0.5, 0.03, bias_init="unif-neg"),
    row("radial-8", 0.7, 0.03, bias_init="unif-neg"),  # without a baseline
    row("radial-1", 0.05, None, optimizer="adam", parametrization="ntk"),
    row("radial-4", 0.3, 0.01, optimizer="adam", parametrization="ntk"),
]  # fmt: skip

THREE = [one for one in FULL if one["data"] in {"ex", "radial-1", "radial-64"}]


def figure_of(drawing: Drawing) -> Figure:
    return cast("Figure", drawing.figure)


def panel(figure: Figure, title: str) -> Axes:
    (found,) = [axes for axes in figure.axes if axes.get_title() == title]
    return found


def line(axes: Axes, label: str) -> Line2D:
    (found,) = [one for one in axes.lines if one.get_label() == label]
    return found


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


# --- which there are ------------------------------------------------------------------------


def test_nothing_is_drawn_of_nothing() -> None:
    assert drawn([]) == {}
    assert drawn([row("ex", 1.0, best_valid_rmse=None, networks=0)]) == {}
    assert sections(tables([])) == []


def test_the_paper_s_table_has_all() -> None:
    assert list(ALL) == ["rmse", "rmse_over_inputs", "rmse_by_optimizer", LEARNED, KINKS]


def test_one_data_set_has_nothing_over_inputs() -> None:
    rows = [one for one in FULL if one["data"] == "radial-4"]
    assert list(drawn(rows)) == ["rmse", KINKS]
    assert list(drawn([row("ex", 0.5, bias_init="unif")])) == ["rmse"]
    assert list(drawn([row("ex", 0.5)])) == ["rmse", LEARNED]


def test_nothing_is_compared_with_itself() -> None:
    assert list(drawn(RATIOS[:2])) == ["rmse"]
    assert list(drawn([*RATIOS[:2], *RATIOS[5:]])) == ["rmse", "rmse_by_optimizer"]
    assert list(drawn(RATIOS[:4])) == ["rmse", "rmse_over_inputs", KINKS]


def test_numbers_of_inputs_are_of_one_family() -> None:
    rows = [RATIOS[0], RATIOS[2], row("rbf-4", 0.3), row("rbf-4", 0.4, bias_init="unif")]
    assert list(drawn(rows)) == ["rmse", KINKS]


def test_each_family_has_its_own_comparison() -> None:
    more = [one | {"data": one["data"].replace("radial", "rbf")} for one in RATIOS]
    names = list(drawn([*RATIOS, *more]))
    assert "rmse_over_inputs-radial-n512-batch256" in names
    assert "rmse_by_optimizer-rbf-n512-batch256" in names


def test_every_figure_is_of_a_section() -> None:
    for rows in (FULL, RATIOS, RATIOS[:1]):
        shown = sections(tables(rows))
        assert {one.figure for one in shown} - {None} == set(drawn(rows))
        for one in shown:
            assert {len(entries) for entries in one.rows} == {len(one.headings)}


# --- RMSE by configuration ------------------------------------------------------------------


def bars(axes: Axes, optimizer: str) -> dict[float, tuple[float, float, float]]:
    """Value and ends of the bar by place on the ordinate."""
    (found,) = [one for one in axes.containers if one.get_label() == optimizer]
    points, _, (segments,) = cast("ErrorbarContainer", found).lines
    assert points is not None
    x, y = (np.asarray(values).tolist() for values in points.get_data())
    ends = [segment[:, 0].tolist() for segment in segments.get_segments()]
    return {place: (value, *two) for place, value, two in zip(y, x, ends, strict=True)}


def test_bars_are_the_numbers_of_the_table() -> None:
    figure = figure_of(ALL["rmse"])
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(names) == len(set(names)) == 16
    entries = 0
    for one in tables(FULL)[BEST].to_pylist():
        words = configuration_of(one).words()
        name = f"{words[0]}, {configuration_of(one).biases.formula}"
        found = bars(panel(figure, one["data"]), words[1])
        (value,) = [bar for y, bar in found.items() if round(y) == names.index(name)]
        mean, spread = one["best_test_rmse"], 2.0 * one["best_test_rmse_se"]
        assert value == pytest.approx((mean, mean - spread, mean + spread))
        entries += 1
    assert entries == 48 * 8


def test_the_paper_s_values_are_beside_ours() -> None:
    axes = panel(figure_of(ALL["rmse"]), "radial-8")
    published = {
        round(mean.mean, 9)
        for (setting, inputs), mean in PAPER.points().items()
        if setting.distribution == "radial" and inputs == 8
    }
    circles = [one for one in axes.lines if one.get_label() == "paper"]
    values = {round(float(x), 9) for one in circles for x in np.asarray(one.get_xdata())}
    assert values == published
    for one in circles:
        assert one.get_markerfacecolor() == "none"
        low, high = axes.get_xlim()
        assert all(low < x < high for x in np.asarray(one.get_xdata()))


def test_no_paper_s_values_of_other_setups() -> None:
    figure = figure_of(drawn([row("ex", 0.5, width=64), row("ex-old", 0.4)])["rmse"])
    assert "paper" not in legend(figure)


def test_bayes_rmse_where_there_is_noise() -> None:
    figure = figure_of(ALL["rmse"])
    bayes = line(panel(figure, "ex"), "Bayes RMSE")
    assert np.asarray(bayes.get_xdata()) == pytest.approx([BAYES, BAYES])
    assert bayes.get_linestyle() == ":"
    for axes in figure.axes:
        labels = [one.get_label() for one in axes.lines]
        assert ("Bayes RMSE" in labels) == (axes.get_title() == "ex")


def test_panels_are_labelled() -> None:
    figure = figure_of(ALL["rmse"])
    assert [axes.get_title() for axes in figure.axes][:3] == ["ex", "radial-1", "radial-2"]
    assert legend(figure) == ["SGD", "SGDM", "Adam", "paper", "Bayes RMSE"]
    assert "test RMSE" in figure.get_supxlabel()
    for axes in figure.axes:
        assert axes.get_xscale() == "log"
        assert len(axes.get_xticks()) >= 2
    assert figure.get_figwidth() == PAGE_WIDTH
    assert figure.get_figheight() < 9.0  # inches: a page


def test_one_network_has_no_error() -> None:
    figure = figure_of(
        drawn([row("ex", 0.5, None), row("ex", 0.4, None, optimizer="adam")])["rmse"]
    )
    assert [value for value, *_ in bars(figure.axes[0], "Adam").values()] == [0.4]


def test_names_tell_widths_apart() -> None:
    figure = figure_of(drawn([row("ex", 0.5), row("ex", 0.4, width=64)])["rmse"])
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["He, zero, $n = 64$", "He, zero, $n = 512$"]


# --- RMSE over the number of inputs ---------------------------------------------------------


def test_ratios_are_to_zero_biases() -> None:
    figure = figure_of(drawn(RATIOS)["rmse_over_inputs"])
    axes = panel(figure, "He, SGD")
    curve = line(axes, Biases("unif-neg", 1.0).formula)
    assert np.asarray(curve.get_xdata()).tolist() == [1, 4]
    assert np.asarray(curve.get_ydata()) == pytest.approx([0.5, 1.25])
    band = axes.collections[1].get_paths()[0].vertices
    ends = {(x, round(y, 9)) for x, y in np.asarray(band)}
    assert ends == {(1, 0.4), (1, 0.6), (4, 1.1), (4, 1.4)}
    assert np.asarray(line(axes, "zero").get_ydata()).tolist() == [1.0, 1.0]
    assert legend(figure) == ["zero", Biases("unif-neg", 1.0).formula]


def test_without_zero_biases_the_first_is_the_baseline() -> None:
    (one,) = over_inputs(
        row(data, rmse, bias_init=init)
        for init, rmse in (("unif-neg", 0.2), ("pytorch", 0.4))
        for data in ("rbf-2", "rbf-8")
    )
    assert one.biases == ("pytorch", 1.0)
    assert [curve.ratio for curve in one.curves] == [(1.0, 1.0), (0.5, 0.5)]


def test_panels_are_parametrisations_by_optimisers() -> None:
    figure = figure_of(ALL["rmse_over_inputs"])
    titles = [f"{p}, {o}" for p in ("He", "NTK") for o in ("SGD", "SGDM", "Adam")]
    assert [axes.get_title() for axes in figure.axes] == titles
    for axes in figure.axes:
        assert len(axes.lines) == 8
        assert axes.get_xscale() == axes.get_yscale() == "log"
        assert axes.get_ylim() == figure.axes[0].get_ylim()
    assert len(legend(figure)) == 8
    assert figure.get_supylabel() == "test RMSE relative to zero biases"
    assert figure.get_figwidth() == PAGE_WIDTH


def test_optimisers_are_relative_to_the_first() -> None:
    figure = figure_of(drawn(RATIOS)["rmse_by_optimizer"])
    (axes,) = figure.axes
    assert np.asarray(line(axes, "He SGD").get_ydata()).tolist() == [1.0, 1.0]
    assert np.asarray(line(axes, "NTK Adam").get_ydata()) == pytest.approx([0.25, 0.75])
    assert axes.get_ylabel() == "test RMSE relative to He SGD"
    assert "inputs" in axes.get_xlabel()
    assert figure.get_figwidth() == COLUMN_WIDTH


def test_lines_differ_by_more_than_colour() -> None:
    looks = [tuple(line_look(k).values()) for k in range(18)]
    assert len(set(looks)) == 18
    assert len({one[1:] for one in looks}) == 18


# --- distances of kinks ---------------------------------------------------------------------


def test_distances_are_drawn_for_all_numbers_of_inputs() -> None:
    rows = [row("radial-3", 0.1, bias_init="kink-neg-unif")]
    (axes,) = figure_of(drawn(rows)[KINKS]).axes
    labels = [str(one.get_label()) for one in axes.lines]
    assert labels[:-1] == ["1", "2", "3", "4", "8", "16", "32", "64"]
    for one in axes.lines[:-1]:
        t = np.asarray(one.get_xdata(), dtype=float)
        drawn_cdf = np.asarray(one.get_ydata())
        assert drawn_cdf.tolist() == distance_cdf(t, int(str(one.get_label()))).tolist()
    uniform = axes.lines[-1]
    assert np.interp(
        [np.sqrt(3.0) / 2, 2.0], np.asarray(uniform.get_xdata()), np.asarray(uniform.get_ydata())
    ) == pytest.approx([0.5, 1.0])
    assert axes.get_xlabel()
    assert axes.get_ylabel()


# --- the LaTeX table ------------------------------------------------------------------------


def body(text: str) -> list[list[str]]:
    """The lines of a longtable, heading first, as entries."""
    inside = text.partition(r"\begin{longtable}")[2].partition(r"\end{longtable}")[0]
    return [
        [entry.strip() for entry in one.removesuffix(r"\\").split("&")]
        for one in inside.splitlines()
        if one.endswith(r"\\")
    ]


@pytest.mark.parametrize(
    "rows", [FULL, RATIOS, RATIOS[:1], [row("ex", 1, bias_init="kink_uniform")]]
)
def test_latex_is_well_formed(rows: list[Row]) -> None:
    text = setups_tex(tables(rows)[BEST].to_pylist())
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    (columns,) = re.findall(r"\\begin\{longtable\}\{(\w+)\}", text)
    assert {len(entries) for entries in body(text)} == {len(columns)}
    assert all(one.count("$") % 2 == 0 for one in text.splitlines())
    assert "_" not in re.sub(r"\\_|\$[^$]*\$", "", text)
    assert "%" not in text
    assert text.isascii()


def test_latex_has_the_numbers_of_the_table() -> None:
    text = ALL["rmse"].documents[NAME]
    heading, *lines = body(text)
    assert len(lines) == 48
    assert heading[3:] == ["ex", *(f"radial-{2**k}" for k in range(7))]
    entry = re.compile(r"\\cellcolor\{rmse!(\d+)\}([\d.]+) \$\\pm\$ ([\d.]+)")
    shown: list[tuple[str, int, int, int]] = []
    for one in lines:
        for data, cell in zip(heading[3:], one[3:], strict=True):
            found = entry.fullmatch(cell)
            assert found is not None
            shade, mean, error = (round(float(part)) for part in found.groups())
            shown.append((data, shade, mean, error))
    means, errors = "best_test_rmse", "best_test_rmse_se"
    wanted = {(one["data"], round(1e4 * one[means]), round(1e4 * one[errors])) for one in FULL}
    assert {(data, mean, error) for data, _, mean, error in shown} == wanted
    for name in heading[3:]:
        column = sorted((mean, shade) for data, shade, mean, _ in shown if data == name)
        shades = [shade for _, shade in column]
        assert shades == sorted(shades)
        assert (shades[0], shades[-1]) == (0, 60)
        low, middle, high = (column[k][0] for k in (0, 24, -1))
        assert shades[24] == pytest.approx(60 * np.log(middle / low) / np.log(high / low), abs=1)


def test_latex_leaves_missing_entries_empty() -> None:
    heading, *lines = body(setups_tex(tables(RATIOS)[BEST].to_pylist()))
    assert heading[3:] == ["radial-1", "radial-4", "radial-8"]
    assert [one[5] == "" for one in lines] == [True, False, True]
    assert lines[2][3] == r"\cellcolor{rmse!0}500"  # no error of one network


def test_latex_shows_small_errors() -> None:
    rows = [row("ex", 0.00123, 0.00003), row("ex", 0.01234, 0.0002, bias_init="unif")]
    _, *lines = body(setups_tex(rows))
    shown = [one[3].partition("}")[2] for one in lines]
    assert shown == [r"12.3 $\pm$ 0.3", r"123 $\pm$ 2"]


def test_latex_has_width_and_batch_only_if_they_differ() -> None:
    heading, *lines = body(setups_tex([row("ex", 0.5), row("ex", 0.4, width=64)]))
    assert heading[3:5] == ["width", "batch"]
    assert [one[3] for one in lines] == ["64", "512"]


# --- all of them ----------------------------------------------------------------------------


def supers(figure: Figure) -> set[str]:
    """The labels of whole figures."""
    return {figure.get_supxlabel(), figure.get_supylabel()} - {""}


def boxes(figure: Figure) -> list[tuple[str, Any]]:
    """Where names and numbers of ticks, labels and titles are."""
    figure.draw_without_rendering()
    texts: list[Text] = [axes.title for axes in figure.axes]
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            low, high = sorted(limits)
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            texts += [axis.label, *(tick.label1 for tick in ticks)]
    wide = supers(figure)
    texts += [text for text in figure.findobj(Text) if text.get_text() in wide]
    found = [
        (text.get_text(), text.get_window_extent())
        for text in texts
        if text.get_text() and text.get_visible()
    ]
    return [*found, *(("legend", one.get_window_extent()) for one in figure.legends)]


@pytest.mark.parametrize("rows", [FULL, RATIOS, RATIOS[:1], THREE])
def test_no_text_overlaps_or_is_cut(rows: list[Row]) -> None:
    with look():
        for one in drawings(tables(rows)):
            figure = figure_of(one)
            found = boxes(figure)
            inside = figure.bbox.padded(1.0)
            for k, (name, box) in enumerate(found):
                assert inside.x0 <= box.x0 <= box.x1 <= inside.x1, (one.name, name)
                assert inside.y0 <= box.y0 <= box.y1 <= inside.y1, (one.name, name)
                for other, its in found[:k]:
                    assert not box.overlaps(its), (one.name, name, other)


@pytest.mark.slow
def test_the_same_tables_give_the_same_files(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        with look():
            found = drawings(tables(RATIOS))
            paths = [
                path
                for one in found
                for path in publish(one.figure, Files.at(tmp_path / name), one.name)
            ]
        documents = [text for one in found for text in one.documents.values()]
        contents.append((documents, [Path(path).read_bytes() for path in paths]))
    assert len(contents[0][1]) == 4 * 3
    assert contents[0] == contents[1]


def test_names_of_biases_differ() -> None:
    known = ("zero", "normal", "uniform", "unif", "unif-pos", "unif-neg", "pytorch", "kink-unif",
             "kink-neg-unif", "he+5", "he+1", "kink_uniform", "kink-neg-point", "mean")  # fmt: skip
    formulas = {Biases(name, 1.0).formula for name in known}
    assert len(formulas) == len(known)
    gains = {Configuration("he", "sgd", "unif", gain, 1, 1).biases.formula for gain in (0.5, 1.0)}
    assert gains == {"$U(0.5)$", "$U(1)$"}


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0005, 2.0, [0.001, 0.01, 0.1, 1.0]),
        (0.08, 0.6, [0.1, 0.2, 0.5]),
        (0.15, 0.6, [0.2, 0.3, 0.5]),
        (0.9, 2.4, [1.0, 1.5, 2.0]),
    ],
)
def test_ticks_of_logarithmic_axes(low: float, high: float, ticks: list[float]) -> None:
    assert log_ticks(low, high) == ticks


def test_narrow_logarithmic_axes_have_ticks() -> None:
    for ratio in (1.05, 1.3, 1.7, 2.0, 3.0, 10.0, 1e3, 1e9):
        for low in (0.0123, 0.33, 0.71, 1.0):
            ticks = log_ticks(low, low * ratio)
            assert len(ticks) >= 2
            assert ticks == sorted(ticks)
            assert low <= ticks[0] <= ticks[-1] <= low * ratio


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_the_table_compiles(tmp_path: Path) -> None:
    (name,) = ALL["rmse"].documents
    (tmp_path / name).write_text(ALL["rmse"].documents[name])
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / name).with_suffix(".pdf").stat().st_size > 5000
