"""The parts of a step of gradient descent for one two-layer ReLU network in groups.

Glossary as in :mod:`mcrelu.engines.r_d.groups`. All neurons of a group see the same points, so
a step acts on each theta = (a, b, w) of theirs by the same matrix T = I + [[0, u], [u^T, 0]], where
u sums forcing_j (x_j, 1) over the points on which the group is active. Hence theta(k) = P theta(0),
P the product of the T, and the group's part of the output is <v, (x_j, 1)> with
v = (P S P^T)[w, (a, b)], S the second moments of theta(0).
"""

from __future__ import annotations

import numpy as np

from mcrelu.engines.r_d.groups import Groups
from mcrelu.engines.r_d.layout import entry, first_entry
from mcrelu.engines.r_d.vectors import (
    LANES,
    add,
    fill,
    larger,
    largest,
    load,
    multiply,
    multiply_add,
    spread,
    store,
    total,
    where_positive,
)
from mcrelu.jit import jit, wide_vectors
from mcrelu.types import Floats


@jit()
def group_functions(groups: Groups, q: int) -> None:
    """V of every group, from P and S."""
    wide_vectors()
    p, s, v, scratch = groups.p, groups.s, groups.v, groups.scratch
    inputs1 = q - 1
    g_lanes = len(v) // inputs1
    for block in range(0, g_lanes, LANES):
        first = first_entry(block, q)
        for k in range(q):
            moved = fill(0.0)
            for r in range(q):
                w = load(p, entry(first, inputs1, r, q))
                moved = multiply_add(w, load(s, entry(first, r, k, q)), moved)
            store(scratch, k * LANES, moved)
        for r in range(inputs1):
            own = fill(0.0)
            for k in range(q):
                value = load(p, entry(first, r, k, q))
                own = multiply_add(load(scratch, k * LANES), value, own)
            store(v, r * g_lanes + block, own)


@jit()
def column_functions(groups: Groups, inputs1: int) -> None:
    """Sums of v over the groups that are active on each column."""
    g_lanes, r_lanes = len(groups.v) // inputs1, len(groups.value) // inputs1
    _products(groups.active, groups.v, groups.value, g_lanes, r_lanes, inputs1)


@jit()
def group_forcing(groups: Groups, inputs1: int) -> None:
    """U of every group, from the columns' sums of the forcing."""
    g_lanes, r_lanes = len(groups.v) // inputs1, len(groups.value) // inputs1
    _products(groups.active_t, groups.forcing_sums, groups.u, r_lanes, g_lanes, inputs1)


@jit()
def _products(
    matrix: Floats, given: Floats, result: Floats, rows: int, lanes: int, vectors: int
) -> None:
    """Result (vectors, lanes) = given (vectors, rows) times matrix (rows, lanes), all flat.

    Four sums at once, since an addition takes as long as four can be started.
    """
    wide_vectors()
    for at in range(0, lanes, LANES):
        for k in range(vectors):
            first, second, third, fourth = fill(0.0), fill(0.0), fill(0.0), fill(0.0)
            for i in range(0, rows, 4):
                j = k * rows + i
                row = i * lanes + at
                first = multiply_add(spread(given, j), load(matrix, row), first)
                row += lanes
                second = multiply_add(spread(given, j + 1), load(matrix, row), second)
                row += lanes
                third = multiply_add(spread(given, j + 2), load(matrix, row), third)
                row += lanes
                fourth = multiply_add(spread(given, j + 3), load(matrix, row), fourth)
            store(result, k * lanes + at, add(add(first, second), add(third, fourth)))


@jit()
def point_forcing(groups: Groups, c: float, step_size: float, inputs1: int) -> tuple[float, float]:
    """The forcing at every point and its sums per column, from the columns' functions.

    Returns the loss, and the sum of the forcing over all points.
    """
    wide_vectors()
    lanes, r_lanes = len(groups.y), len(groups.value) // inputs1
    x, value, sums = groups.x, groups.value, groups.forcing_sums
    for at in range(0, len(sums), LANES):
        store(sums, at, fill(0.0))
    squares, everywhere, negative, step = fill(0.0), fill(0.0), fill(-1.0), fill(step_size)
    for k in range(len(groups.column_of)):
        at, column = k * LANES, groups.column_of[k]
        output = add(fill(c), load(groups.extra, at))
        for r in range(inputs1):
            output = multiply_add(
                load(value, r * r_lanes + column), load(x, r * lanes + at), output
            )
        residual = multiply_add(negative, output, load(groups.y, at))
        weighted = multiply(load(groups.weight, at), residual)
        squares = multiply_add(weighted, residual, squares)
        forcing = multiply(step, weighted)
        everywhere = add(everywhere, forcing)
        store(groups.forcing, at, forcing)
        for r in range(inputs1):
            where = r * r_lanes + column
            own = multiply_add(forcing, load(x, r * lanes + at), load(sums, where))
            store(sums, where, own)
    return 0.5 * total(squares), total(everywhere)


@jit()
def step_groups(groups: Groups, q: int) -> float:
    """P <- T P for every group; the largest |u| of those with members, NaN if any is not finite."""
    wide_vectors()
    p, u = groups.p, groups.u
    inputs1 = q - 1
    g_lanes = len(u) // inputs1
    most, every = fill(0.0), fill(0.0)
    for block in range(0, g_lanes, LANES):
        first = first_entry(block, q)
        square = fill(0.0)
        for r in range(inputs1):
            own = load(u, r * g_lanes + block)
            square = multiply_add(own, own, square)
        own = where_positive(load(groups.occupied, block), square)
        most, every = larger(own, most), add(every, own)
        for k in range(q):
            at_w = entry(first, inputs1, k, q)
            w = load(p, at_w)
            moved_w = w
            for r in range(inputs1):
                at, own = entry(first, r, k, q), load(u, r * g_lanes + block)
                value = load(p, at)
                moved_w = multiply_add(own, value, moved_w)
                store(p, at, multiply_add(own, w, value))
            store(p, at_w, moved_w)
    return np.sqrt(largest(most)) + 0.0 * total(every)
