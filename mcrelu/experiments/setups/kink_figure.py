"""The figure of how far kinks are from the origin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from mcrelu.experiments.setups.kink_distances import (
    FARTHEST,
    INDEPENDENT,
    UNIFORM,
    distance_cdf,
    uniform_cdf,
)
from mcrelu.experiments.setups.looks import line_look
from mcrelu.experiments.setups.naming import Biases
from mcrelu.figures.style import COLUMN_WIDTH

_SHOWN = 4.0  # the largest distance
_POINTS = 201
_MARKS = 25  # points from one marker to the next


def kink_figure(inputs: Sequence[int]) -> Figure:
    """Distribution functions, for each number of inputs."""
    figure = Figure(figsize=(COLUMN_WIDTH, 0.8 * COLUMN_WIDTH), layout="constrained")
    axes = figure.add_subplot()
    t = np.linspace(0.0, _SHOWN, _POINTS)
    for k, d in enumerate(inputs):
        # Markers of neighbouring lines are apart.
        marks = (5 + 3 * k % _MARKS, _MARKS)
        axes.plot(
            t, distance_cdf(t, d), **line_look(k), markevery=marks, markersize=3, label=str(d)
        )
    corners = np.array([0.0, FARTHEST, _SHOWN])
    axes.plot(
        corners, uniform_cdf(corners), color="black", linestyle=(0, (4, 2)), linewidth=1.2,
        label=f"{Biases(UNIFORM, 1.0).formula}, all $d$",
    )  # fmt: skip
    axes.set_xlim(0.0, _SHOWN)
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel(r"distance $|b|\,/\,\|a\|$ from the origin (in units of the inputs)")
    axes.set_ylabel("fraction of kinks within distance")
    axes.legend(loc="lower right", title=f"{Biases(INDEPENDENT, 1.0).formula}, $d =$", ncols=2)
    return figure
