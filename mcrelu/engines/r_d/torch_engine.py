"""Gradient descent on layered networks in torch, on the CPU or a CUDA device.

Networks are trained in chunks: all steps of a leg for one chunk before the next, so that on the CPU
what a step touches stays in cache. All chunks have one size, the last is filled up with copies of
its last network, and a chunk uses one thread: a matrix product may depend on the number of matrices
and of threads, the result of a network must not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mcrelu.engines.r_d.protocol import BELOW, LOSS_EVERY
from mcrelu.engines.r_d.torch_passes import Passes, Shape
from mcrelu.errors import ResourceError
from mcrelu.problems.r_d import NEVER, Array, Descent, Layer, Layers, Precision, Regression
from mcrelu.types import Floats, Ints

# What a step touches: enough networks to be worth the calls, few enough for a core's cache.
BYTES_IN_CACHE = 2**21
MOST_AT_ONCE = 64  # of small networks on the CPU: few are filled up to so many
BYTES_ON_DEVICE = 2**30  # on a CUDA device
EPOCHS_AT_ONCE = 50  # that run before anyone looks at their losses and patterns


class TorchEngine:
    """Any depth, relu or tanh; parameters are kept in ``precision``, also between legs."""

    name: ClassVar[str] = "torch"

    def __init__(self, device: str = "cpu", precision: Precision = "float64") -> None:
        """``device`` is "cpu", "cuda" or "cuda:i".

        Raises
        ------
        ResourceError
            If there is no such device.
        """
        try:
            self._like = torch.empty(0, dtype=getattr(torch, precision), device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise ResourceError(
                f"device {device!r} cannot be used ({reason}); cpu is always there"
            ) from None

    def advance(self, problem: Regression, state: Descent, epochs: int) -> tuple[Descent, Floats]:
        """Train by ``epochs`` steps; see :class:`mcrelu.engines.r_d.protocol.LayeredEngine`."""
        points, inputs = problem.x.shape
        widths = tuple(layer.bias.shape[1] for layer in state.layers[:-1])
        shape = Shape(points, inputs, widths)
        size = self._networks_at_once(shape)
        networks = len(problem.p)
        trained = []
        with _one_thread():
            passes = Passes(shape, problem.activation, size, self._like)
            records = self._like.new_empty((2, EPOCHS_AT_ONCE, size))
            for first in range(0, networks, size):
                rows = np.minimum(np.arange(first, first + size), networks - 1)
                leg = _train(passes, problem.rows(rows), _rows(state, rows), epochs, records)
                trained.append(_cut(leg, min(size, networks - first)))
        return _joined(trained)

    def _networks_at_once(self, shape: Shape) -> int:
        size = shape.numbers() * self._like.element_size()
        if self._like.device.type != "cpu":
            return max(1, BYTES_ON_DEVICE // size)
        return max(1, min(BYTES_IN_CACHE // size, MOST_AT_ONCE))


class _Leg(NamedTuple):
    state: Descent
    losses: Floats  # (m, k)


def _train(
    passes: Passes, problem: Regression, state: Descent, epochs: int, records: Tensor
) -> _Leg:
    """A leg of one chunk; ``records`` (2, EPOCHS_AT_ONCE, C) is scratch."""
    losses, changes = records
    passes.load(state.layers, problem)
    passes.forward(losses[0])
    passes.remember_pattern()
    limit = (BELOW * problem.threshold).astype(_numpy(losses).dtype)
    kink, crossing = state.first_kink_change.copy(), state.first_loss_crossing.copy()
    if state.epoch == 0:
        _note(crossing, _numpy(losses[:1]) < limit, np.zeros(1, dtype=np.int64))
    kept = [np.empty((0, len(kink)))]
    for start in range(0, epochs, EPOCHS_AT_ONCE):
        numbers = state.epoch + np.arange(start, min(start + EPOCHS_AT_ONCE, epochs)) + 1
        watching = bool((kink == NEVER).any())
        for k in range(len(numbers)):
            passes.step()
            passes.forward(losses[k])
            if watching:
                passes.count_changes(changes[k])
        block = _numpy(losses[: len(numbers)])
        _note(crossing, block < limit, numbers)
        if watching:
            _note(kink, _numpy(changes[: len(numbers)]) != 0.0, numbers)
        kept.append(block[numbers % LOSS_EVERY == 0])
    reached = Descent(state.epoch + epochs, passes.layers(), kink, crossing)
    return _Leg(reached, np.concatenate(kept).T)


def _note(first: Ints, happened: Array, numbers: Ints) -> None:
    """Write the number of the first epoch in which something happened where there was NEVER.

    happened (k, m), numbers (k,).
    """
    new = (first == NEVER) & happened.any(axis=0)
    first[new] = numbers[happened.argmax(axis=0)[new]]


def _rows(state: Descent, rows: Ints) -> Descent:
    return Descent(
        state.epoch,
        tuple(Layer(*(part[rows] for part in layer)) for layer in state.layers),
        state.first_kink_change[rows],
        state.first_loss_crossing[rows],
    )


def _cut(leg: _Leg, networks: int) -> _Leg:
    return _Leg(_rows(leg.state, np.arange(networks)), leg.losses[:networks])


def _joined(legs: list[_Leg]) -> tuple[Descent, Floats]:
    states = [leg.state for leg in legs]
    layers: Layers = tuple(
        Layer(*(np.concatenate(parts) for parts in zip(*own, strict=True)))
        for own in zip(*(state.layers for state in states), strict=True)
    )
    joined = Descent(
        states[0].epoch,
        layers,
        np.concatenate([state.first_kink_change for state in states]),
        np.concatenate([state.first_loss_crossing for state in states]),
    )
    return joined, np.concatenate([leg.losses for leg in legs])


def _numpy(tensor: Tensor) -> Array:
    return tensor.cpu().numpy()


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
