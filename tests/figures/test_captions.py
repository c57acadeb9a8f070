"""The lines below figures, whatever experiment they are of."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from small_sweeps import output, publish_made_up, run_serially, sweep

from mcrelu.errors import UserError
from mcrelu.figures.captions import add_caption, joined, names_together, networks_per_point
from mcrelu.figures.plot import draw, draw_at, draw_together
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.reduce import reduce

FROZEN = Path(__file__).parent.parent / "frozen"
FOLDERS = sorted(path for path in FROZEN.iterdir() if path.is_dir())


def said_in(path: Path) -> str:
    """The texts of an SVG, which has them as comments, or the comments of a LaTeX document."""
    pattern = r"<!-- (.*?) -->" if path.suffix == ".svg" else r"^% (.*)$"
    return " ".join(re.findall(pattern, path.read_text(), re.MULTILINE))


def test_networks_are_told_as_one_number_or_from_the_least_to_the_most() -> None:
    assert networks_per_point([100, 100]) == "100 networks per point"
    assert networks_per_point([100, 5, 30]) == "5 to 100 networks per point"
    assert networks_per_point([1]) == "1 network per point"


def test_many_outputs_are_not_all_named() -> None:
    assert names_together("abc") == "a, b, c"
    assert names_together("abcdefghij") == "a, b, c, d, e, f, g, h and 2 more"


def test_a_caption_stands_below_the_figure_and_within_its_width() -> None:
    figure = Figure(figsize=(3.4, 2.0), layout="constrained")
    axes = figure.subplots()
    axes.plot([1, 2], label="line")
    figure.legend(loc="outside lower center")
    figure.draw_without_rendering()
    before = axes.get_position().bounds
    area = add_caption(figure, joined(("bars are 95 % Wilson intervals", None, "x " * 60)))
    assert axes.get_position().bounds == pytest.approx(before)
    assert len(figure.texts) > 1
    for line in figure.texts:
        box = line.get_window_extent()
        assert box.y1 <= 0.0
        assert box.y0 / figure.dpi >= area.y0
        assert 0.0 <= box.x0 < box.x1 <= figure.bbox.x1
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert legend.get_window_extent().y0 >= 0.0
    assert legend.get_window_extent().y1 < axes.get_window_extent().y0


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_figure_says_how_many_networks_and_which_output(folder: Path, tmp_path: Path) -> None:
    found = Output.open(Files.at(shutil.copytree(folder, tmp_path / "mine")))
    drawings = found.experiment.drawings(reduce(found).tables)
    assert len(drawings) > 1 or found.experiment.name in ("star", "event")
    drawn = {Path(path).name: Path(path) for path in draw(found)}
    for drawing in drawings:
        assert "network" in drawing.caption
        said = said_in(drawn[f"{drawing.name}.svg"])
        assert f"{drawing.caption}; mine" in said
        assert "unfinished" not in said


def test_an_unfinished_output_says_so_below_its_figures(tmp_path: Path) -> None:
    half, done = output(tmp_path / "half", sweep()), tmp_path / "done"
    half.take()
    publish_made_up(half, next(half.sweep.all_blocks()))
    other = run_serially(done, sweep(cells={"width": [8]}))
    reduce(half)
    reduce(other)
    expected = "half; unfinished: 1 of 3 blocks"
    for path in map(Path, draw(half)):
        if path.suffix in {".svg", ".tex"}:
            assert expected in said_in(path), path
    together = draw_together([half, other], Files.at(tmp_path))
    (svg,) = [Path(path) for path in together if path.endswith("crossing.svg")]
    assert "half, done; unfinished: 4 of 6 blocks" in said_in(svg)


def test_pictures_of_formats_that_are_not_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write jpg; use one of png, pdf, svg"):
        draw_at([], f"{tmp_path}/figure.jpg")
    assert list(tmp_path.iterdir()) == []
