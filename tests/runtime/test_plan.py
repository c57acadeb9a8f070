"""Forecasts: one measurement for each kind of cell, and what is to come is counted."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from setup_sweeps import setup_sweep

from mcrelu.runtime import plan as planning
from mcrelu.runtime.plan import CellPlan, Plan, plan
from mcrelu.sweep.cell import Cell
from mcrelu.sweep.sweep import Sweep
from mcrelu.terminal import plan_table


def searched(**lists: list[object]) -> Sweep:
    return setup_sweep(
        lists={"learning_rate": None, **lists}, search={"coarse": [-2, 2], "fine": [-3, 3]}
    )


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """The cells that were measured; each takes 0.5 s per network."""
    cells: list[Cell] = []

    def measure(_: Sweep, cell: Cell) -> tuple[int, float]:
        cells.append(cell)
        return 4, 2.0

    monkeypatch.setattr(planning, "_measure", measure)
    return cells


def test_a_kind_of_cells_is_measured_once(measured: list[Cell]) -> None:
    sweep = searched(data=["ex", "radial-2"], bias_init=["zero", "unif"])
    forecast = plan(sweep)
    assert len(sweep.cells) == len(forecast.cells) == 20
    assert [cell.parameters()["data"] for cell in measured] == ["ex", "radial-2"]
    assert [len(kind) for kind in forecast.by_kind()] == [10, 10]
    assert {one.core_seconds for one in forecast.cells} == {0.5 * 5}


def test_cells_that_results_will_ask_for_are_counted(measured: list[Cell]) -> None:
    forecast = plan(searched())
    assert forecast.later_share == 6 / 5
    assert forecast.core_seconds == pytest.approx((5 + 6) * 0.5 * 5)
    assert plan(setup_sweep()).later_share == 0.0


def test_many_cores_cannot_beat_the_longest_block(measured: list[Cell]) -> None:
    (cell, *_) = searched().cells
    forecast = Plan([CellPlan(cell, 100, 4, 10, 400.0), CellPlan(cell, 100, 10, 10, 200.0)], 0.0)
    assert forecast.wall_seconds(2) == 300.0
    assert forecast.wall_seconds(1000) == 100.0


def test_the_table_says_what_it_takes_on_few_and_many_cores(measured: list[Cell]) -> None:
    file = StringIO()
    Console(width=200, file=file).print(plan_table(plan(searched()), cores=2, adaptive=False))
    text = " ".join(file.getvalue().split())
    assert "and 4 like it" in text
    assert "some 6 cells that results will ask for" in text
    assert "28 s on 1, " in text  # 11 cells of 2.5 s
    assert "on 16, " in text
    assert "on 1000." in text


def test_a_real_measurement_is_positive() -> None:
    forecast = plan(setup_sweep())
    assert all(one.core_seconds > 0.0 for one in forecast.cells)
