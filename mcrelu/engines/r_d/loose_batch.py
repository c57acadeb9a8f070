"""Loose neurons of one network: each trained by itself, eight at a time.

Glossary as in :mod:`mcrelu.engines.r_d.activation_patterns`, and
--------
crowd : the loose neurons; the k-th of them is lane k % LANES of block k // LANES
C : room of the crowd, a multiple of LANES; lanes that nobody has hold zeros, which are never active
L : number of points rounded up to LANES
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.engines.r_d.vectors import (
    LANES,
    add,
    add_where_set,
    fill,
    load,
    multiply_add,
    spread,
    store,
    store_positive,
    total,
    where_positive,
)
from mcrelu.jit import jit, wide_vectors
from mcrelu.types import Counts, Floats


class Crowd(NamedTuple):
    """Parameters of the loose neurons, and what a step needs beside them."""

    theta: Floats  # (q * C,) parameters (a, b, w), component by component
    active: Counts  # (C / LANES * L,) of each block at each point, a bit per lane
    pulled: Floats  # ((d + 1) * L,) pull_j (x_j, 1), component by component
    u: Floats  # ((d + 1) * LANES,) scratch

    @classmethod
    def of(cls, neurons: int, q: int, points: int) -> Crowd:
        """Room for all neurons of a network."""
        room, lanes = neurons + -neurons % LANES, points + -points % LANES
        return cls(
            theta=np.zeros(q * room),
            active=np.zeros(lanes * (room // LANES), dtype=np.uint8),
            pulled=np.zeros((q - 1) * lanes),
            u=np.zeros((q - 1) * LANES),
        )


@jit()
def write_crowd(crowd, k, row, i):
    """Let loose neuron k have the parameters in row i of an array (.., q)."""
    q = row.shape[1]
    room = len(crowd.theta) // q
    for r in range(q):
        crowd.theta[r * room + k] = row[i, r]


@jit()
def read_crowd(crowd, k, row, i):
    """Write the parameters of loose neuron k to row i of an array (.., q)."""
    q = row.shape[1]
    room = len(crowd.theta) // q
    for r in range(q):
        row[i, r] = crowd.theta[r * room + k]


@jit()
def clear_crowd(crowd):
    """Let nobody be loose."""
    crowd.theta[:] = 0.0


@jit()
def crowd_functions(crowd, size, points, groups, q):
    """What ``size`` loose neurons add to the outputs (groups.extra), and where each is active.

    Four points at once, so that parameters are loaded once for them.
    """
    wide_vectors()
    theta, x = crowd.theta, points.x
    room, lanes, inputs = len(theta) // q, len(points.inverse_norm), q - 2
    for j in range(0, len(groups.place), 4):
        first, second, third, fourth = fill(0.0), fill(0.0), fill(0.0), fill(0.0)
        for block in range((size + LANES - 1) // LANES):
            at = block * LANES
            z0 = load(theta, inputs * room + at)
            z1, z2, z3 = z0, z0, z0
            for r in range(inputs):
                a, place = load(theta, r * room + at), r * lanes + j
                z0 = multiply_add(a, spread(x, place), z0)
                z1 = multiply_add(a, spread(x, place + 1), z1)
                z2 = multiply_add(a, spread(x, place + 2), z2)
                z3 = multiply_add(a, spread(x, place + 3), z3)
            w, place = load(theta, (inputs + 1) * room + at), block * lanes + j
            first = multiply_add(w, where_positive(z0, z0), first)
            second = multiply_add(w, where_positive(z1, z1), second)
            third = multiply_add(w, where_positive(z2, z2), third)
            fourth = multiply_add(w, where_positive(z3, z3), fourth)
            store_positive(crowd.active, place, z0)
            store_positive(crowd.active, place + 1, z1)
            store_positive(crowd.active, place + 2, z2)
            store_positive(crowd.active, place + 3, z3)
        _add_output(groups, j, total(first))
        _add_output(groups, j + 1, total(second))
        _add_output(groups, j + 2, total(third))
        _add_output(groups, j + 3, total(fourth))


@jit()
def _add_output(groups, j, output):
    if j < len(groups.place):
        groups.extra[groups.place[j]] = output


@jit()
def step_crowd(crowd, size, points, groups, q):
    """One step of ``size`` loose neurons."""
    wide_vectors()
    theta, active, pulled, u = crowd.theta, crowd.active, crowd.pulled, crowd.u
    room, lanes, inputs1 = len(theta) // q, len(points.inverse_norm), q - 1
    points_there = len(groups.place)
    for j in range(points_there):
        pull = groups.pull[groups.place[j]]
        for r in range(inputs1):
            pulled[r * lanes + j] = pull * points.x[r * lanes + j]
    for block in range((size + LANES - 1) // LANES):
        at = block * LANES
        w = load(theta, inputs1 * room + at)
        moved_w = w
        for r in range(inputs1):
            first, second, third, fourth = fill(0.0), fill(0.0), fill(0.0), fill(0.0)
            for j in range(0, points_there, 4):  # pulled is 0 beyond the points
                own, place = r * lanes + j, block * lanes + j
                first = add_where_set(first, spread(pulled, own), active, place)
                second = add_where_set(second, spread(pulled, own + 1), active, place + 1)
                third = add_where_set(third, spread(pulled, own + 2), active, place + 2)
                fourth = add_where_set(fourth, spread(pulled, own + 3), active, place + 3)
            store(u, r * LANES, add(add(first, second), add(third, fourth)))
        for r in range(inputs1):
            step, a = load(u, r * LANES), load(theta, r * room + at)
            moved_w = multiply_add(step, a, moved_w)
            store(theta, r * room + at, multiply_add(step, w, a))
        store(theta, inputs1 * room + at, moved_w)
