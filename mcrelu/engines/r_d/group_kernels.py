"""The parts of a step of gradient descent for one two-layer ReLU network in groups.

Glossary as in :mod:`mcrelu.engines.r_d.groups`. All neurons of a group see the same points, so
a step acts on each theta = (a, b, w) of theirs by the same matrix T = I + [[0, u], [u^T, 0]], where
u sums pull_j (x_j, 1) over the points on which the group is active. Hence theta(k) = P theta(0), P
the product of the T, and the group's part of the output is <v, (x_j, 1)> with
v = (P S P^T)[w, (a, b)], S the second moments of theta(0).
"""

from __future__ import annotations

import numpy as np

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


@jit()
def group_functions(groups, q):
    """V of every group, from P and S."""
    wide_vectors()
    p, s, v, scratch = groups.p, groups.s, groups.v, groups.scratch
    inputs1 = q - 1
    g_lanes = len(v) // inputs1
    for block in range(0, g_lanes, LANES):
        entries = block * q * q
        row_w = entries + inputs1 * q * LANES
        for k in range(q):
            moved = fill(0.0)
            for r in range(q):
                at = entries + (r * q + k) * LANES
                moved = multiply_add(load(p, row_w + r * LANES), load(s, at), moved)
            store(scratch, k * LANES, moved)
        for r in range(inputs1):
            own = fill(0.0)
            for k in range(q):
                entry = load(p, entries + (r * q + k) * LANES)
                own = multiply_add(load(scratch, k * LANES), entry, own)
            store(v, r * g_lanes + block, own)


@jit()
def column_functions(groups, inputs1):
    """Sums of v over the groups that are active on each column."""
    g_lanes, r_lanes = len(groups.v) // inputs1, len(groups.value) // inputs1
    _products(groups.active, groups.v, groups.value, g_lanes, r_lanes, inputs1)


@jit()
def pull_groups(groups, inputs1):
    """U of every group, from the columns' sums of pulls."""
    g_lanes, r_lanes = len(groups.v) // inputs1, len(groups.value) // inputs1
    _products(groups.active_t, groups.pulled, groups.u, r_lanes, g_lanes, inputs1)


@jit()
def _products(matrix, given, result, rows, lanes, vectors):
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
def pull_points(groups, c, rate, inputs1):
    """Residuals and what they pull at, from the columns' functions; the loss, the sum of pulls."""
    wide_vectors()
    lanes, r_lanes = len(groups.y), len(groups.value) // inputs1
    x, value, pulled = groups.x, groups.value, groups.pulled
    for at in range(0, len(pulled), LANES):
        store(pulled, at, fill(0.0))
    squares, pulls, negative, step = fill(0.0), fill(0.0), fill(-1.0), fill(rate)
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
        pull = multiply(step, weighted)
        pulls = add(pulls, pull)
        store(groups.pull, at, pull)
        for r in range(inputs1):
            where = r * r_lanes + column
            own = multiply_add(pull, load(x, r * lanes + at), load(pulled, where))
            store(pulled, where, own)
    return 0.5 * total(squares), total(pulls)


@jit()
def step_groups(groups, q):
    """P <- T P for every group; the largest |u| of those with members.

    Not a number if one is infinite or none.
    """
    wide_vectors()
    p, u = groups.p, groups.u
    inputs1 = q - 1
    g_lanes = len(u) // inputs1
    most, every = fill(0.0), fill(0.0)
    for block in range(0, g_lanes, LANES):
        entries = block * q * q
        square = fill(0.0)
        for r in range(inputs1):
            own = load(u, r * g_lanes + block)
            square = multiply_add(own, own, square)
        own = where_positive(load(groups.occupied, block), square)
        most, every = larger(own, most), add(every, own)
        for k in range(q):
            at_w = entries + (inputs1 * q + k) * LANES
            w = load(p, at_w)
            moved_w = w
            for r in range(inputs1):
                at, own = entries + (r * q + k) * LANES, load(u, r * g_lanes + block)
                entry = load(p, at)
                moved_w = multiply_add(own, entry, moved_w)
                store(p, at, multiply_add(own, w, entry))
            store(p, at_w, moved_w)
    return np.sqrt(largest(most)) + 0.0 * total(every)
