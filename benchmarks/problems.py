"""The training problems of the benchmarks: the paper's networks, batches of the original's size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.data import point_weights, sample_size, standard_points
from mcrelu.init import he
from mcrelu.problems.one_d import Problem
from mcrelu.rng import MinibatchStream, draws_of
from mcrelu.theory.sigma import inv_lambda_max

SEED = 20200212


class Drawn(NamedTuple):
    """A problem and the stream of its minibatches."""

    problem: Problem
    minibatches: MinibatchStream


def paper_problem(networks: int, width: int, optimizer: str) -> Drawn:
    """He networks on the six points; GD with h = 1/lambda_max, SGD and Adam with h = 0.01/n."""
    points = standard_points()
    draws = draws_of(
        "philox4x32",
        seed=SEED,
        stream=width,
        block=0,
        networks=networks,
        width=width,
        points=len(points.x),
        samples=sample_size(width),
    )
    p = point_weights(draws.counts)
    rows = np.arange(len(draws.counts))
    weights = he(draws.a_normals.rows(rows), draws.w_normals.rows(rows))
    if optimizer == "gd":
        step_size = inv_lambda_max(weights, points, p)
    else:
        step_size = np.full(networks, 0.01 / width)
    return Drawn(Problem(points, p, weights, step_size, optimizer), draws.minibatches)
