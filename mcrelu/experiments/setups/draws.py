"""Networks of a block: each draws data, weights and shuffles from streams of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.bias_init import initial_biases
from mcrelu.distributions import Draw, draw
from mcrelu.experiments.setups.cell import JUDGING_POINTS, SetupCell
from mcrelu.problems.regression import Networks, Problem, Sample, Samples, Shuffles
from mcrelu.sweep.cell import Provenance
from mcrelu.types import Floats, Ints


class Start(NamedTuple):
    """Some networks of a cell before training, and what their numbers mean."""

    problem: Problem
    networks: Networks
    target_deviation: Floats  # (m,) of the training sample
    bayes_rmse: Floats  # (m,) root mean square of the noise of the test sample


class _One(NamedTuple):
    samples: tuple[tuple[Floats, Floats], ...]  # train, valid, test: x (N, d), y (N)
    a: Floats  # (d, n)
    b: Floats  # (n,)
    w: Floats  # (n,)
    target_deviation: float
    bayes_rmse: float


def start_of(cell: SetupCell, provenance: Provenance, index: Ints) -> Start:
    """The networks of a cell with these indices.

    A network's draws are a function of seed, stream of the cell, and its index: neither the block
    nor the block size matters.
    """
    drawn = [_draw(cell, provenance, int(network)) for network in index]
    samples = (
        Sample(*(np.stack(parts) for parts in zip(*one, strict=True)))
        for one in zip(*(network.samples for network in drawn), strict=True)
    )
    root = np.random.SeedSequence(provenance.seed, spawn_key=(cell.stream,))
    k0, k1 = root.generate_state(2, np.uint32)
    return Start(
        problem=Problem(
            samples=Samples(*samples),
            optimizer=cell.descent,
            batch=cell.batch,
            shuffles=Shuffles((int(k0), int(k1)), index),
        ),
        networks=Networks(
            a=np.stack([network.a for network in drawn]),
            b=np.stack([network.b for network in drawn]),
            w=np.stack([network.w for network in drawn]),
            c=np.zeros(len(drawn)),
        ),
        target_deviation=np.array([network.target_deviation for network in drawn]),
        bayes_rmse=np.array([network.bayes_rmse for network in drawn]),
    )


def _draw(cell: SetupCell, provenance: Provenance, network: int) -> _One:
    """Standardised samples, and He initialisation.

    In the NTK parametrisation weights are standard normal and factors sqrt(2/d), sqrt(2/n): their
    products, which engines train, are the same.
    """
    root = np.random.SeedSequence(provenance.seed, spawn_key=(cell.stream, network))
    train, valid, test, inner, biases, outer = (
        np.random.Generator(np.random.Philox(child)) for child in root.spawn(6)
    )
    drawn = [
        draw(cell.data, train, cell.train_points),
        draw(cell.data, valid, JUDGING_POINTS),
        draw(cell.data, test, JUDGING_POINTS),
    ]
    samples, deviation = _standardised(drawn)
    d, n = cell.inputs, cell.width
    weights = np.sqrt(2.0 / d) * inner.standard_normal((d, n))
    a, b = initial_biases(cell.bias_init, cell.bias_gain, biases, weights, samples[0][0])
    w = np.sqrt(2.0 / n) * outer.standard_normal(n)
    noise = float(np.sqrt((drawn[2].noise ** 2).mean()))
    return _One(samples, a, b, w, deviation, noise)


def _standardised(drawn: list[Draw]) -> tuple[tuple[tuple[Floats, Floats], ...], float]:
    """All samples by the mean and the deviation (divisor N - 1) of the first; that of its y."""
    train = drawn[0]
    x_mean, x_deviation = train.x.mean(axis=0), train.x.std(axis=0, ddof=1)
    y_mean, y_deviation = train.y.mean(), float(train.y.std(ddof=1))
    samples = tuple(
        ((one.x - x_mean) / x_deviation, (one.y - y_mean) / y_deviation) for one in drawn
    )
    return samples, y_deviation
