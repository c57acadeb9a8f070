"""Several kinds of cells in one crossing sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcrelu.errors import SpecError
from mcrelu.experiments.crossing.paper import PAPER
from mcrelu.experiments.crossing.tables import points, tables
from mcrelu.store.contents import Contents
from mcrelu.sweep.reading import apply_settings
from mcrelu.sweep.sweep import Sweep

SWEEPS = Path(__file__).parents[2] / "jobs" / "sweeps"
COMMON = {"version": 1, "experiment": "crossing", "seed": 3, "networks": 20}
CHECKS = {"interval": 50, "maximum": 2}


def of(cells: Any, **more: Any) -> Sweep:
    return Sweep.of({**COMMON, "cells": cells, "checks": CHECKS, **more})


def test_cells_are_those_of_one_spec_per_kind() -> None:
    early = ["crossing", "early_stopping"]
    together = of(
        [
            {"width": [4, 8], "offset": [0, 0.1]},
            {"width": [8], "optimizer": ["sgd"], "stop": early, "step_size": {"over_width": 0.01}},
        ],
        stop=["crossing", "sufficient"],
    )
    first = of({"width": [4, 8], "offset": [0, 0.1]}, stop=["crossing", "sufficient"])
    second = of({"width": [8], "optimizer": ["sgd"]}, stop=early, step_size={"over_width": 0.01})
    assert [cell.id for cell in together.cells] == [
        cell.id for one in (first, second) for cell in one.cells
    ]
    assert [together.block_size(cell) for cell in together.cells] == [
        one.block_size(cell) for one in (first, second) for cell in one.cells
    ]


def test_the_spec_survives_being_written_out() -> None:
    sweep = of([{"width": [4], "stop": ["crossing"]}, {"width": [8]}], stop=["crossing"])
    assert Sweep.from_text(sweep.to_yaml()) == sweep


def test_figures_5_and_6_are_one_spec() -> None:
    """Every published point has its cell, and no cell is without one."""
    sweep = Sweep.from_yaml(SWEEPS / "fig5-fig6.yaml")

    class Empty:
        cells = Contents.of(sweep).cells

        def relative_width(self, _: Any) -> None:
            return None

        def sample(self, *_: Any) -> list[Any]:
            return []

    table = tables(Empty())["cells"]  # type: ignore[arg-type]
    assert set(points(table)) == set(PAPER.points())


@pytest.mark.parametrize(
    ("cells", "more", "fragments"),
    [
        ([{"width": [4]}], {}, ["cells[0].stop", "is missing"]),
        ({"width": [4]}, {}, ["stop: is missing"]),
        ([], {}, ["cells", "is empty"]),
        ([{"width": [4], "stop": ["crossing"]}, {"width": []}], {}, ["cells[1].width", "empty"]),
        (
            [{"width": [4, 8]}, {"width": [8]}],
            {"stop": ["crossing"]},
            ["cells[1]", "gd n=8", "cells[0] has, too", "once"],
        ),
        (
            [{"width": [4], "stop": {"relative_width": 0.1}}],
            {},
            ["cells[0].stop", "relative_width holds for all cells"],
        ),
        (
            [{"width": [4], "optimizer": ["adam"]}],
            {"stop": ["crossing", "sufficient"]},
            ["cells[0].optimizer = 'adam'", "gd only"],
        ),
        (
            [{"width": [4], "checks": CHECKS}],
            {"stop": ["crossing"]},
            ["cells[0].checks", "unknown"],
        ),
    ],
)
def test_what_is_refused(cells: Any, more: dict[str, Any], fragments: list[str]) -> None:
    with pytest.raises(SpecError) as error:
        of(cells, **more)
    assert not [fragment for fragment in fragments if fragment not in str(error.value)], error.value
    assert "\n" not in str(error.value)


def test_kinds_that_differ_in_how_they_step_are_different_cells() -> None:
    """The same lists twice, told apart by the stopping criteria or the step size."""
    lists = {"width": [4]}
    sweep = of(
        [lists, lists | {"stop": ["crossing"]}, lists | {"step_size": {"over_width": 0.1}}],
        stop=["crossing", "sufficient"],
    )
    assert len({cell.id for cell in sweep.cells}) == 3


def test_a_setting_of_a_key_in_a_list_says_how() -> None:
    cells = {"cells": [{"width": [4]}]}
    with pytest.raises(SpecError, match=r"cells is a list; give all of it, as in --set 'cells="):
        apply_settings(cells, ["cells.width=[8]"])
