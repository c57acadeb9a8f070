"""The pictures of docs/grouped-engines.md.

``python docs/pictures/grouped_engines.py`` writes them anew, beside this file or into the folder
that is given.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcrelu.data import standard_points, star
from mcrelu.figures.style import COLORS, GREY, MARKERS, PAGE_WIDTH, look
from mcrelu.types import Floats

# As in the page: a, b and w of four neurons, and the step size.
FOUR = np.array([[0.5, 0.4, -0.4, -0.5], [0.0] * 4, [0.6, -0.3, -0.3, -0.7]])
STEP_SIZE, STEPS = 0.02, 200
NAMES = "grouped-engines", "groups-in-the-plane"


def descend(x: Floats, y: Floats, theta: Floats, step_size: float, steps: int) -> Floats:
    """Plain gradient descent; all parameters after every step.

    Parameters
    ----------
    x : (D, d), y : (D,)
        Points, all of the same weight.
    theta : (d + 2, n)
        a, b and w of the neurons.

    Returns
    -------
    (steps + 1, d + 3, n), the last row being c
    """
    points = np.column_stack([x, np.ones(len(x))])
    c, past = 0.0, [np.vstack([theta, np.zeros(theta.shape[1])])]
    for _ in range(steps):
        z = points @ theta[:-1]
        forcing = step_size * (y - c - np.maximum(z, 0.0) @ theta[-1]) / len(y)
        drive = points.T @ (forcing[:, None] * (z >= 0.0))  # r and s of each neuron
        theta = theta + np.vstack([drive * theta[-1], (drive * theta[:-1]).sum(axis=0)])
        c += forcing.sum()
        past.append(np.vstack([theta, np.full(theta.shape[1], c)]))
    return np.stack(past)


def four_neurons() -> Figure:
    """Kinks over the steps, and the function at three of them."""
    x, y = standard_points()
    past = descend(x[:, None], y, FOUR, STEP_SIZE, STEPS)
    kinks = -past[:, 1] / past[:, 0]
    crossing = int(np.argmax(np.abs(kinks).max(axis=1) >= 1.0))
    figure = Figure(figsize=(PAGE_WIDTH, 2.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_kinks(left, kinks, crossing)
    for color, step in zip(COLORS, (0, crossing, STEPS), strict=False):
        at = np.linspace(-3.3, 3.3, 500)
        a, b, w, c = past[step]
        f = c[0] + np.maximum(at[:, None] * a + b, 0.0) @ w
        right.plot(at, f, color=color, label=f"step {step}")
    right.plot(x, y, "o", color="black", label="data")
    right.set(xlabel="x", ylabel="f(x)", ylim=(-2.3, 3.2))
    right.legend(loc="upper right", ncols=2)
    return figure


def _draw_kinks(axes: Axes, kinks: Floats, crossing: int) -> None:
    """Kinks (steps, n), dashed once their neuron is loose."""
    steps = np.arange(len(kinks))
    axes.axhspan(-1.0, 1.0, color="#eeeeee", zorder=0)
    for x in (-2.0, -1.0, 1.0):
        axes.axhline(x, color=GREY, linewidth=0.6)
    for i in range(kinks.shape[1]):
        away = np.flatnonzero(np.abs(kinks[:, i]) >= 1.0)
        end = away[0] if len(away) else len(kinks)
        axes.plot(steps[:end], kinks[:end, i], color=COLORS[i], label=f"neuron {i + 1}")
        axes.plot(steps[end:], kinks[end:, i], "--", color=COLORS[i])
    axes.plot(crossing, kinks[crossing, np.abs(kinks[crossing]).argmax()], "ko")
    axes.annotate("leaves its group", (crossing, -1.0), (crossing - 8, -1.35), ha="right")
    axes.set(xlabel="step", ylabel="kink -b/a", ylim=(-2.3, 1.3))
    axes.legend(loc="upper left", ncols=2)


def in_the_plane() -> Figure:
    """Kinks of twelve neurons on a star with three rays, at the start and after 6000 steps."""
    rng = np.random.Generator(np.random.Philox(2))
    x, y = star(3)
    n = 12
    theta = np.vstack([rng.normal(size=(2, n)), np.zeros(n), rng.normal(size=n) * (2 / n) ** 0.5])
    steps = 6000
    past = descend(x, y, theta, 0.05, steps)
    points = np.column_stack([x, np.ones(len(x))])
    patterns = [points @ past[k][:3] > 0.0 for k in (0, -1)]
    kinds = {tuple(p): k for k, p in enumerate(np.unique(patterns[0], axis=1).T)}
    figure = Figure(figsize=(PAGE_WIDTH, 2.8), layout="constrained")
    for axes, step, title in zip(
        figure.subplots(1, 2), (0, -1), ("step 0", f"step {steps}"), strict=True
    ):
        left_group = (patterns[0] != patterns[step]).any(axis=0)
        for i in range(n):
            kind = kinds[tuple(patterns[0][:, i])]
            _draw_line(axes, past[step][:3, i], kind, loose=bool(left_group[i]))
        axes.plot(*x.T, "o", color="black", zorder=3)
        axes.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal", title=title)
        axes.set(xlabel="$x_1$", ylabel="$x_2$")
        axes.grid(visible=False)
    return figure


def _draw_line(axes: Axes, neuron: Floats, kind: int, *, loose: bool) -> None:
    """Where a neuron has its kink, with a marker of its group at one end."""
    a, b = neuron[:2], neuron[2]
    foot = -b * a / (a @ a)
    along = np.array([-a[1], a[0]]) / np.hypot(*a)
    ends = np.stack([foot - 4 * along, foot + 4 * along])
    color = "black" if loose else COLORS[kind % len(COLORS)]
    axes.plot(*ends.T, "--" if loose else "-", color=color, linewidth=1.0)
    side = foot + 1.25 * along
    axes.plot(*side, MARKERS[kind % len(MARKERS)], color=color, markersize=3)


def main(folder: Path) -> None:
    """Write both."""
    with look():
        for name, draw in zip(NAMES, (four_neurons, in_the_plane), strict=True):
            draw().savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
