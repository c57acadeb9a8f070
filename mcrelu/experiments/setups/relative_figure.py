"""Figures of RMSEs relative to a baseline, over the number of inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcrelu.experiments.setups.looks import line_look, optimizer_look
from mcrelu.experiments.setups.naming import Biases, biases_in_order
from mcrelu.experiments.setups.paper import OPTIMIZERS, PARAMETRIZATIONS
from mcrelu.experiments.setups.relative import Comparison, Curve
from mcrelu.figures.panels import legend_once, log_axis, log_limits, width_axis
from mcrelu.figures.style import COLUMN_WIDTH, PAGE_WIDTH

_INPUTS = "number of inputs $d$"
_BASELINE: dict[str, Any] = {"color": "black", "linestyle": (0, (4, 2))}
_LEGEND_COLUMNS = 4


def over_inputs_figure(one: Comparison) -> Figure:
    """A panel for each parametrisation (rows) and optimiser (columns), a line for each biases."""
    configurations = [curve.configuration for curve in one.curves]
    rows = _present(PARAMETRIZATIONS, (each.parametrization for each in configurations))
    columns = _present(OPTIMIZERS, (each.optimizer for each in configurations))
    looks = _looks(one.biases, biases_in_order(configurations))
    size = (PAGE_WIDTH, 0.8 + 1.6 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    for axes, (parametrization, optimizer) in zip(
        panels.ravel(), ((row, column) for row in rows for column in columns), strict=True
    ):
        axes.set_title(f"{PARAMETRIZATIONS[parametrization]}, {OPTIMIZERS[optimizer]}", fontsize=8)
        for curve in one.curves:
            if curve.configuration[:2] == (parametrization, optimizer):
                biases = curve.configuration.biases
                _draw(axes, curve, biases.formula, looks[biases])
    _label_axes(list(panels.ravel()), one)
    for axes in panels[-1]:
        axes.set_xlabel(_INPUTS)
    figure.supylabel(f"test RMSE relative to {one.biases.formula} biases", fontsize=8)
    legend_once(figure, "lower", _LEGEND_COLUMNS)
    return figure


def by_optimizer_figure(one: Comparison) -> Figure:
    """One panel: lines for parametrisations and optimisers."""
    figure = Figure(figsize=(COLUMN_WIDTH, 0.85 * COLUMN_WIDTH), layout="constrained")
    axes = figure.add_subplot()
    for curve in one.curves:
        ntk = curve.configuration.parametrization != "he"
        look = optimizer_look(curve.configuration.optimizer)
        look |= {"linestyle": "--", "markerfacecolor": "white"} if ntk else {"linestyle": "-"}
        _draw(axes, curve, words_of(curve), look)
    _label_axes([axes], one)
    axes.set_xlabel(_INPUTS)
    axes.set_ylabel(f"test RMSE relative to {words_of(one.curves[0])}")
    axes.set_title(f"{one.biases.formula} biases", fontsize=8)
    legend_once(figure, "lower", 3)
    return figure


def _present(names: Iterable[str], used: Iterable[str]) -> list[str]:
    """Those that are used, in the order of the names."""
    those = set(used)
    return [name for name in names if name in those]


def words_of(curve: Curve) -> str:
    """Parametrisation and optimiser."""
    return " ".join(curve.configuration.words()[:2])


def _looks(baseline: Biases, biases: Sequence[Biases]) -> dict[Biases, dict[str, Any]]:
    others = [one for one in biases if one != baseline]
    return {baseline: _BASELINE} | {one: line_look(k) for k, one in enumerate(others)}


def _draw(axes: Axes, curve: Curve, label: str, look: dict[str, Any]) -> None:
    """Means with bands of two standard errors."""
    ratio, error = np.array(curve.ratio), np.array(curve.error)
    axes.fill_between(
        curve.inputs, ratio - 2.0 * error, ratio + 2.0 * error, color=look["color"], alpha=0.2,
        linewidth=0.0,
    )  # fmt: skip
    axes.plot(curve.inputs, ratio, **look, linewidth=0.9, markersize=3, label=label)


def _label_axes(panels: Sequence[Axes], one: Comparison) -> None:
    ratios = [ratio for curve in one.curves for ratio in curve.ratio]
    ends = [
        ratio + sign * 2.0 * error
        for curve in one.curves
        for ratio, error in zip(curve.ratio, curve.error, strict=True)
        for sign in (-1, 1)
    ]
    low, high = log_limits(ratios, ends)
    for axes in panels:
        width_axis(axes, one.inputs, "")
        log_axis(axes.yaxis, low, high)
