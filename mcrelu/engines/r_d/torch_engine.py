"""Gradient descent on layered networks in torch, on the CPU or a CUDA device.

Networks are trained in chunks: all steps of a segment for one chunk before the next, so that on the
CPU what a step touches stays in cache. All chunks have one size, the last is filled up with copies
of its last network, and a chunk uses one thread: a matrix product may depend on the number of
matrices and of threads, the result of a network must not.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
from torch import Tensor

from mcrelu.engines.r_d.protocol import BELOW, LOSS_EVERY
from mcrelu.engines.r_d.torch_passes import Passes, Shape
from mcrelu.engines.torch_device import one_thread, tensor_like
from mcrelu.problems.r_d import NEVER, Info, Layer, Layers, Precision, Problem, State
from mcrelu.types import Array, Floats, Ints

# What a step touches: enough networks to be worth the calls, few enough for a core's cache.
BYTES_IN_CACHE = 2**21
MOST_AT_ONCE = 64  # of small networks on the CPU: few are filled up to so many
BYTES_ON_DEVICE = 2**30  # on a CUDA device
EPOCHS_AT_ONCE = 50  # that run before their losses and patterns are read back


class TorchEngine:
    """Any depth and activation; parameters are kept in ``precision``, also between segments."""

    name: ClassVar[str] = "torch"

    def __init__(
        self,
        device: str = "cpu",
        precision: Precision = "float64",
        block_size: int | None = None,
    ) -> None:
        """An engine on a device.

        Parameters
        ----------
        device : "cpu", "cuda" or "cuda:i"
        block_size : networks per block of the sweep
            No chunk is larger. Not the number of networks at hand, on which no row may depend.

        Raises
        ------
        ResourceError
            If there is no such device.
        """
        self._block_size = block_size
        self._like: Tensor = tensor_like(precision, device)

    def advance(self, problem: Problem, state: State, epochs: int) -> tuple[State, Floats]:
        """Train by ``epochs`` steps; see :class:`mcrelu.engines.r_d.protocol.Engine`."""
        points, inputs = problem.x.shape
        widths = tuple(layer.bias.shape[1] for layer in state.layers[:-1])
        shape = Shape(points, inputs, widths)
        size = self._networks_at_once(shape)
        networks = len(problem.p)
        trained = []
        with one_thread():
            passes = Passes(shape, problem.activation, size, self._like)
            records = self._like.new_empty((2, EPOCHS_AT_ONCE, size))
            for first in range(0, networks, size):
                rows = np.minimum(np.arange(first, first + size), networks - 1)
                segment = _train(passes, problem.rows(rows), state.rows(rows), epochs, records)
                trained.append(_cut(segment, min(size, networks - first)))
        return _joined(trained)

    def _networks_at_once(self, shape: Shape) -> int:
        size = shape.numbers() * self._like.element_size()
        if self._like.device.type == "cpu":
            fitting = min(BYTES_IN_CACHE // size, MOST_AT_ONCE)
        else:
            fitting = BYTES_ON_DEVICE // size
        return max(1, min(fitting, self._block_size or fitting))


class _Segment(NamedTuple):
    state: State
    losses: Floats  # (m, k)


def _train(
    passes: Passes, problem: Problem, state: State, epochs: int, records: Tensor
) -> _Segment:
    """A segment of one chunk; ``records`` (2, EPOCHS_AT_ONCE, C) is scratch."""
    losses, changes = records
    passes.load(state.layers, problem)
    passes.forward(losses[0])
    passes.remember_pattern()
    limit = (BELOW * problem.threshold).astype(_numpy(losses).dtype)
    kink, crossing = state.info.first_kink_change.copy(), state.info.first_loss_crossing.copy()
    if state.epoch == 0:
        _record(crossing, _numpy(losses[:1]) < limit, np.zeros(1, dtype=np.int64))
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
        _record(crossing, block < limit, numbers)
        if watching:
            _record(kink, _numpy(changes[: len(numbers)]) != 0.0, numbers)
        kept.append(block[numbers % LOSS_EVERY == 0])
    reached = State(state.epoch + epochs, passes.layers(), Info(kink, crossing))
    return _Segment(reached, np.concatenate(kept).T)


def _record(first: Ints, happened: Array, numbers: Ints) -> None:
    """Write the number of the first epoch in which something happened where there was NEVER.

    happened (k, m), numbers (k,).
    """
    new = (first == NEVER) & happened.any(axis=0)
    first[new] = numbers[happened.argmax(axis=0)[new]]


def _cut(segment: _Segment, networks: int) -> _Segment:
    return _Segment(segment.state.rows(np.arange(networks)), segment.losses[:networks])


def _joined(segments: list[_Segment]) -> tuple[State, Floats]:
    states = [segment.state for segment in segments]
    layers: Layers = tuple(
        Layer(*(np.concatenate(parts) for parts in zip(*own, strict=True)))
        for own in zip(*(state.layers for state in states), strict=True)
    )
    info = Info(
        *(np.concatenate(parts) for parts in zip(*(state.info for state in states), strict=True))
    )
    losses = np.concatenate([segment.losses for segment in segments])
    return State(states[0].epoch, layers, info), losses


def _numpy(tensor: Tensor) -> Array:
    return tensor.cpu().numpy()
