"""Figures of the setups experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcrelu.experiments.base import Drawing, Tables
from mcrelu.experiments.setups.naming import Configuration, configuration_of, data_sets, in_order
from mcrelu.experiments.setups.sections import DRAWING
from mcrelu.experiments.setups.tables import BEST
from mcrelu.figures.style import COLORS, MARKERS, PAGE_WIDTH

Row = Mapping[str, Any]


def drawings(tables: Tables) -> list[Drawing]:
    """The figures; none if no block is complete yet."""
    best = tables[BEST].to_pylist()
    return [Drawing(DRAWING, rmse_figure(best))] if best else []


def rmse_figure(best: Sequence[Row]) -> Figure:
    """Test RMSE of every configuration with two standard errors, one panel per data set."""
    columns = data_sets(best)
    configurations = in_order({configuration_of(row) for row in best})
    height = 0.6 + 0.13 * len(configurations)
    figure = Figure(figsize=(PAGE_WIDTH, height), layout="constrained")
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, data in zip(panels, columns, strict=True):
        _draw_data_set(axes, [row for row in best if row["data"] == data], configurations)
        axes.set_title(data, fontsize=8)
        axes.set_xlabel("test RMSE")
    panels[0].set_yticks(range(len(configurations)), [_name(one) for one in configurations])
    panels[0].invert_yaxis()
    return figure


def _draw_data_set(axes: Axes, best: list[Row], configurations: list[Configuration]) -> None:
    optimizers = sorted({one.optimizer for one in configurations})
    for row in best:
        place = configurations.index(configuration_of(row))
        k = optimizers.index(row["optimizer"])
        axes.errorbar(
            row["best_test_rmse"], place, xerr=2.0 * (row["best_test_rmse_se"] or 0.0),
            color=COLORS[k], marker=MARKERS[k], linestyle="none", elinewidth=0.8,
        )  # fmt: skip
    axes.set_xscale("log")
    bayes = np.array([row["bayes_rmse"] for row in best])
    if (bayes > 0.0).any():
        axes.axvline(bayes[bayes > 0.0].mean(), color="black", linewidth=0.6, linestyle=":")


def _name(one: Configuration) -> str:
    parametrization, optimizer, biases, *_ = one.words()
    return f"{parametrization} {optimizer} {biases}"
