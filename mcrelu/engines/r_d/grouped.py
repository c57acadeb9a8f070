"""The grouped engine in d dimensions: two-layer ReLU networks at a cost that no width raises much.

All neurons with one activation pattern move by one common matrix while they keep it
(:mod:`mcrelu.engines.r_d.group_kernels`). How far a group has moved bounds when a neuron may change
its pattern (:mod:`mcrelu.engines.r_d.expiry`), so each is checked now and then only; at the very
step at which it does change, it becomes loose and is trained by itself until the network is grouped
anew (:mod:`mcrelu.engines.r_d.network`). Nothing is approximated.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mcrelu.counting import Counted, count
from mcrelu.engines.r_d.activation_patterns import Points
from mcrelu.engines.r_d.descent import Segment, descend
from mcrelu.engines.r_d.network import Network
from mcrelu.engines.r_d.protocol import LOSS_EVERY
from mcrelu.problems.r_d import Info, Layer, Layers, Problem, State
from mcrelu.types import Floats


class GroupedEngine:
    """Gradient descent of two-layer ReLU networks in float64, one network after the other."""

    name: ClassVar[str] = "grouped"

    def advance(self, problem: Problem, state: State, epochs: int) -> tuple[State, Floats]:
        """Train by ``epochs`` steps; see :class:`mcrelu.engines.r_d.protocol.Engine`.

        Raises
        ------
        ValueError
            For networks other than two-layer ReLU networks.
        """
        if len(state.layers) != 2 or problem.activation != "relu":
            raise ValueError(
                f"the grouped engine trains two layers with relu, not {len(state.layers)} with "
                f"{problem.activation}"
            )
        theta, c = _neurons(state.layers)
        first = np.stack([state.info.first_kink_change, state.info.first_loss_crossing], axis=1)
        last = state.epoch + epochs
        losses = np.empty((len(c), last // LOSS_EVERY - state.epoch // LOSS_EVERY))
        for k in range(len(c)):
            points = Points.of(problem.x, problem.y, problem.p[k])
            net = Network.of(theta[k], c[k], len(problem.y), first[k])
            rate, threshold = float(problem.step_size[k]), float(problem.threshold[k])
            segment = Segment(rate, threshold, state.epoch, last)
            regroupings, loosened = descend(net, points, segment, losses[k])
            count(Counted.REGROUPINGS, regroupings)
            count(Counted.LOOSE_NEURONS, loosened)
        info = Info(*np.ascontiguousarray(first.T))
        return State(last, _layers(theta, c), info), losses


def _neurons(layers: Layers) -> tuple[Floats, Floats]:
    """All (a, b, w), (m, n, d + 2), and the output biases, (m, 1); copies."""
    hidden, output = layers
    parts = [hidden.weight.swapaxes(1, 2), hidden.bias[:, :, None], output.weight]
    theta = np.concatenate(parts, axis=2, dtype=np.float64)
    return np.ascontiguousarray(theta), np.array(output.bias, dtype=np.float64, order="C")


def _layers(theta: Floats, c: Floats) -> Layers:
    """The inverse of :func:`_neurons`."""
    a, b, w = theta[:, :, :-2], theta[:, :, -2], theta[:, :, -1:]
    hidden = Layer(np.ascontiguousarray(a.swapaxes(1, 2)), b.copy())
    return hidden, Layer(w.copy(), c)
