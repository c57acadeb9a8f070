"""Networks of a block: each draws data, weights and shuffles from streams of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mcrelu.bias_init import initial_biases
from mcrelu.distributions import Draw, draw
from mcrelu.experiments.setups.cell import JUDGING_POINTS, SetupCell
from mcrelu.problems.regression import Networks, Problem, Sample, Samples, Shuffles
from mcrelu.sweep.cell import Provenance
from mcrelu.types import Floats, Ints


class Scales(NamedTuple):
    """Mean and deviation (divisor N - 1) of the training samples, by which all are standardised."""

    x_mean: Floats  # (m, d)
    x_deviation: Floats  # (m, d)
    y_mean: Floats  # (m,)
    y_deviation: Floats  # (m,)

    @classmethod
    def of(cls, samples: Sequence[Draw]) -> Scales:
        """Those of some samples."""
        return cls(
            np.array([one.x.mean(axis=0) for one in samples]),
            np.array([one.x.std(axis=0, ddof=1) for one in samples]),
            np.array([one.y.mean() for one in samples]),
            np.array([one.y.std(ddof=1) for one in samples]),
        )


class Start(NamedTuple):
    """Some networks of a cell before training, and what their numbers mean."""

    problem: Problem
    networks: Networks
    scales: Scales
    bayes_rmse: Floats  # (m,) root mean square of the noise of the test sample


class _One(NamedTuple):
    train: Draw
    valid: Draw
    test: Draw


def start_of(
    cell: SetupCell, provenance: Provenance, index: Ints, *, same_data: bool = False
) -> Start:
    """The networks of a cell with these indices.

    A network's draws are a function of seed, stream of the cell, and its index: neither the block
    nor the block size matters. With ``same_data`` all have the data of the first.
    """
    streams = [_Streams.of(cell, provenance, int(network)) for network in index]
    if same_data:
        drawn = [_draw_data(cell, _Streams.of(cell, provenance, int(index[0])))] * len(index)
    else:
        drawn = [_draw_data(cell, own) for own in streams]
    scales = Scales.of([one.train for one in drawn])
    samples = Samples(*(_standardised(scales, part) for part in zip(*drawn, strict=True)))
    root = np.random.SeedSequence(provenance.seed, spawn_key=(cell.stream,))
    k0, k1 = root.generate_state(2, np.uint32)
    return Start(
        problem=Problem(
            samples=samples,
            optimizer=cell.descent,
            batch=cell.batch,
            shuffles=Shuffles((int(k0), int(k1)), index),
        ),
        networks=_initialised(cell, streams, samples.train.x),
        scales=scales,
        bayes_rmse=np.array([np.sqrt((one.test.noise**2).mean()) for one in drawn]),
    )


class _Streams(NamedTuple):
    """The streams of one network."""

    train: np.random.Generator
    valid: np.random.Generator
    test: np.random.Generator
    inner: np.random.Generator
    biases: np.random.Generator
    outer: np.random.Generator

    @classmethod
    def of(cls, cell: SetupCell, provenance: Provenance, network: int) -> _Streams:
        root = np.random.SeedSequence(provenance.seed, spawn_key=(cell.stream, network))
        children = root.spawn(len(cls._fields))
        return cls(*(np.random.Generator(np.random.Philox(child)) for child in children))


def _draw_data(cell: SetupCell, streams: _Streams) -> _One:
    return _One(
        draw(cell.data, streams.train, cell.train_points),
        draw(cell.data, streams.valid, JUDGING_POINTS),
        draw(cell.data, streams.test, JUDGING_POINTS),
    )


def _standardised(scales: Scales, drawn: Sequence[Draw]) -> Sample:
    x, y = np.stack([one.x for one in drawn]), np.stack([one.y for one in drawn])
    return Sample(
        (x - scales.x_mean[:, None]) / scales.x_deviation[:, None],
        (y - scales.y_mean[:, None]) / scales.y_deviation[:, None],
    )


def _initialised(cell: SetupCell, streams: Sequence[_Streams], x: Floats) -> Networks:
    """He initialisation; x (m, N, d) are the training points, on which biases may depend.

    In the NTK parametrisation weights are standard normal and factors sqrt(2/d), sqrt(2/n): their
    products, which engines train, are the same.
    """
    d, n = cell.inputs, cell.width
    layers = [
        initial_biases(
            cell.bias_init,
            cell.bias_gain,
            own.biases,
            np.sqrt(2.0 / d) * own.inner.standard_normal((d, n)),
            points,
        )
        for own, points in zip(streams, x, strict=True)
    ]
    return Networks(
        a=np.stack([layer.a for layer in layers]),
        b=np.stack([layer.b for layer in layers]),
        w=np.sqrt(2.0 / n) * np.stack([own.outer.standard_normal(n) for own in streams]),
        c=np.zeros(len(layers)),
    )
