"""Loose neurons of one network: each trained by itself, eight at a time.

Glossary as in :mod:`mcrelu.engines.r_d.activation_patterns`, and
--------
loose batch : the loose neurons; the k-th of them is lane k % LANES of block k // LANES
C : capacity, a multiple of LANES; unused lanes hold zeros, which are never active
L : number of points rounded up to LANES
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.engines.r_d.activation_patterns import Points
from mcrelu.engines.r_d.groups import Groups
from mcrelu.engines.r_d.layout import padded
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


class LooseBatch(NamedTuple):
    """Parameters of the loose neurons, and what a step needs beside them."""

    theta: Floats  # (q * C,) parameters (a, b, w), component by component
    active: Counts  # (C / LANES * L,) of each block at each point, a bit per lane
    forcing: Floats  # ((d + 1) * L,) forcing_j (x_j, 1), component by component
    u: Floats  # ((d + 1) * LANES,) scratch

    @classmethod
    def of(cls, neurons: int, q: int, points: int) -> LooseBatch:
        """With capacity for all neurons of a network."""
        capacity, lanes = neurons + -neurons % LANES, points + -points % LANES
        return cls(
            theta=np.zeros(q * capacity),
            active=np.zeros(lanes * (capacity // LANES), dtype=np.uint8),
            forcing=np.zeros((q - 1) * lanes),
            u=np.zeros((q - 1) * LANES),
        )


@jit()
def write_loose(batch: LooseBatch, k: int, rows: Floats, i: int) -> None:
    """Let loose neuron k have the parameters in row i of an array (.., q)."""
    q = rows.shape[1]
    capacity = len(batch.theta) // q
    for r in range(q):
        batch.theta[r * capacity + k] = rows[i, r]


@jit()
def read_loose(batch: LooseBatch, k: int, rows: Floats, i: int) -> None:
    """Write the parameters of loose neuron k to row i of an array (.., q)."""
    q = rows.shape[1]
    capacity = len(batch.theta) // q
    for r in range(q):
        rows[i, r] = batch.theta[r * capacity + k]


@jit()
def clear_loose(batch: LooseBatch) -> None:
    """Empty the batch."""
    batch.theta[:] = 0.0


@jit()
def loose_functions(batch: LooseBatch, size: int, points: Points, groups: Groups, q: int) -> None:
    """What ``size`` loose neurons add to the outputs (groups.extra), and where each is active.

    Four points at once, so that parameters are loaded once for them.
    """
    wide_vectors()
    theta, x = batch.theta, points.x
    capacity, lanes, inputs = len(theta) // q, len(points.inverse_norm), q - 2
    for j in range(0, len(groups.place), 4):
        first, second, third, fourth = fill(0.0), fill(0.0), fill(0.0), fill(0.0)
        for block in range(padded(size) // LANES):
            at = block * LANES
            z0 = load(theta, inputs * capacity + at)
            z1, z2, z3 = z0, z0, z0
            for r in range(inputs):
                a, place = load(theta, r * capacity + at), r * lanes + j
                z0 = multiply_add(a, spread(x, place), z0)
                z1 = multiply_add(a, spread(x, place + 1), z1)
                z2 = multiply_add(a, spread(x, place + 2), z2)
                z3 = multiply_add(a, spread(x, place + 3), z3)
            w, place = load(theta, (inputs + 1) * capacity + at), block * lanes + j
            first = multiply_add(w, where_positive(z0, z0), first)
            second = multiply_add(w, where_positive(z1, z1), second)
            third = multiply_add(w, where_positive(z2, z2), third)
            fourth = multiply_add(w, where_positive(z3, z3), fourth)
            store_positive(batch.active, place, z0)
            store_positive(batch.active, place + 1, z1)
            store_positive(batch.active, place + 2, z2)
            store_positive(batch.active, place + 3, z3)
        _add_output(groups, j, total(first))
        _add_output(groups, j + 1, total(second))
        _add_output(groups, j + 2, total(third))
        _add_output(groups, j + 3, total(fourth))


@jit()
def _add_output(groups: Groups, j: int, output: float) -> None:
    if j < len(groups.place):
        groups.extra[groups.place[j]] = output


@jit()
def step_loose(batch: LooseBatch, size: int, points: Points, groups: Groups, q: int) -> None:
    """One step of ``size`` loose neurons."""
    wide_vectors()
    theta, active, forcing, u = batch.theta, batch.active, batch.forcing, batch.u
    capacity, lanes, inputs1 = len(theta) // q, len(points.inverse_norm), q - 1
    points_there = len(groups.place)
    for j in range(points_there):
        here = groups.forcing[groups.place[j]]
        for r in range(inputs1):
            forcing[r * lanes + j] = here * points.x[r * lanes + j]
    for block in range(padded(size) // LANES):
        at = block * LANES
        w = load(theta, inputs1 * capacity + at)
        moved_w = w
        for r in range(inputs1):
            first, second, third, fourth = fill(0.0), fill(0.0), fill(0.0), fill(0.0)
            for j in range(0, points_there, 4):  # the forcing is 0 beyond the points
                own, place = r * lanes + j, block * lanes + j
                first = add_where_set(first, spread(forcing, own), active, place)
                second = add_where_set(second, spread(forcing, own + 1), active, place + 1)
                third = add_where_set(third, spread(forcing, own + 2), active, place + 2)
                fourth = add_where_set(fourth, spread(forcing, own + 3), active, place + 3)
            store(u, r * LANES, add(add(first, second), add(third, fourth)))
        for r in range(inputs1):
            step, a = load(u, r * LANES), load(theta, r * capacity + at)
            moved_w = multiply_add(step, a, moved_w)
            store(theta, r * capacity + at, multiply_add(step, w, a))
        store(theta, inputs1 * capacity + at, moved_w)
