"""The grouped engine: GD and SGD at a cost that does not depend on the width, and exact.

All neurons of one sign of a(0) move by one common matrix P while they keep their activation
pattern, so a network is thirteen numbers (:mod:`mcrelu.engines.one_d.group_kernels`). A neuron
that is about to change its pattern becomes loose and is trained by itself from then on
(:mod:`mcrelu.engines.one_d.group_steps`).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mcrelu.engines.one_d import group_kernels as gk
from mcrelu.engines.one_d import group_steps, loose
from mcrelu.engines.one_d.group_kernels import LANES
from mcrelu.engines.one_d.group_state import State, ends_of, groups_of, initial_state, kept
from mcrelu.engines.one_d.lanes import unpack
from mcrelu.memory import NEURONS_AT_ONCE
from mcrelu.problems.one_d import Info, Problem, Weights
from mcrelu.types import Bools, Counts, Floats, Ints

# Networks that diverged are results like others, on their way to infinity and after it.
_DIVERGED = np.errstate(over="ignore", invalid="ignore")


class GroupedEngine:
    """O(D) operations per network and step, at any width, as long as few neurons are loose."""

    name: ClassVar[str] = "grouped"
    semantics: ClassVar[int] = 3
    optimizers: ClassVar[frozenset[str]] = frozenset({"gd", "sgd"})

    @staticmethod
    def memory(networks: int, width: int, optimizer: str, crossing: int) -> int:
        """What is drawn at once (12 numbers a neuron), loose networks (8), states and a check."""
        at_once = min(networks * width, max(width, NEURONS_AT_ONCE))
        packed = 3 * (gk.ROWS + gk.FIXED_ROWS + gk.DATA_ROWS)
        check = 200  # moments, eigenvectors, bounds
        numbers = 12 * at_once + 8 * crossing * width + (packed + check) * networks
        return numbers * np.dtype(np.float64).itemsize

    def init(self, problem: Problem) -> State:
        """Group the neurons; networks that do not start in two groups start loose."""
        return initial_state(problem)

    def advance(self, state: State, steps: int, minibatches: Counts | None = None) -> State:
        """Train by ``steps`` steps, on minibatches (m, D, steps) or on the whole sample."""
        return group_steps.advance(state, steps, minibatches)

    @_DIVERGED
    def info(self, state: State) -> Info:
        """How far out kinks were, and first crossing, both (m,)."""
        moving = unpack(state.moving, len(state.rows), LANES)
        largest = moving[:, gk.KINK_NUMERATOR] / moving[:, gk.KINK_DENOMINATOR]
        crossing = np.zeros(len(state.rows), dtype=np.int64)
        for k, network in state.loose.items():
            largest[k], crossing[k] = network.max_kink[0], network.first_crossing[0]
        return Info(largest, crossing)

    @_DIVERGED
    def outputs(self, state: State) -> Floats:
        """Network outputs at the data points, (m, D)."""
        x = state.points.x
        outputs = gk.group_outputs(*groups_of(state), x, state.leak)
        for k, network in state.loose.items():
            a, b, w = loose.loose_theta(network)[:, :, None]
            z = a * x + b
            outputs[k] += (w * np.where(z >= 0.0, z, state.leak * z)).sum(axis=0)
        return outputs

    @_DIVERGED
    def neurons(self, state: State, rows: Ints | None = None) -> Weights:
        """All parameters, materialised, of all networks or of some."""
        if rows is not None:
            state = kept(state, np.isin(np.arange(len(state.rows)), rows))
        start = state.weights.rows(state.rows)
        groups = groups_of(state)
        side = np.where(start.a < 0, 1, 0)[:, :, None]
        a, b, w = _moved(np.take_along_axis(groups.p, side, axis=1), start.a, start.w)
        for k, network in state.loose.items():
            index = network.loose.neuron[: network.loose.size[0]]
            a[k, index], b[k, index], w[k, index] = loose.loose_theta(network)
        return Weights(a, b, groups.c, w)

    @_DIVERGED
    def outermost(self, state: State, rows: Ints) -> Weights:
        """The ends of the groups, as if |a(0)| were 1, and the loose neurons.

        Members are theta(0) = a(0) (1, 0, t), so a homogeneous condition depends on t alone, and
        one that is concave where a keeps its sign is tightest at the smallest or largest t.
        """
        groups = groups_of(state)
        p, a0 = groups.p[rows][:, [0, 0, 1, 1]], np.array([1.0, 1.0, -1.0, -1.0])
        theta = np.stack(_moved(p, a0, a0 * ends_of(state)[rows]))
        place = {int(row): k for k, row in enumerate(rows)}
        own = {
            place[row]: loose.outermost(network)
            for row, network in state.loose.items()
            if row in place
        }
        most = max((part.shape[1] for part in own.values()), default=4)
        theta = np.pad(theta, ((0, 0), (0, 0), (0, max(most - 4, 0))), mode="edge")
        for k, part in own.items():
            theta[:, k, : part.shape[1]] = part
            theta[:, k, part.shape[1] :] = part[:, -1:]  # once more: an array has no gaps
        return Weights(theta[0], theta[1], groups.c[rows], theta[2])

    @_DIVERGED
    def moments(self, state: State) -> Floats:
        """Sigma, (m, 2, 3, 3)."""
        p, s, _ = groups_of(state)
        sigma = gk.group_moments(p, s)
        for k, network in state.loose.items():
            theta = loose.loose_theta(network)
            for side, inside in enumerate((theta[0] > 0, theta[0] < 0)):
                sigma[k, side] += theta[:, inside] @ theta[:, inside].T
        return sigma

    def keep(self, state: State, mask: Bools) -> State:
        """The networks where mask is true."""
        return kept(state, mask)


def _moved(p: Floats, a0: Floats, w0: Floats) -> tuple[Floats, Floats, Floats]:
    """Where P takes members: p (m, k, 6), a0 and w0 (m, k) or less -> a, b, w, each (m, k)."""
    return (
        p[:, :, 0] * a0 + p[:, :, 1] * w0,
        p[:, :, 2] * a0 + p[:, :, 3] * w0,
        p[:, :, 4] * a0 + p[:, :, 5] * w0,
    )
