"""The grouped engine: GD and SGD at a cost that does not depend on the width, and exact.

All neurons of one sign of a(0) move by one common matrix P while they keep their activation
pattern, so a network is thirteen numbers (:mod:`mcrelu.engines.group_kernels`). A neuron that is
about to change its pattern becomes loose and is trained by itself from then on.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from mcrelu.engines import group_kernels as gk
from mcrelu.engines.group_kernels import LANES
from mcrelu.engines.lanes import minibatch_weights, pack, take, unpack
from mcrelu.types import Bools, Counts, Floats, Ints, Kinks, PointSet, Problem, Weights

# Networks that diverged are results like others, on their way to infinity and after it.
_DIVERGED = np.errstate(over="ignore", invalid="ignore")


class Loose(NamedTuple):
    """A network with loose neurons; arrays as in group_kernels.descend_loose."""

    p: Floats  # (2, 6)
    s: Floats  # (2, 3)
    c: Floats  # (1,)
    kink: Floats  # (1,)
    crossing: Ints  # (1,)
    order: Ints  # (n,)
    spans: Ints  # (2, 2)
    theta: Floats  # (3, n), of the loose neurons
    neuron: Ints  # (n,) which neurons they are
    size: Ints  # (1,) how many

    def copy(self) -> Loose:
        """A copy that kernels may write to."""
        return self._replace(**{name: array.copy() for name, array in self._asdict().items()})


class State(NamedTuple):
    """m networks; packed arrays are (groups, rows * LANES)."""

    steps: int  # done so far
    points: PointSet
    sides: tuple[PointSet, PointSet]  # the points with x > 0 and those with x < 0
    p: Floats  # (m, D)
    step_size: Floats  # (m,)
    a0: Floats  # of all networks the problem began with; rows says which are left
    w0: Floats
    rows: Ints  # (m,)
    moving: Floats  # packed, group_kernels.ROWS
    fixed: Floats  # packed, group_kernels.FIXED_ROWS
    loose: dict[int, Loose]  # by position among the m networks


class GroupedEngine:
    """O(D) operations per network and step, at any width, as long as few neurons are loose."""

    name: ClassVar[str] = "grouped"
    semantics: ClassVar[int] = 1
    optimizers: ClassVar[frozenset[str]] = frozenset({"gd", "sgd"})

    @staticmethod
    def memory(networks: int, width: int, optimizer: str) -> int:
        """Draws (2), parameters (3), and materialised neurons at a check (4)."""
        return 9 * networks * width * np.dtype(np.float64).itemsize

    def init(self, problem: Problem) -> State:
        """Group the neurons; networks that do not start in two groups start loose."""
        m = len(problem.p)
        a0, b0, c0, w0 = problem.weights
        moving = np.zeros((m, gk.ROWS))
        moving[:, [0, 5, 6, 11]] = 1.0  # P is the identity
        moving[:, gk.C] = c0
        moving[:, gk.KINK_DENOMINATOR] = moving[:, gk.LIVE] = 1.0
        fixed = np.concatenate([_side(a0, w0, a0 > 0), _side(a0, w0, a0 < 0)], axis=1)
        both_sides = (a0 > 0).any(axis=1) & (a0 < 0).any(axis=1)
        grouped = both_sides & (b0 == 0).all(axis=1) & (a0 != 0).all(axis=1)
        moving[~grouped, gk.LIVE] = 0.0
        loose = {int(k): _start_loose(a0[k], b0[k], c0[k], w0[k]) for k in np.flatnonzero(~grouped)}
        return State(
            steps=0,
            points=problem.points,
            sides=(_points_where(problem.points, 1.0), _points_where(problem.points, -1.0)),
            p=problem.p,
            step_size=problem.step_size,
            a0=a0,
            w0=w0,
            rows=np.arange(m),
            moving=pack(moving, LANES),
            fixed=pack(fixed, LANES),
            loose=loose,
        )

    def advance(self, state: State, steps: int, minibatches: Counts | None = None) -> State:
        """Train by ``steps`` steps, on minibatches (m, D, steps) or on the whole sample."""
        moving = state.moving.copy()
        moving.reshape(len(moving), gk.ROWS, LANES)[:, gk.DONE] = 0.0
        for g in range(len(moving)):
            self._advance_group(state, moving[g], g, steps, minibatches)
        numbers = unpack(moving, len(state.rows), LANES)
        loose = {k: network.copy() for k, network in state.loose.items()}
        todo = dict.fromkeys(loose, steps)
        stopped = [int(k) for k in np.flatnonzero(numbers[:, gk.LIVE] == 0.0)]
        for k in (k for k in stopped if k not in loose):
            done = int(numbers[k, gk.DONE]) + 1
            loose[k] = _break_up(state, k, numbers[k], state.steps + done)
            todo[k] = steps - done
        for k, network in loose.items():
            _train_loose(state, k, network, steps, todo[k], minibatches)
        return state._replace(steps=state.steps + steps, moving=moving, loose=loose)

    @_DIVERGED
    def kinks(self, state: State) -> Kinks:
        """Running maximum of |b/a| and first crossing, both (m,)."""
        numbers = unpack(state.moving, len(state.rows), LANES)
        largest = numbers[:, gk.KINK_NUMERATOR] / numbers[:, gk.KINK_DENOMINATOR]
        crossing = np.zeros(len(state.rows), dtype=np.int64)
        for k, network in state.loose.items():
            largest[k], crossing[k] = network.kink[0], network.crossing[0]
        return Kinks(largest, crossing)

    @_DIVERGED
    def outputs(self, state: State) -> Floats:
        """Network outputs at the data points, (m, D)."""
        p, s, c = _groups(state)
        x = state.points.x
        row = np.stack(
            [s[:, :, 0] * p[:, :, 4] + s[:, :, 1] * p[:, :, 5],
             s[:, :, 1] * p[:, :, 4] + s[:, :, 2] * p[:, :, 5]], axis=2,
        )  # fmt: skip
        slope = (row * p[:, :, 0:2]).sum(axis=2)
        intercept = (row * p[:, :, 2:4]).sum(axis=2)
        side = np.where(x > 0, 0, 1)
        outputs = c[:, None] + slope[:, side] * x + intercept[:, side]
        for k, network in state.loose.items():
            a, b, w = network.theta[:, : network.size[0], None]
            outputs[k] += (w * np.maximum(a * x + b, 0.0)).sum(axis=0)
        return outputs

    @_DIVERGED
    def neurons(self, state: State, rows: Ints | None = None) -> Weights:
        """All parameters, materialised, of all networks or of some."""
        if rows is not None:
            state = self.keep(state, np.isin(np.arange(len(state.rows)), rows))
        p, _, c = _groups(state)
        a0, w0 = state.a0[state.rows], state.w0[state.rows]
        minus = a0 < 0

        def row(of_a: int) -> Floats:
            on_a = np.where(minus, p[:, 1, of_a, None], p[:, 0, of_a, None])
            on_w = np.where(minus, p[:, 1, of_a + 1, None], p[:, 0, of_a + 1, None])
            return on_a * a0 + on_w * w0

        a, b, w = row(0), row(2), row(4)
        for k, network in state.loose.items():
            count = network.size[0]
            index = network.neuron[:count]
            a[k, index], b[k, index], w[k, index] = network.theta[:, :count]
        return Weights(a, b, c, w)

    @_DIVERGED
    def moments(self, state: State) -> Floats:
        """Sigma, (m, 2, 3, 3)."""
        p, s, _ = _groups(state)
        on_a, on_w = p[:, :, 0::2], p[:, :, 1::2]  # columns of P, (m, 2, 3)
        cross = on_a[..., :, None] * on_w[..., None, :]
        sigma = (
            s[:, :, 0, None, None] * (on_a[..., :, None] * on_a[..., None, :])
            + s[:, :, 1, None, None] * (cross + cross.swapaxes(2, 3))
            + s[:, :, 2, None, None] * (on_w[..., :, None] * on_w[..., None, :])
        )
        for k, network in state.loose.items():
            theta = network.theta[:, : network.size[0]]
            for side, inside in enumerate((theta[0] > 0, theta[0] < 0)):
                sigma[k, side] += theta[:, inside] @ theta[:, inside].T
        return sigma

    def keep(self, state: State, mask: Bools) -> State:
        """The networks where mask is true."""
        kept = np.flatnonzero(mask)
        place = np.cumsum(mask) - 1
        return state._replace(
            p=state.p[mask],
            step_size=state.step_size[mask],
            rows=state.rows[mask],
            moving=pack(take(state.moving, kept, LANES), LANES),
            fixed=pack(take(state.fixed, kept, LANES), LANES),
            loose={int(place[k]): network for k, network in state.loose.items() if mask[k]},
        )

    def _advance_group(
        self, state: State, moving: Floats, g: int, steps: int, minibatches: Counts | None
    ) -> None:
        """Train one group of lanes, in place."""
        members = slice(g * LANES, (g + 1) * LANES)
        order = _side_order(state.points)
        if minibatches is None:
            weights = pack(state.p[members][:, order], LANES).reshape(1, -1, LANES)
        else:
            weights = minibatch_weights(minibatches[members][:, order], LANES)
        step_size = np.zeros(LANES)
        step_size[: len(state.step_size[members])] = state.step_size[members]
        weights = _with_both_sides(weights * step_size, state.points)
        stride = 0 if len(weights) == 1 else weights[0].size
        x = tuple(tuple(side.x) for side in state.sides)
        y = tuple(tuple(side.y) for side in state.sides)
        barrier = float(np.abs(state.points.x).min())
        gk.descend(
            moving, state.fixed[g], weights.ravel(), stride, x[0], y[0], x[1], y[1], barrier, steps
        )


def _side(a0: Floats, w0: Floats, inside: Bools) -> Floats:
    """Moments aa, aw, ww and the ends in t of the neurons of one side, (m, 5)."""
    a, w = np.where(inside, a0, 0.0), np.where(inside, w0, 0.0)
    t = np.divide(w0, a0, out=np.zeros_like(a0), where=inside)
    low = np.where(inside, t, np.inf).min(axis=1)
    high = np.where(inside, t, -np.inf).max(axis=1)
    return np.stack([(a * a).sum(axis=1), (a * w).sum(axis=1), (w * w).sum(axis=1), low, high], 1)


def _side_order(points: PointSet) -> Ints:
    """The points with x > 0, then those with x < 0."""
    return np.concatenate([np.flatnonzero(points.x > 0), np.flatnonzero(points.x < 0)])


def _points_where(points: PointSet, sign: float) -> PointSet:
    """The points of a side; a side without any gets one that never has weight."""
    inside = sign * points.x > 0
    if not inside.any():
        return PointSet(np.array([sign]), np.zeros(1))
    return PointSet(points.x[inside], points.y[inside])


def _with_both_sides(weights: Floats, points: PointSet) -> Floats:
    """Weights (steps, D, LANES) with a zero for the point of a side that has none."""
    nothing = np.zeros((len(weights), 1, LANES))
    if not (points.x > 0).any():
        return np.concatenate([nothing, weights], axis=1)
    if not (points.x < 0).any():
        return np.concatenate([weights, nothing], axis=1)
    return weights


def _start_loose(a0: Floats, b0: Floats, c0: float, w0: Floats) -> Loose:
    """A network whose neurons are all loose from the start."""
    n = len(a0)
    identity = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    return Loose(
        p=np.stack([identity, identity]),
        s=np.zeros((2, 3)),
        c=np.array([c0]),
        kink=np.zeros(1),
        crossing=np.zeros(1, dtype=np.int64),
        order=np.arange(n),
        spans=np.zeros((2, 2), dtype=np.int64),
        theta=np.stack([a0, b0, w0]),
        neuron=np.arange(n),
        size=np.array([n]),
    )


def _break_up(state: State, k: int, numbers: Floats, step: int) -> Loose:
    """Network k with its neurons sorted, settled after the step that took one to the barrier."""
    a0, w0 = state.a0[state.rows[k]], state.w0[state.rows[k]]
    plus = int((a0 > 0).sum())
    t = w0 / a0
    fixed = take(state.fixed, np.array([k]), LANES)[0]
    network = Loose(
        p=numbers[: gk.P_ROWS].reshape(2, 6).copy(),
        s=fixed.reshape(2, 5)[:, :3].copy(),
        c=numbers[[gk.C]],
        kink=numbers[[gk.KINK_NUMERATOR]] / numbers[[gk.KINK_DENOMINATOR]],
        crossing=np.zeros(1, dtype=np.int64),
        order=np.lexsort((t, a0 < 0)),
        spans=np.array([[0, plus], [plus, len(a0)]]),
        theta=np.zeros((3, len(a0))),
        neuron=np.zeros(len(a0), dtype=np.int64),
        size=np.zeros(1, dtype=np.int64),
    )
    barrier = float(np.abs(state.points.x).min())
    gk.settle(
        network.p, network.s, network.kink, network.crossing, network.order, network.spans,
        a0, w0, network.theta, network.neuron, network.size, barrier, step,
    )  # fmt: skip
    return network


def _train_loose(
    state: State, k: int, network: Loose, window: int, steps: int, minibatches: Counts | None
) -> None:
    """Train network k by the last ``steps`` steps of a window, in place."""
    if minibatches is None:
        weights = state.p[[k]]
    else:
        counts = minibatches[k, :, window - steps :].T
        weights = counts / max(int(minibatches[k, :, 0].sum()), 1)
    row = state.rows[k]
    gk.descend_loose(
        *network[:7], state.a0[row], state.w0[row], *network[7:],
        weights * state.step_size[k], state.points.x, state.points.y,
        float(np.abs(state.points.x).min()), state.steps + window - steps + 1, steps,
    )  # fmt: skip


def _groups(state: State) -> tuple[Floats, Floats, Floats]:
    """P (m, 2, 6), moments of the members (m, 2, 3) and output bias (m,)."""
    m = len(state.rows)
    numbers = unpack(state.moving, m, LANES)
    p = numbers[:, : gk.P_ROWS].reshape(m, 2, 6)
    s = unpack(state.fixed, m, LANES).reshape(m, 2, 5)[:, :, :3]
    c = numbers[:, gk.C]
    for k, network in state.loose.items():
        p[k], s[k], c[k] = network.p, network.s, network.c[0]
    return p, s, c
