"""Point sets and random problems in R^d: functions of a generator."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import r_d_oracle

from mcrelu.problems.r_d import Layer, Layers, Problem, State
from mcrelu.types import Floats

RADII, TARGETS = np.array([0.9, 1.0, 1.1]), np.array([1.0, -2.0, 1.0])
STANDARD = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0]), np.array([-1.0, 2.0, -1.0, 1.0, -2.0, 1.0])


def star(rays: int = 11) -> tuple[Floats, Floats]:
    """Three points on each of some rays."""
    angle = 2 * np.pi * np.arange(rays) / rays
    directions = np.column_stack([np.cos(angle), np.sin(angle)])
    return (RADII[:, None, None] * directions).reshape(-1, 2), np.repeat(TARGETS, rays)


def on_lines(directions: list[tuple[float, float]]) -> tuple[Floats, Floats]:
    """The six standard points on each of some lines through zero."""
    lines = np.array(directions) / np.linalg.norm(directions, axis=1, keepdims=True)
    return (STANDARD[0][:, None, None] * lines).reshape(-1, 2), np.repeat(STANDARD[1], len(lines))


AXES, DIAGONALS = [(1.0, 0.0), (0.0, 1.0)], [(1.0, 1.0), (1.0, -1.0)]
POINTS = {
    "star": star(),
    "cross": on_lines(AXES),
    "double_cross": on_lines(AXES + DIAGONALS),
}


def he(rng: np.random.Generator, networks: int, widths: list[int]) -> Layers:
    """Weights N(0, 2 / fan_in), biases 0; widths from the inputs to the output."""
    return tuple(
        Layer(
            rng.standard_normal((networks, fan_in, fan_out)) * np.sqrt(2.0 / fan_in),
            np.zeros((networks, fan_out)),
        )
        for fan_in, fan_out in pairwise(widths)
    )


def with_biases(rng: np.random.Generator, layers: Layers) -> Layers:
    return tuple(layer._replace(bias=rng.standard_normal(layer.bias.shape)) for layer in layers)


def with_zeros(rng: np.random.Generator, layers: Layers, fraction: float) -> Layers:
    """Some weights 0, whatever they were."""
    return tuple(
        layer._replace(weight=layer.weight * (rng.uniform(size=layer.weight.shape) >= fraction))
        for layer in layers
    )


def problem_on(
    rng: np.random.Generator,
    points: tuple[Floats, Floats],
    layers: Layers,
    factor: float = 1.0,
    relative_threshold: float = 0.9,
) -> tuple[Problem, State]:
    """A problem with a sample of as many points as weights, and its start.

    The step size is ``factor`` / lambda_max, the threshold is relative to the loss at the start.
    """
    m, x, y = len(layers[0].weight), *points
    p = rng.multinomial(3 * len(y), np.full(len(y), 1 / len(y)), size=m) / (3 * len(y))
    problem = Problem(x, y, p, np.ones(m), np.zeros(m))
    at_start = r_d_oracle.loss(problem, r_d_oracle.forward(problem, layers).outputs)
    step_size = factor * r_d_oracle.stable_step(problem, layers)
    problem = problem._replace(step_size=step_size, threshold=relative_threshold * at_start)
    return problem, State.initial(layers)
