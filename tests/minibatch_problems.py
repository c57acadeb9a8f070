"""Small regression problems for two-layer networks, and a plain method to hold engines against."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mcrelu.problems.regression import (
    BETA_1,
    BETA_2,
    MOMENTUM,
    Networks,
    Optimizer,
    Problem,
    Rule,
    Sample,
    Samples,
    Shuffles,
)
from mcrelu.shuffles import shuffle
from mcrelu.types import Array, Bools, Floats, Ints

KEY = (1234, 5678)


def random_problem(
    seed: int,
    *,
    networks: int = 3,
    inputs: int = 1,
    width: int = 12,
    points: int = 20,
    batch: int | None = None,
    optimizer: Optimizer | None = None,
) -> tuple[Problem, Networks]:
    """A smooth target, normal points, He initialisation with small biases."""
    rng = np.random.default_rng(seed)

    def sample(size: int) -> Sample:
        x = rng.normal(size=(networks, size, inputs))
        return Sample(x, np.cos(x.sum(axis=2)) + 0.1 * rng.normal(size=(networks, size)))

    problem = Problem(
        samples=Samples(sample(points), sample(points + 3), sample(points + 5)),
        optimizer=optimizer or Optimizer("sgd", 0.02),
        batch=batch or points,
        shuffles=Shuffles(KEY, np.arange(networks)),
    )
    nets = Networks(
        a=rng.normal(size=(networks, inputs, width)) * np.sqrt(2 / inputs),
        b=0.3 * rng.normal(size=(networks, width)),
        w=rng.normal(size=(networks, width)) * np.sqrt(2 / width),
        c=0.1 * rng.normal(size=networks),
    )
    return problem, nets


def with_rule(problem: Problem, rule: Rule, rate: float) -> Problem:
    """The same problem under another rule."""
    return problem._replace(optimizer=replace(problem.optimizer, rule=rule, rate=rate))


def outputs(nets: Networks, x: Floats) -> Floats:
    """f at points (m, N, d), (m, N), by the definition."""
    z = np.einsum("mkd,mdn->mkn", x, nets.a) + nets.b[:, None]
    return np.asarray((np.maximum(z, 0.0) * nets.w[:, None]).sum(axis=2) + nets.c[:, None])


def mean_squares(nets: Networks, sample: Sample) -> Floats:
    """Mean of (f - y)^2, (m,)."""
    return np.asarray(((outputs(nets, sample.x) - sample.y) ** 2).mean(axis=1))


def gradient(nets: Networks, sample: Sample) -> Networks:
    """Of the mean of (f - y)^2, by the chain rule; a neuron is active where z > 0."""
    z = np.einsum("mkd,mdn->mkn", sample.x, nets.a) + nets.b[:, None]
    residual = 2.0 / sample.y.shape[1] * (outputs(nets, sample.x) - sample.y)
    felt = residual[:, :, None] * (z > 0.0) * nets.w[:, None]
    return Networks(
        a=np.einsum("mkd,mkn->mdn", sample.x, felt),
        b=felt.sum(axis=1),
        w=(residual[:, :, None] * np.maximum(z, 0.0)).sum(axis=1),
        c=residual.sum(axis=1),
    )


def train(problem: Problem, nets: Networks, epochs: int) -> Networks:
    """All networks, step by step, with the optimisers as their authors wrote them."""
    memory: list[Any] = [tuple(np.zeros_like(part) for part in nets) for _ in range(2)]
    points = problem.samples.train.y.shape[1]
    step = 0
    for epoch in range(epochs):
        order = orders(problem, epoch)
        for first in range(0, points, problem.batch):
            step += 1
            chosen = order[:, first : first + problem.batch]
            every = np.arange(len(order))[:, None]
            own = problem.samples.train
            slope = gradient(nets, Sample(own.x[every, chosen], own.y[every, chosen]))
            nets, memory = descended(problem.optimizer, nets, slope, memory, step)
    return nets


def orders(problem: Problem, epoch: int) -> Ints:
    """The order of the points of each network, (m, N)."""
    points = problem.samples.train.y.shape[1]
    order = np.tile(np.arange(points), (len(problem.shuffles.network), 1))
    if problem.batch < points:
        k0, k1 = (np.uint64(word) for word in problem.shuffles.key)
        for row, network in zip(order, problem.shuffles.network, strict=True):
            shuffle(k0, k1, np.uint64(network), np.uint64(epoch), row)
    return order


def descended(
    optimizer: Optimizer, nets: Networks, slope: Networks, memory: list[Any], step: int
) -> tuple[Networks, list[Any]]:
    """One step."""
    inner, plain, outer = zip(optimizer.rates(), optimizer.epsilons(), strict=True)
    parts, first, second = [], [], []
    for part, g, old_m, old_v, (rate, epsilon) in zip(
        nets, slope, *memory, (inner, plain, outer, plain), strict=True
    ):
        m, v, move = _moved(optimizer.rule, g, old_m, old_v, step, epsilon)
        parts.append(part - rate * move)
        first.append(m)
        second.append(v)
    return Networks(*parts), [tuple(first), tuple(second)]


def _moved(
    rule: Rule, g: Array, m: Array, v: Array, step: int, epsilon: float
) -> tuple[Array, Array, Array]:
    """New memories and the direction of a step."""
    if rule == "sgd":
        return m, v, g
    if rule == "momentum":
        m = MOMENTUM * m + g
        return m, v, m
    m = BETA_1 * m + (1 - BETA_1) * g
    v = BETA_2 * v + (1 - BETA_2) * g**2
    return m, v, (m / (1 - BETA_1**step)) / (np.sqrt(v / (1 - BETA_2**step)) + epsilon)


def distance(one: Networks, other: Networks) -> Floats:
    """Largest difference of two networks' parameters, (m,)."""
    pairs = zip(one, other, strict=True)
    return np.max([np.abs(u - v).reshape(len(u), -1).max(axis=1) for u, v in pairs], axis=0)


def chosen(problem: Problem, nets: Networks, mask: Bools) -> tuple[Problem, Networks]:
    """Some of the networks with their problems."""
    rows = np.flatnonzero(mask)
    some = problem._replace(
        samples=Samples(*(sample.rows(rows) for sample in problem.samples)),
        shuffles=problem.shuffles._replace(network=problem.shuffles.network[rows]),
    )
    return some, Networks(*(part[rows] for part in nets))
