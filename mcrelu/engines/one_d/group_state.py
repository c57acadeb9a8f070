"""The state of the grouped engine: networks packed into lanes, and those with loose neurons."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.counting import Counted, count
from mcrelu.engines.one_d import group_kernels as gk
from mcrelu.engines.one_d.group_kernels import LANES
from mcrelu.engines.one_d.lanes import pack, take, unpack
from mcrelu.engines.one_d.loose import all_loose, neurons
from mcrelu.engines.one_d.loose_kernels import LooseNetwork
from mcrelu.problems.one_d import Barrier, InitialWeights, Problem
from mcrelu.theory.sigma import data_moments, u_hat
from mcrelu.types import Bools, Floats, Ints, PointSet


class State(NamedTuple):
    """m networks; packed arrays are (groups of lanes, rows * LANES)."""

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
    loose: dict[int, LooseNetwork]  # by position among the m networks


class Groups(NamedTuple):
    """What the members of each network have in common."""

    p: Floats  # (m, 2, 6) P of both sides
    s: Floats  # (m, 2, 3) moments aa, aw, ww of the members' (a(0), w(0))
    c: Floats  # (m,) output bias


def initial_state(problem: Problem) -> State:
    """Group the neurons; networks that do not start in two groups start loose."""
    m, _ = problem.weights.shape
    sums = problem.weights.sums
    moving = np.zeros((m, gk.ROWS))
    moving[:, [0, 5, 6, 11]] = 1.0  # P is the identity
    moving[:, [gk.KINK_DENOMINATOR, gk.SMALLEST_A, gk.LIVE]] = 1.0
    moving[:, gk.C] = sums.c
    fixed = np.concatenate([sums.sigma[:, :, [0, 0, 2], [0, 2, 2]], sums.ends], axis=2)
    loose = {}
    for row in map(int, np.flatnonzero(~sums.in_two_groups)):
        a, b, c, w = problem.weights.rows(np.array([row]))
        loose[row] = all_loose(a[0], b[0], c[0], w[0])
        moving[row, gk.LIVE] = 0.0
    count(Counted.LOOSE_NEURONS, neurons(loose))
    return State(
        steps=0,
        points=problem.points,
        leak=problem.leaky_slope,
        p=problem.p,
        step_size=problem.step_size,
        weights=problem.weights,
        rows=np.arange(m),
        moving=pack(moving, LANES),
        fixed=pack(fixed, LANES),
        data=pack(_data_rows(problem), LANES),
        loose=loose,
    )


def kept(state: State, mask: Bools) -> State:
    """The networks where mask (m,) is true."""
    index = np.flatnonzero(mask)
    place = np.cumsum(mask) - 1
    return state._replace(
        p=state.p[mask],
        step_size=state.step_size[mask],
        rows=state.rows[mask],
        moving=pack(take(state.moving, index, LANES), LANES),
        fixed=pack(take(state.fixed, index, LANES), LANES),
        data=pack(take(state.data, index, LANES), LANES),
        loose={int(place[k]): network for k, network in state.loose.items() if mask[k]},
    )


def groups_of(state: State) -> Groups:
    """The groups of all networks, whether packed or with loose neurons."""
    m = len(state.rows)
    moving = unpack(state.moving, m, LANES)
    p = moving[:, : gk.P_ROWS].reshape(m, 2, 6)
    s = unpack(state.fixed, m, LANES).reshape(m, 2, gk.FIXED_PER_SIDE)[:, :, :3]
    c = moving[:, gk.C]
    for k, network in state.loose.items():
        p[k], s[k], c[k] = network.members.p, network.members.s, network.c[0]
    return Groups(p, s, c)


def ends_of(state: State) -> Floats:
    """Smallest and largest t of both groups, (m, 4)."""
    m = len(state.rows)
    fixed = unpack(state.fixed, m, LANES).reshape(m, 2, gk.FIXED_PER_SIDE)
    return fixed[:, :, [gk.LOW, gk.HIGH]].reshape(m, 4)


def barrier_of(points: PointSet) -> Barrier:
    """Where members' kinks leave their groups."""
    return Barrier.of(points.x)


def _data_rows(problem: Problem) -> Floats:
    """Step size times weighted moments of the points xx, x, 1, xy, y of both sides, (m, 2, 5)."""
    moments = data_moments(problem.points, problem.p)
    targets = u_hat(problem.points, problem.p, np.zeros_like(problem.p))
    of_x = moments[:, :, [0, 0, 1], [0, 1, 1]]
    return np.concatenate([of_x, targets], axis=2) * problem.step_size[:, None, None]
