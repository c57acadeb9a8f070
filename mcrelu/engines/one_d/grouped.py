"""The grouped engine: GD and SGD at a cost that does not depend on the width, and exact.

All neurons of one sign of a(0) move by one common matrix P while they keep their activation
pattern, so a network is thirteen numbers (:mod:`mcrelu.engines.one_d.group_kernels`). A neuron
that is about to change its pattern becomes loose and is trained by itself from then on.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from mcrelu.engines.one_d import group_kernels as gk
from mcrelu.engines.one_d.group_kernels import LANES
from mcrelu.engines.one_d.lanes import lanes_last, pack, take, unpack
from mcrelu.engines.one_d.loose_kernels import descend_loose
from mcrelu.memory import NEURONS_AT_ONCE, chunks
from mcrelu.problems.one_d import Info, InitialWeights, Problem, Weights
from mcrelu.theory.sigma import data_moments, u_hat
from mcrelu.types import Bools, Counts, Floats, Ints, PointSet

CHUNK = 50  # steps of a window after which kernels look at the networks

# Networks that diverged are results like others, on their way to infinity and after it.
_DIVERGED = np.errstate(over="ignore", invalid="ignore")


class Loose(NamedTuple):
    """A network with loose neurons; arrays as in loose_kernels.descend_loose."""

    p: Floats  # (2, 6)
    s: Floats  # (2, 3)
    c: Floats  # (1,)
    kink: Floats  # (1,)
    crossing: Ints  # (1,)
    order: Ints  # (n,)
    spans: Ints  # (2, 2)
    a0: Floats  # (n,)
    w0: Floats  # (n,)
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
    leak: float
    p: Floats  # (m, D)
    step_size: Floats  # (m,)
    weights: InitialWeights  # of all networks the problem began with; rows says which are left
    rows: Ints  # (m,)
    moving: Floats  # packed, group_kernels.ROWS
    fixed: Floats  # packed, group_kernels.FIXED_ROWS
    data: Floats  # packed, group_kernels.DATA_ROWS of the whole sample
    loose: dict[int, Loose]  # by position among the m networks


class GroupedEngine:
    """O(D) operations per network and step, at any width, as long as few neurons are loose."""

    name: ClassVar[str] = "grouped"
    semantics: ClassVar[int] = 2
    optimizers: ClassVar[frozenset[str]] = frozenset({"gd", "sgd"})

    @staticmethod
    def memory(networks: int, width: int, optimizer: str) -> int:
        """Draws, parameters and sums of the networks that are drawn at once (12), and a window."""
        at_once = min(networks * width, max(width, NEURONS_AT_ONCE))
        numbers = 12 * at_once + networks * (gk.ROWS + gk.FIXED_ROWS + gk.DATA_ROWS)
        return numbers * np.dtype(np.float64).itemsize

    def init(self, problem: Problem) -> State:
        """Group the neurons; networks that do not start in two groups start loose."""
        m, n = problem.weights.shape
        moving = np.zeros((m, gk.ROWS))
        moving[:, [0, 5, 6, 11]] = 1.0  # P is the identity
        moving[:, [gk.KINK_DENOMINATOR, gk.SMALLEST_A, gk.LIVE]] = 1.0
        groups = np.zeros((m, 2, 5))
        loose = {}
        for rows in chunks(m, n):
            weights = problem.weights.rows(rows)
            moving[rows, gk.C] = weights.c
            groups[rows] = _groups_at_start(weights)
            for k in np.flatnonzero(~_grouped(weights)):
                row = int(rows[k])
                loose[row] = _start_loose(*(part[k] for part in weights))
                moving[row, gk.LIVE] = 0.0
        return State(
            steps=0,
            points=problem.points,
            leak=problem.leaky_slope,
            p=problem.p,
            step_size=problem.step_size,
            weights=problem.weights,
            rows=np.arange(m),
            moving=pack(moving, LANES),
            fixed=pack(groups, LANES),
            data=pack(_data_rows(problem), LANES),
            loose=loose,
        )

    def advance(self, state: State, steps: int, minibatches: Counts | None = None) -> State:
        """Train by ``steps`` steps, on minibatches (m, D, steps) or on the whole sample."""
        moving = state.moving.copy()
        moving.reshape(len(moving), gk.ROWS, LANES)[:, gk.DONE] = 0.0
        _descend(state, moving, steps, CHUNK, minibatches)
        numbers = unpack(moving, len(state.rows), LANES)
        loose = {k: network.copy() for k, network in state.loose.items()}
        todo = dict.fromkeys(loose, steps)
        stopped = [int(k) for k in np.flatnonzero(numbers[:, gk.LIVE] == 0.0) if k not in loose]
        for k, last in zip(stopped, _approach(state, numbers, stopped, minibatches), strict=True):
            loose[k] = _break_up(state, k, last)
            todo[k] = steps - int(last[gk.DONE])
        for k, network in loose.items():
            _train_loose(state, k, network, steps, todo[k], minibatches)
        return state._replace(steps=state.steps + steps, moving=moving, loose=loose)

    @_DIVERGED
    def info(self, state: State) -> Info:
        """Running maximum of |b/a| and first crossing, both (m,)."""
        numbers = unpack(state.moving, len(state.rows), LANES)
        largest = numbers[:, gk.KINK_NUMERATOR] / numbers[:, gk.KINK_DENOMINATOR]
        crossing = np.zeros(len(state.rows), dtype=np.int64)
        for k, network in state.loose.items():
            largest[k], crossing[k] = network.kink[0], network.crossing[0]
        return Info(largest, crossing)

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
        if state.leak > 0.0:
            slope, intercept = (own + state.leak * own[:, ::-1] for own in (slope, intercept))
        side = np.where(x > 0, 0, 1)
        outputs = c[:, None] + slope[:, side] * x + intercept[:, side]
        for k, network in state.loose.items():
            a, b, w = network.theta[:, : network.size[0], None]
            z = a * x + b
            outputs[k] += (w * np.where(z >= 0.0, z, state.leak * z)).sum(axis=0)
        return outputs

    @_DIVERGED
    def neurons(self, state: State, rows: Ints | None = None) -> Weights:
        """All parameters, materialised, of all networks or of some."""
        if rows is not None:
            state = self.keep(state, np.isin(np.arange(len(state.rows)), rows))
        start = state.weights.rows(state.rows)
        a, b, w = _moved(state, np.where(start.a < 0, 1, 0), start.a, start.w)
        for k, network in state.loose.items():
            count = network.size[0]
            index = network.neuron[:count]
            a[k, index], b[k, index], w[k, index] = network.theta[:, :count]
        return Weights(a, b, _groups(state)[2], w)

    @_DIVERGED
    def outermost(self, state: State, rows: Ints) -> Weights:
        """The ends of the groups, as if |a(0)| were 1, and the loose neurons.

        Members are theta(0) = a(0) (1, 0, t), so a homogeneous condition depends on t alone, and
        one that is concave where a keeps its sign is tightest at the smallest or largest t.
        """
        state = self.keep(state, np.isin(np.arange(len(state.rows)), rows))
        m = len(state.rows)
        ends = unpack(state.fixed, m, LANES).reshape(m, 2, gk.FIXED_PER_SIDE)
        t = ends[:, :, [gk.LOW, gk.HIGH]].reshape(m, 4)
        sign = np.array([1.0, 1.0, -1.0, -1.0])
        side = np.broadcast_to([0, 0, 1, 1], (m, 4))
        theta = np.stack(_moved(state, side, np.broadcast_to(sign, (m, 4)), sign * t))
        own = {k: _outermost_of(network) for k, network in state.loose.items()}
        most = max((part.shape[1] for part in own.values()), default=4)
        theta = np.pad(theta, ((0, 0), (0, 0), (0, max(most - 4, 0))), mode="edge")
        for k, part in own.items():
            theta[:, k, : part.shape[1]] = part
            theta[:, k, part.shape[1] :] = part[:, -1:]  # once more: an array has no gaps
        return Weights(theta[0], theta[1], _groups(state)[2], theta[2])

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
        return _keep(state, mask)


def _keep(state: State, mask: Bools) -> State:
    kept = np.flatnonzero(mask)
    place = np.cumsum(mask) - 1
    return state._replace(
        p=state.p[mask],
        step_size=state.step_size[mask],
        rows=state.rows[mask],
        moving=pack(take(state.moving, kept, LANES), LANES),
        fixed=pack(take(state.fixed, kept, LANES), LANES),
        data=pack(take(state.data, kept, LANES), LANES),
        loose={int(place[k]): network for k, network in state.loose.items() if mask[k]},
    )


def _barrier(points: PointSet) -> float:
    return float(np.abs(points.x).min())


def _grouped(weights: Weights) -> Bools:
    """Which networks start in two groups, (m,)."""
    a, b = weights.a, weights.b
    both_sides = (a > 0).any(axis=1) & (a < 0).any(axis=1)
    return np.asarray(both_sides & (b == 0).all(axis=1) & (a != 0).all(axis=1))


def _groups_at_start(weights: Weights) -> Floats:
    """Moments aa, aw, ww and the ends in t of both groups, (m, 2, 5)."""
    a, w = weights.a, weights.w
    t = np.divide(w, a, out=np.zeros_like(a), where=a != 0)
    groups = np.empty((len(a), 2, 5))
    for side, inside in enumerate((a > 0, a < 0)):
        own_a, own_w = np.where(inside, a, 0.0), np.where(inside, w, 0.0)
        groups[:, side, 0] = (own_a * own_a).sum(axis=1)
        groups[:, side, 1] = (own_a * own_w).sum(axis=1)
        groups[:, side, 2] = (own_w * own_w).sum(axis=1)
        groups[:, side, gk.LOW] = np.where(inside, t, np.inf).min(axis=1)
        groups[:, side, gk.HIGH] = np.where(inside, t, -np.inf).max(axis=1)
    return groups


def _data_rows(problem: Problem) -> Floats:
    """Step size times weighted moments of the points xx, x, 1, xy, y of both sides, (m, 2, 5)."""
    moments = data_moments(problem.points, problem.p)
    targets = u_hat(problem.points, problem.p, np.zeros_like(problem.p))
    of_x = moments[:, :, [0, 0, 1], [0, 1, 1]]
    return np.concatenate([of_x, targets], axis=2) * problem.step_size[:, None, None]


def _descend(
    state: State, moving: Floats, steps: int, chunk: int, minibatches: Counts | None
) -> None:
    """Train the groups of lanes of a state, in place."""
    if minibatches is None:
        gk.descend(moving, state.fixed, state.data, 0, *_scalars(state), steps, chunk)
        return
    for g in range(len(moving)):
        members = slice(g * LANES, (g + 1) * LANES)
        counts = minibatches[members]
        size = float(max(int(counts[0, :, 0].sum()), 1))
        step_size = np.zeros(LANES)
        step_size[: len(counts)] = state.step_size[members]
        data = gk.minibatch_data(lanes_last(counts, LANES), step_size, size, *state.points)
        one, stride = slice(g, g + 1), gk.DATA_ROWS * LANES
        gk.descend(
            moving[one], state.fixed[one], data[None], stride, *_scalars(state), steps, chunk
        )


def _approach(
    state: State, numbers: Floats, stopped: list[int], minibatches: Counts | None
) -> Floats:
    """The moving numbers of networks right before the step at which a member leaves, (k, ROWS).

    They went back to the start of a chunk; from there they are looked at after every step, so that
    what comes of them does not depend on where chunks and windows start.
    """
    mask = np.isin(np.arange(len(state.rows)), stopped)
    start = numbers[mask]
    start[:, gk.LIVE] = 1.0
    moving = pack(start, LANES)
    ahead = None
    if minibatches is not None:
        ahead = np.zeros((len(start), len(state.points.x), CHUNK), dtype=minibatches.dtype)
        for row, k in enumerate(stopped):
            done = int(start[row, gk.DONE])
            chunk = minibatches[k, :, done : done + CHUNK]
            ahead[row, :, : chunk.shape[1]] = chunk
    _descend(_keep(state, mask), moving, CHUNK, 1, ahead)
    return unpack(moving, len(start), LANES)


def _scalars(state: State) -> tuple[float, float]:
    """What kernels ask for: leak and barrier."""
    return state.leak, _barrier(state.points)


def _moved(state: State, side: Ints, a0: Floats, w0: Floats) -> tuple[Floats, Floats, Floats]:
    """Where P takes members: side (m, k), a0 and w0 (m, k) or less -> a, b, w, each (m, k)."""
    p = np.take_along_axis(_groups(state)[0], side[:, :, None], axis=1)
    return (
        p[:, :, 0] * a0 + p[:, :, 1] * w0,
        p[:, :, 2] * a0 + p[:, :, 3] * w0,
        p[:, :, 4] * a0 + p[:, :, 5] * w0,
    )


def _outermost_of(network: Loose) -> Floats:
    """The members at the ends and the loose neurons, (3, at most 4 + loose)."""
    found = []
    for (first, last), p in zip(network.spans, network.p, strict=True):
        if first < last:
            members = network.order[[first, last - 1]]
            found.append(p.reshape(3, 2) @ np.stack([network.a0[members], network.w0[members]]))
    return np.concatenate([*found, network.theta[:, : network.size[0]]], axis=1)


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
        a0=a0,
        w0=w0,
        theta=np.stack([a0, b0, w0]),
        neuron=np.arange(n),
        size=np.array([n]),
    )


def _break_up(state: State, k: int, numbers: Floats) -> Loose:
    """Network k with its neurons sorted, all of them members still."""
    start = state.weights.rows(state.rows[[k]])
    a0, w0 = start.a[0], start.w[0]
    plus = int((a0 > 0).sum())
    fixed = take(state.fixed, np.array([k]), LANES)[0]
    return Loose(
        p=numbers[: gk.P_ROWS].reshape(2, 6).copy(),
        s=fixed.reshape(2, gk.FIXED_PER_SIDE)[:, :3].copy(),
        c=numbers[[gk.C]],
        kink=numbers[[gk.KINK_NUMERATOR]] / numbers[[gk.KINK_DENOMINATOR]],
        crossing=np.zeros(1, dtype=np.int64),
        order=np.lexsort((w0 / a0, a0 < 0)),
        spans=np.array([[0, plus], [plus, len(a0)]]),
        a0=a0,
        w0=w0,
        theta=np.zeros((3, len(a0))),
        neuron=np.zeros(len(a0), dtype=np.int64),
        size=np.zeros(1, dtype=np.int64),
    )


def _train_loose(
    state: State, k: int, network: Loose, window: int, steps: int, minibatches: Counts | None
) -> None:
    """Train network k by the last ``steps`` steps of a window, in place."""
    if minibatches is None:
        weights = state.p[[k]]
    else:
        counts = minibatches[k, :, window - steps :].T
        weights = counts / max(int(minibatches[k, :, 0].sum()), 1)
    descend_loose(
        *network, weights * state.step_size[k], *state.points, *_scalars(state),
        state.steps + window - steps + 1, steps,
    )  # fmt: skip


def _groups(state: State) -> tuple[Floats, Floats, Floats]:
    """P (m, 2, 6), moments of the members (m, 2, 3) and output bias (m,)."""
    m = len(state.rows)
    numbers = unpack(state.moving, m, LANES)
    p = numbers[:, : gk.P_ROWS].reshape(m, 2, 6)
    s = unpack(state.fixed, m, LANES).reshape(m, 2, gk.FIXED_PER_SIDE)[:, :, :3]
    c = numbers[:, gk.C]
    for k, network in state.loose.items():
        p[k], s[k], c[k] = network.p, network.s, network.c[0]
    return p, s, c
