"""Estimates as curves: what is beside what, on which axes."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from mcrelu.experiments.base import Count, Mean, experiment
from mcrelu.serve.curves import MOST_CURVES, Place, names_of, panels
from mcrelu.stats.intervals import clopper_pearson, wilson
from mcrelu.stats.sequential import confidence_sequence


class Setting(NamedTuple):
    kind: str
    factor: float


EVENT = experiment("event")


def places(kinds: str, factors: list[float]) -> list[Place]:
    return [
        Place(Setting(kind, factor), x, f"{factor}-{x}", Count(30, 100))
        for factor in factors
        for kind in kinds
        for x in (4, 8)
    ]


def only(found: list[Place], sequential: bool = False) -> dict[str, object]:
    (panel,) = panels(experiment("setups"), found, sequential)
    return panel


def test_few_curves_share_a_panel() -> None:
    panel = only(places("ab", [1.0, 2.0]))
    names = [curve["name"] for curve in panel["curves"]]  # type: ignore[attr-defined]
    assert names == ["a, factor 1", "b, factor 1", "a, factor 2", "b, factor 2"]
    assert panel["title"] == ""


def test_many_curves_are_split_by_what_they_have_in_common() -> None:
    found = panels(experiment("setups"), places("abcd", [1.0, 2.0]), False)
    assert [panel["title"] for panel in found] == ["factor 1", "factor 2"]
    assert [curve["name"] for curve in found[0]["curves"]] == ["a", "b", "c", "d"]


def test_no_panel_has_more_curves_than_there_are_colours() -> None:
    found = panels(experiment("setups"), places("abcdefghij", [1.0, 2.0]), False)
    sizes = [len(panel["curves"]) for panel in found]
    assert max(sizes) <= MOST_CURVES
    assert min(sizes) > 1
    assert sum(sizes) == 20


def test_one_curve_needs_no_name() -> None:
    assert names_of([Setting("a", 1.0)]) == ["estimate"]


@pytest.mark.parametrize(
    ("k", "sequential", "interval"),
    [(30, False, wilson), (3, False, clopper_pearson), (30, True, confidence_sequence)],
)
def test_intervals_are_those_of_tables(k: int, sequential: bool, interval: object) -> None:
    panel = only([Place(Setting("a", 1.0), 4, "cell", Count(k, 100))], sequential)
    (point,) = panel["curves"][0]["points"]  # type: ignore[index]
    low, high = interval(k, 100)  # type: ignore[operator]
    assert point["low"] == pytest.approx(float(low))
    assert point["high"] == pytest.approx(float(high))
    assert point["y"] == k / 100


def test_means_have_normal_intervals() -> None:
    panel = only([Place(Setting("a", 1.0), 4, "cell", Mean(2.0, 0.1, 50))])
    (point,) = panel["curves"][0]["points"]  # type: ignore[index]
    assert (point["low"], point["high"]) == pytest.approx((1.804, 2.196))
    assert point["k"] is None


def test_zeros_alone_are_drawn_on_a_linear_axis() -> None:
    panel = only([Place(Setting("a", 1.0), 4, "cell", Count(0, 100))])
    assert panel["y"]["log"] is False  # type: ignore[index]
    assert panel["y"]["high"] > 0.03  # type: ignore[index]


def test_there_is_nothing_to_draw_at_first() -> None:
    assert panels(EVENT, [], False) == []
