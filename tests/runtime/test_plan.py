"""Forecasts: one measurement for each kind of cell, and what is to come is counted."""

from __future__ import annotations

import time
from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from setup_sweeps import setup_sweep
from star_sweeps import star_cells, star_sweep

from mcrelu.engines.r_d.protocol import SEGMENT
from mcrelu.experiments.star import block as star
from mcrelu.problems.r_d import State
from mcrelu.runtime import plan as planning
from mcrelu.runtime.plan import START_SECONDS, CellPlan, Plan, plan
from mcrelu.sweep.cell import Cell
from mcrelu.sweep.sweep import Sweep
from mcrelu.terminal import plan_table
from mcrelu.types import Floats


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
    assert forecast.wall_seconds(2) == START_SECONDS + 300.0
    assert forecast.wall_seconds(1000) == START_SECONDS + 100.0


def test_the_table_says_what_it_takes_on_few_and_many_cores(measured: list[Cell]) -> None:
    file = StringIO()
    Console(width=200, file=file).print(plan_table(plan(searched()), cores=2, adaptive=False))
    text = " ".join(file.getvalue().split())
    assert "and 4 like it" in text
    assert "some 6 cells that results will ask for" in text
    assert "40 s on 1, " in text  # 11 cells of 2.5 s, and the start
    assert "Of each 12 s are start-up and results." in text
    assert "on 16, " in text
    assert "on 1000." in text


def test_a_real_measurement_is_positive() -> None:
    forecast = plan(setup_sweep())
    assert all(one.core_seconds > 0.0 for one in forecast.cells)


class Pretending:
    """An engine that takes made-up seconds: regrouping at each start, and dear first epochs."""

    def __init__(self, clock: list[float]) -> None:
        self._clock = clock

    def advance(self, problem: object, state: State, epochs: int) -> tuple[State, Floats]:
        first = max(0, min(epochs, SEGMENT - state.epoch))
        self._clock[0] += 0.04 + 6e-5 * first + 2e-5 * (epochs - first)
        return state._replace(epoch=state.epoch + epochs), np.empty((5, 0))


def test_epochs_are_projected_from_whole_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing was left out, and the first epochs with their regrouping stood for all others."""
    now = [0.0]

    def draw(*arguments: Any) -> star.Start:
        now[0] += 3.0
        return drawn(*arguments)

    drawn = star.start_of
    monkeypatch.setattr(star, "start_of", draw)
    monkeypatch.setattr(star, "get_engine", lambda *_: Pretending(now))
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    wanted = star_sweep(epochs=100_000)
    (cell, *_) = star_cells(wanted)
    said = star.seconds(cell, wanted.provenance(cell), 5)
    true = 3.0 + 10 * 0.04 + 0.6 + 9 * 0.2
    assert said == pytest.approx(true, rel=0.01)


def test_a_training_that_is_too_long_to_measure_is_projected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]

    class Slow:
        def advance(self, problem: object, state: State, epochs: int) -> tuple[State, Floats]:
            now[0] += 0.02 * epochs
            return state._replace(epoch=state.epoch + epochs), np.empty((5, 0))

    monkeypatch.setattr(star, "get_engine", lambda *_: Slow())
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    wanted = star_sweep(epochs=100_000)
    (cell, *_) = star_cells(wanted)
    assert star.seconds(cell, wanted.provenance(cell), 5) == pytest.approx(2000.0)
    assert now[0] < 10.0
