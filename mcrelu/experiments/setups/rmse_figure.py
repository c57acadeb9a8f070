"""The figure of test RMSEs by configuration, a panel for each data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcrelu.errors import UserError
from mcrelu.experiments.base import Mean, Point
from mcrelu.experiments.setups.looks import optimizer_look
from mcrelu.experiments.setups.naming import (
    Configuration,
    configuration_of,
    data_sets,
    in_order,
    sizes,
)
from mcrelu.experiments.setups.paper import OPTIMIZERS, PAPER, PARAMETRIZATIONS
from mcrelu.experiments.setups.tables import setting_of
from mcrelu.figures.panels import legend_once, log_axis, log_limits
from mcrelu.figures.style import GREY, PAGE_WIDTH

Row = Mapping[str, Any]

_MOST_COLUMNS = 4
_BASE_HEIGHT, _PANEL_HEIGHT, _HEIGHT = 0.6, 0.35, 0.068  # inches; the last for each optimiser
_SPREAD = 0.8  # of the lines of one place, as part of the distance to the next
_LABEL_PART = 0.065  # of a page, for a tick label and space around it


def rmse_figure(best: Sequence[Row]) -> Figure:
    """Test RMSE of every configuration with two standard errors, one panel per data set.

    Optimisers share a place on the ordinate, one below the other in the order of the legend.
    """
    data = data_sets(best)
    places = _places(best)
    optimizers = _optimizers(best)
    columns = _columns(len(data))
    rows = -(-len(data) // columns)
    panel = _PANEL_HEIGHT + len(places) * _HEIGHT * (len(optimizers) + 0.5)
    figure = Figure(figsize=(PAGE_WIDTH, _BASE_HEIGHT + rows * panel), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, name in zip(panels, data, strict=False):
        _draw_panel(axes, [row for row in best if row["data"] == name], places, optimizers, columns)
        axes.set_title(name, fontsize=8)
        axes.tick_params(axis="y", labelsize=6.5)
    for axes in panels[len(data) :]:
        axes.remove()
    _label(panels[0], places)
    figure.supxlabel("test RMSE (in units of the targets)", fontsize=8)
    legend_once(figure, "upper", 5, first=[OPTIMIZERS[name] for name in optimizers])
    return figure


def draw_data_set(best: Sequence[Row], axes: Axes, data: str | None = None) -> None:
    """One panel on other axes: that of a data set, by default the first.

    Raises
    ------
    UserError
        If the sweep has no such data set.
    """
    known = data_sets(best)
    name = known[0] if data is None else data
    if name not in known:
        raise UserError(f"data = {name!r}: the sweep has {', '.join(known)}")
    rows = [row for row in best if row["data"] == name]
    places = _places(rows)
    _draw_panel(axes, rows, places, _optimizers(rows), 1)
    _label(axes, places)
    axes.set_xlabel(f"test RMSE on {name} (in units of the targets)")
    axes.legend()


def _optimizers(best: Sequence[Row]) -> list[str]:
    return [name for name in OPTIMIZERS if any(row["optimizer"] == name for row in best)]


def _draw_panel(
    axes: Axes, rows: Sequence[Row], places: list[Configuration], optimizers: list[str],
    columns: int,
) -> None:  # fmt: skip
    _draw_data_set(axes, rows, places, optimizers)
    log_axis(axes.xaxis, *_limits(rows), _LABEL_PART * columns)
    _separate(axes, places)


def _columns(panels: int) -> int:
    """Panels per row: as many as stay readable, and rows that are about as long."""
    rows = -(-panels // _MOST_COLUMNS)
    return -(-panels // rows)


def _places(best: Sequence[Row]) -> list[Configuration]:
    """Configurations but for their optimiser."""
    return in_order({_place(row) for row in best})


def _place(row: Row) -> Configuration:
    return configuration_of(row)._replace(optimizer=next(iter(OPTIMIZERS)))


def _draw_data_set(
    axes: Axes, best: Sequence[Row], places: list[Configuration], optimizers: list[str]
) -> None:
    for optimizer in reversed(optimizers):
        rows = [row for row in best if row["optimizer"] == optimizer]
        if not rows:
            continue
        offset = (optimizers.index(optimizer) + 0.5) / len(optimizers) - 0.5
        height = [places.index(_place(row)) + _SPREAD * offset for row in rows]
        _draw_paper(axes, rows, height)
        axes.errorbar(
            [row["best_test_rmse"] for row in rows], height,
            xerr=[2.0 * (row["best_test_rmse_se"] or 0.0) for row in rows],
            **optimizer_look(optimizer), markersize=2.8, linestyle="none", elinewidth=0.7,
            label=OPTIMIZERS[optimizer], zorder=3,
        )  # fmt: skip
    bayes = _bayes(best)
    if bayes:
        axes.axvline(bayes[0], color="black", linewidth=0.8, linestyle=":", label="Bayes RMSE")


def _bayes(best: Sequence[Row]) -> list[float]:
    """Mean Bayes RMSE, if targets are noisy."""
    noisy = [row["bayes_rmse"] for row in best if row["bayes_rmse"]]
    return [sum(noisy) / len(noisy)] if noisy else []


def _limits(best: Sequence[Row]) -> tuple[float, float]:
    means = [row["best_test_rmse"] for row in best]
    errors = [2.0 * (row["best_test_rmse_se"] or 0.0) for row in best]
    published = [mean for mean in map(_paper, best) if mean is not None]
    ends = (
        mean + end for mean, error in zip(means, errors, strict=True) for end in (-error, error)
    )
    return log_limits(means + _bayes(best) + published, ends)


def _draw_paper(axes: Axes, rows: Sequence[Row], height: Sequence[float]) -> None:
    """Published values, where there are any."""
    means = [(_paper(row), y) for row, y in zip(rows, height, strict=True)]
    points = [point for point in means if point[0] is not None]
    if points:
        axes.plot(
            *zip(*points, strict=True), linestyle="none", marker="o", markersize=4.6,
            markerfacecolor="none", markeredgecolor=GREY, markeredgewidth=0.6, label="paper",
            zorder=4,
        )  # fmt: skip


def _paper(row: Row) -> float | None:
    """What the paper has for a row."""
    found = _published().get((setting_of(row, "test"), row["inputs"]))
    return None if found is None else found.mean


@cache
def _published() -> Mapping[Point, Mean]:
    return PAPER.points()


def _label(axes: Axes, places: list[Configuration]) -> None:
    """Names on the ordinate."""
    names = sizes(places)
    axes.set_yticks(range(len(places)), [_name(one, names) for one in places])
    axes.set_ylim(len(places) - 0.5, -0.5)


def _separate(axes: Axes, places: Sequence[Configuration]) -> None:
    """A line between the parametrisations."""
    for k, (above, below) in enumerate(pairwise(places)):
        if above.parametrization != below.parametrization:
            axes.axhline(k + 0.5, color=GREY, linewidth=0.6)


def _name(one: Configuration, names: Mapping[tuple[int, int], tuple[str, ...]]) -> str:
    words = (PARAMETRIZATIONS[one.parametrization], one.biases.formula)
    return ", ".join((*words, *names[one.width, one.batch]))
