"""The functions that median networks learned on ``ex``, over the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcrelu.experiments.setups.learned import REACH, Learned
from mcrelu.experiments.setups.looks import optimizer_look
from mcrelu.experiments.setups.naming import Biases, biases_in_order
from mcrelu.experiments.setups.paper import OPTIMIZERS, PARAMETRIZATIONS
from mcrelu.figures.panels import legend_once
from mcrelu.figures.style import GREY, PAGE_WIDTH

_MARGIN = 0.15  # of the range of the targets, above and below
_MARKED = 56  # a marker on every so many-th point of a curve


def learned_figure(functions: Sequence[Learned]) -> Figure:
    """A panel for each parametrisation (rows) and biases (columns), a line for each optimiser."""
    configurations = [one.configuration for one in functions]
    rows = [
        name for name in PARAMETRIZATIONS if name in {c.parametrization for c in configurations}
    ]
    columns = biases_in_order(configurations)
    figure = Figure(figsize=(PAGE_WIDTH, 0.7 + 1.7 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    for axes_of_row, parametrization in zip(panels, rows, strict=True):
        axes_of_row[0].set_ylabel("$y$, $f(x)$")
        for axes, biases in zip(axes_of_row, columns, strict=True):
            _draw_panel(axes, parametrization, biases, functions)
    for axes in panels[-1]:
        axes.set_xlabel("$x$")
    legend_once(figure, "lower", len(OPTIMIZERS) + 1)
    return figure


def _draw_panel(
    axes: Axes, parametrization: str, biases: Biases, functions: Sequence[Learned]
) -> None:
    x, y = functions[0].points
    axes.plot(x, y, linestyle="none", marker="x", markersize=2, color=GREY, alpha=0.6, label="data")
    own = [
        one
        for one in functions
        if one.configuration.parametrization == parametrization
        and one.configuration.biases == biases
    ]
    for one in own:
        name = one.configuration.optimizer
        axes.plot(one.x, one.f, label=OPTIMIZERS[name], markevery=_MARKED, **optimizer_look(name))
    room = _MARGIN * np.ptp(y)
    axes.set_xlim(-REACH, REACH)
    axes.set_ylim(y.min() - room, y.max() + room)
    axes.set_title(f"{PARAMETRIZATIONS[parametrization]}, {biases.formula} biases", fontsize=8)
