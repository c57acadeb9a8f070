"""Pictures of a network's training: its function, and its loss and kinks over the steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcrelu.figures.panels import log_axis, log_limits
from mcrelu.figures.style import COLORS, COLUMN_WIDTH, GREY, PAGE_WIDTH
from mcrelu.film.training import Frame, affine_loss, regression_line
from mcrelu.problems.one_d import Problem
from mcrelu.types import Floats, PointSet

GRID = 600
_PALEST = 0.15  # of the colour map, for the first function


def function_figure(
    frames: Sequence[Frame], problem: Problem, with_kinks: bool = False, good: Frame | None = None
) -> Figure:
    """The function in fading colours, from pale at first to dark at last, over the data.

    With the optimal regression line of either side; with the kinks of the last frame, and the
    function of a network that learned the data, if asked for.
    """
    figure = Figure(figsize=(COLUMN_WIDTH, 0.8 * COLUMN_WIDTH), layout="constrained")
    axes = figure.add_subplot()
    draw_data(axes, problem.points)
    draw_regression(axes, problem.points, problem.p[0])
    grid = grid_of(problem.points.x)
    shades = colormaps["Blues"](np.linspace(_PALEST, 1.0, len(frames)))
    for frame, shade in zip(frames, shades, strict=True):
        axes.plot(grid, frame.at(grid), color=tuple(shade), linewidth=0.7)
    last = frames[-1]
    label = f"network, step {last.step}"
    axes.plot(grid, last.at(grid), color=COLORS[0], linewidth=1.3, label=label)
    if with_kinks:
        draw_kinks(axes, last)
    if good is not None:
        axes.plot(grid, good.at(grid), color=COLORS[2], linewidth=1.1, label="trained by Adam")
    axes.legend(loc="best")
    return figure


def losses_figure(frames: Sequence[Frame], problem: Problem, last: int | None = None) -> Figure:
    """Loss above that of the best two affine functions (left), kinks (right), step by step.

    Up to the step ``last``, on a linear axis, if it is given; else all, on a logarithmic one.
    """
    shown = [frame for frame in frames if last is None or frame.step <= last]
    steps = np.array([frame.step for frame in shown])
    figure = Figure(figsize=(PAGE_WIDTH, 0.75 * COLUMN_WIDTH), layout="constrained")
    axes = figure.add_subplot()
    excess = np.array([frame.loss for frame in shown]) - affine_loss(problem)
    above = excess > 0.0
    axes.plot(steps[above], excess[above], color="black", label="loss - two-affine optimum")
    log_axis(axes.yaxis, *log_limits(excess[above].tolist() or [1.0], []))
    if last is None:
        axes.set_xscale("symlog", linthresh=1.0)
    axes.set_xlim(0, max(int(steps[-1]), 1))
    axes.set_xlabel("step")
    axes.set_ylabel("loss - two-affine optimum")
    places = axes.twinx()
    places.spines["right"].set_visible(True)
    places.grid(False)
    kinks = np.array([frame.kinks for frame in shown])
    for k in range(kinks.shape[1]):
        label = "kinks" if k == 0 else None
        places.plot(steps, kinks[:, k], color=COLORS[0], alpha=0.6, linewidth=0.6, label=label)
    reach = np.abs(problem.points.x).max()
    places.set_ylim(-reach, reach)
    places.set_ylabel("kinks $-b_i / a_i$")
    found = [one.get_legend_handles_labels() for one in (axes, places)]
    handles, labels = (found[0][k] + found[1][k] for k in range(2))
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def draw_data(axes: Axes, points: PointSet) -> None:
    """The data, and the names of the axes."""
    axes.scatter(points.x, points.y, s=9.0, color=GREY, linewidth=0.0, label="data")
    axes.set_xlabel("$x$")
    axes.set_ylabel("$f(x)$")


def draw_regression(axes: Axes, points: PointSet, p: Floats) -> None:
    """The best affine function on either side of zero, where points weigh p (D,)."""
    x, y = points
    for side in ((x > 0) & (p > 0), (x < 0) & (p > 0)):
        if side.any():
            slope, intercept = regression_line(x[side], y[side], p[side])
            ends = np.array([0.0, 1.05 * x[side][np.abs(x[side]).argmax()]])
            label = "optimal regression lines" if x[side][0] > 0 else None
            axes.plot(
                ends, slope * ends + intercept, color=COLORS[1], linestyle=(0, (4, 2)),
                label=label, zorder=3,
            )  # fmt: skip


def draw_kinks(axes: Axes, frame: Frame) -> None:
    """Where the function bends, as points on it."""
    kinks = frame.kinks
    low, high = axes.get_xlim()
    inside = kinks[(kinks > low) & (kinks < high)]
    axes.plot(
        inside, frame.at(inside), linestyle="none", marker="|", markersize=7, color=COLORS[0],
        label="kinks",
    )  # fmt: skip


def grid_of(x: Floats, count: int = GRID) -> Floats:
    """Places at which functions are drawn: a little beyond the data at ``x``."""
    low, high = min(x.min(), 0.0), max(x.max(), 0.0)
    return np.linspace(1.05 * low, 1.05 * high, count)
