"""Pictures of one network's training: its kinks over the steps, and its function over the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcrelu.figures.panels import log_axis, log_limits
from mcrelu.figures.style import COLORS, COLUMN_WIDTH, GREY, PAGE_WIDTH
from mcrelu.film.figures import grid_of
from mcrelu.problems.one_d import Barrier, Outcome, Problem, function_at, kinks
from mcrelu.types import Floats, Ints, PointSet

if TYPE_CHECKING:
    from mcrelu.experiments.crossing.replay import State

MOST_KINKS = 200  # lines; the outermost are shown
_MOST_CURVES = 40
_BEYOND = 1.6  # of the nearest points, that is shown of kinks


def kinks_figure(states: Sequence[State], points: PointSet, outcome: Outcome) -> Figure:
    """Kinks and nearest data points (left axis) and losses (right axis), step by step."""
    figure = Figure(figsize=(PAGE_WIDTH, 0.8 * COLUMN_WIDTH), layout="constrained")
    axes = figure.add_subplot()
    steps = np.array([state.step for state in states])
    _draw_kinks(axes, steps, states)
    barrier = Barrier.of(points.x)
    nearest = [place for place in (-_distance(barrier.left), _distance(barrier.right)) if place]
    for k, place in enumerate(nearest):
        label = "nearest data points" if k == 0 else None
        axes.axhline(place, color=COLORS[1], linewidth=1.0, linestyle=(0, (4, 2)), label=label)
    if outcome.first_crossing[0]:
        axes.axvline(outcome.first_crossing[0], color=COLORS[1], linewidth=0.8, label="crossing")
    axes.set_ylim(_BEYOND * min(*nearest, 0.0), _BEYOND * max(*nearest, 0.0))
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set_xlim(0, max(steps[-1], 1))
    axes.set_xlabel("step")
    axes.set_ylabel("kinks $-b_i / a_i$")
    losses = axes.twinx()
    losses.spines["right"].set_visible(True)
    losses.grid(False)
    training = [state.training_loss for state in states]
    validation = [state.validation_loss for state in states]
    look: dict[str, Any] = {"color": "black", "linewidth": 1.1}
    losses.plot(steps, training, linestyle="-", label="training loss", **look)
    losses.plot(steps, validation, linestyle=":", label="validation loss", **look)
    finite = [loss for loss in (*training, *validation) if np.isfinite(loss)]
    log_axis(losses.yaxis, *log_limits(finite, []))
    losses.set_ylabel("loss")
    found = [one.get_legend_handles_labels() for one in (axes, losses)]
    handles, labels = (found[0][k] + found[1][k] for k in range(2))
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def function_figure(states: Sequence[State], problem: Problem, counts: Ints) -> Figure:
    """The network's function from its first step (pale) to its last (dark), over the sample."""
    figure = Figure(figsize=(COLUMN_WIDTH, 0.8 * COLUMN_WIDTH), layout="constrained")
    axes = figure.add_subplot()
    x, y = problem.points
    grid = grid_of(x)
    shown = states[:: max(1, len(states) // _MOST_CURVES)]
    shades = colormaps["Blues"](np.linspace(0.2, 1.0, len(shown)))
    for state, shade in zip(shown, shades, strict=True):
        values = function_at(state.weights, grid, problem.leaky_slope)[0]
        axes.plot(grid, values, color=tuple(shade), linewidth=0.8)
    last = function_at(states[-1].weights, grid, problem.leaky_slope)[0]
    axes.plot(grid, last, color=COLORS[0], linewidth=1.4, label=f"step {states[-1].step}")
    seen = counts > 0
    area = 12.0 + 40.0 * counts[seen] / counts.max()
    axes.scatter(x[seen], y[seen], s=area, color=COLORS[1], zorder=3, label="sample")
    if not seen.all():
        axes.scatter(
            x[~seen], y[~seen], s=12.0, facecolor="none", edgecolor=GREY, label="not drawn"
        )
    axes.set_xlabel("$x$")
    axes.set_ylabel("$f(x)$")
    axes.legend()
    return figure


def _draw_kinks(axes: Axes, steps: Ints, states: Sequence[State]) -> None:
    for k, places in enumerate(outermost_kinks(states, MOST_KINKS).T):
        label = "kinks" if k == 0 else None
        axes.plot(steps, places, color=COLORS[0], alpha=0.5, linewidth=0.5, label=label)


def outermost_kinks(states: Sequence[State], most: int) -> Floats:
    """Where the kinks are that move farthest, (len(states), at most ``most``)."""
    places = np.array([kinks(state.weights)[0] for state in states])
    return np.asarray(places[:, np.argsort(-np.nanmax(np.abs(places), axis=0))[:most]])


def _distance(inverse: float) -> float:
    """Distance of the nearest point; 0 if there is none."""
    return 1.0 / inverse if inverse else 0.0
