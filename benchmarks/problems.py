"""The training problems of the benchmarks: the paper's networks, batches of the original's size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.data import point_weights, sample_size, standard_points
from mcrelu.engines.minibatch.protocol import AnyEngine
from mcrelu.experiments.setups.cell import SetupCell
from mcrelu.experiments.setups.draws import Start, start_of
from mcrelu.init import he
from mcrelu.problems import regression
from mcrelu.problems.one_d import Problem
from mcrelu.rng import MinibatchStream, draws_of
from mcrelu.sweep.sweep import Sweep
from mcrelu.theory.sigma import inv_lambda_max
from mcrelu.types import Floats

SEED = 20200212
SETUP_NETWORKS, MOST_INPUTS = 100, 32  # half as many networks beyond
SETUP_RATES = {"sgd": 1e-3, "momentum": 1e-4, "adam": 1e-3}


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


def setup_problem(data: str, rule: str, networks: int = SETUP_NETWORKS) -> tuple[SetupCell, Start]:
    """A cell of the paper's grid, and its networks: half of them where inputs are many."""
    sweep = Sweep.of(
        {
            "version": 1,
            "experiment": "setups",
            "seed": SEED,
            "networks": networks,
            "cells": {
                "data": [data],
                "parametrization": ["he"],
                "optimizer": [rule],
                "bias_init": ["kink-neg-unif"],
                "learning_rate": [SETUP_RATES[rule]],
            },
        }
    )
    (cell,) = sweep.cells
    assert isinstance(cell, SetupCell)
    networks = networks if cell.inputs <= MOST_INPUTS else networks // 2
    return cell, start_of(cell, sweep.provenance(cell), np.arange(networks))


class MinibatchRun:
    """An engine and how far it has come."""

    def __init__(
        self, engine: AnyEngine, problem: regression.Problem, networks: regression.Networks
    ) -> None:
        self._engine = engine
        self._state = engine.init(problem, networks)

    def train(self, epochs: int) -> None:
        """Train by some epochs."""
        self._state = self._engine.advance(self._state, epochs)

    def validate(self) -> tuple[Floats, Floats]:
        """Mean squared errors of validation and test sample."""
        valid, test = (self._engine.mean_squares(self._state, name) for name in ("valid", "test"))
        return valid, test
