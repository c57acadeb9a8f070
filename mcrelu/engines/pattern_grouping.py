"""Activation patterns of neurons, equal rows, and the layout of groups and points for the kernels.

Glossary
--------
D, d, q : number of data points, of inputs, and of parameters of a neuron, q = d + 2
theta : (q,) parameters (a, b, w) of a neuron
x1 : (D, d + 1) data points, each with a 1 behind
z : pre-activation <(a, b), (x_j, 1)>; the neuron is active at x_j where z > 0
words : (D / 64 rounded up,) activation pattern of a neuron, one bit per point
clearance : min_j |z_j| / |(x_j, 1)|, the least motion of (a, b) that changes the pattern
column : points at which the same groups are active; at most SLOTS points of one column
slot : position of a point in its column. Vectors hold the points of one slot of eight columns, so
    that sums over the points of a column, and over groups for a column, need no gather
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.engines.vectors import LANES
from mcrelu.jit import fma, jit
from mcrelu.types import Floats, Ints

SLOTS = 4
STILL, LOOSE = -1, -2  # in group_of: active nowhere, so nothing moves it; trained by itself

# A neuron with such a parameter is loose: products of such numbers overflow where it does not.
HUGE = 1e50


class Groups(NamedTuple):
    """Groups and columns of one network; G and R are multiples of LANES, K counts vectors."""

    number: int  # of groups
    p: Floats  # (G / LANES * q * q * LANES,) matrices P, entry by entry, the group fastest
    s: Floats  # likewise, second moments of the members' theta where P = I
    v: Floats  # ((d + 1) * G,) slopes and intercept of each group's function
    u: Floats  # ((d + 1) * G,) what a step adds to (a, b) is w u, to w <(a, b), u>
    active: Floats  # (G * R,) 1 where a group is active on a column
    active_t: Floats  # (R * G,) its transpose
    value: Floats  # ((d + 1) * R,) sums of v over the groups that are active on a column
    pulled: Floats  # ((d + 1) * R,) sums over a column of pull_j (x_j, 1)
    scratch: Floats  # (q * LANES,)
    column_of: Ints  # (K,) where the eight columns of each vector of points begin
    x: Floats  # ((d + 1) * K * LANES,) points (x_j, 1), padded with points of weight 0
    y: Floats  # (K * LANES,)
    weight: Floats  # (K * LANES,) p_j
    pull: Floats  # (K * LANES,) step size times p_j times negative residual
    loose_f: Floats  # (K * LANES,) sum of the loose neurons


@jit()
def observe(theta, x1, norms, words):
    """Write the pattern of a neuron to ``words``; its clearance."""
    words[:] = 0
    clearance = np.inf
    inputs = x1.shape[1] - 1
    for j in range(len(x1)):
        z = theta[inputs]
        for r in range(inputs):
            z = fma(theta[r], x1[j, r], z)
        if z > 0.0:
            words[j >> 6] |= np.uint64(1) << np.uint64(j & 63)
        clearance = min(clearance, abs(z) / norms[j])
    return clearance


@jit()
def same(first, second):
    """Whether two patterns are equal."""
    for k in range(len(first)):
        if first[k] != second[k]:
            return False
    return True


@jit()
def equal_rows(words, wanted):
    """Number the distinct rows among the wanted ones in the order of their first occurrence.

    Returns the number of each row (-1 if it is not wanted) and the first row of each number.
    """
    rows = len(words)
    size = 2
    while size < 2 * rows:
        size *= 2
    table = np.full(size, -1, dtype=np.int64)
    number = np.full(rows, -1, dtype=np.int64)
    first = np.empty(rows, dtype=np.int64)
    found = 0
    for i in range(rows):
        if not wanted[i]:
            continue
        at = _hash(words[i]) & (size - 1)
        while table[at] >= 0 and not same(words[first[table[at]]], words[i]):
            at = (at + 1) & (size - 1)
        if table[at] < 0:
            table[at] = found
            first[found] = i
            found += 1
        number[i] = table[at]
    return number, first[:found]


@jit()
def _hash(words):
    """A non-negative number; equal rows have equal ones (multiplication and shift, word by word)."""
    mixed = np.uint64(0x9E3779B97F4A7C15)
    for k in range(len(words)):
        mixed = (mixed ^ words[k]) * np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(29)
    return np.int64(mixed >> np.uint64(1))


@jit()
def form_groups(theta, words, group_of, x1, y, weight):
    """Group the neurons by pattern; ``group_of`` (n,) is written to."""
    n, q = theta.shape
    wanted = np.empty(n, dtype=np.bool_)
    for i in range(n):
        group_of[i] = _outside(theta[i], words[i])
        wanted[i] = group_of[i] == 0
    number, first = equal_rows(words, wanted)
    groups = _layout(words[first], x1, y, weight, q)
    for i in range(n):
        if wanted[i]:
            group_of[i] = number[i]
            move_moments(groups.s, number[i], theta[i], 1.0)
    return groups


@jit()
def _outside(theta, words):
    """STILL or LOOSE if a neuron belongs to no group, else 0."""
    for r in range(len(theta)):
        if not abs(theta[r]) <= HUGE:
            return LOOSE
    for k in range(len(words)):
        if words[k] != 0:
            return 0
    return STILL


@jit()
def move_moments(s, group, theta, sign):
    """Add a neuron's theta theta^T to the moments of its group, or take it away."""
    q = len(theta)
    at = group // LANES * q * q * LANES + group % LANES
    for r in range(q):
        for k in range(q):
            s[at + (r * q + k) * LANES] += sign * (theta[r] * theta[k])


@jit()
def _padded(number):
    """The next multiple of LANES, at least one."""
    return max((number + LANES - 1) // LANES, 1) * LANES


@jit()
def _layout(patterns, x1, y, weight, q):
    """Groups with P = I and no members; patterns (groups, words)."""
    points, inputs1 = x1.shape
    number = len(patterns)
    column, slot, columns = _columns(patterns, points)
    g_lanes, r_lanes = _padded(number), _padded(columns)
    start, column_of = _vectors_of_slots(column, slot)
    lanes = len(column_of) * LANES
    groups = Groups(
        number,
        np.zeros(g_lanes * q * q),
        np.zeros(g_lanes * q * q),
        np.zeros(inputs1 * g_lanes),
        np.zeros(inputs1 * g_lanes),
        np.zeros(g_lanes * r_lanes),
        np.zeros(g_lanes * r_lanes),
        np.zeros(inputs1 * r_lanes),
        np.zeros(inputs1 * r_lanes),
        np.zeros(q * LANES),
        column_of,
        np.zeros(inputs1 * lanes),
        np.zeros(lanes),
        np.zeros(lanes),
        np.zeros(lanes),
        np.zeros(lanes),
    )
    for j in range(points):
        at = start[slot[j]] * LANES + column[j]
        groups.y[at], groups.weight[at] = y[j], weight[j]
        for r in range(inputs1):
            groups.x[r * lanes + at] = x1[j, r]
        for g in range(number):
            if patterns[g, j >> 6] >> np.uint64(j & 63) & np.uint64(1):
                groups.active[g * r_lanes + column[j]] = 1.0
                groups.active_t[column[j] * g_lanes + g] = 1.0
    for block in range(0, g_lanes, LANES):
        for r in range(q):
            at = block * q * q + r * (q + 1) * LANES
            groups.p[at : at + LANES] = 1.0
    return groups


@jit()
def _columns(patterns, points):
    """Column and slot of each point, and how many columns there are; long columns come first."""
    number = len(patterns)
    transposed = np.zeros((points, (number + 63) // 64), dtype=np.uint64)
    for j in range(points):
        for g in range(number):
            bit = patterns[g, j >> 6] >> np.uint64(j & 63) & np.uint64(1)
            transposed[j, g >> 6] |= bit << np.uint64(g & 63)
    alike, first = equal_rows(transposed, np.ones(points, dtype=np.bool_))
    slot = np.empty(points, dtype=np.int64)
    part = np.empty(points, dtype=np.int64)  # columns of more than SLOTS points are cut
    seen = np.zeros(len(first), dtype=np.int64)
    sizes = np.zeros((len(first), points // SLOTS + 1), dtype=np.int64)
    for j in range(points):
        slot[j], part[j] = seen[alike[j]] % SLOTS, seen[alike[j]] // SLOTS
        seen[alike[j]] += 1
        sizes[alike[j], part[j]] += 1
    place, columns = np.empty_like(sizes), 0
    for size in range(SLOTS, 0, -1):
        for k in range(len(first)):
            for cut in range(sizes.shape[1]):
                if sizes[k, cut] == size:
                    place[k, cut] = columns
                    columns += 1
    column = np.empty(points, dtype=np.int64)
    for j in range(points):
        column[j] = place[alike[j], part[j]]
    return column, slot, columns


@jit()
def _vectors_of_slots(column, slot):
    """Where each slot's vectors begin, and at which column each vector begins."""
    longest = np.zeros(SLOTS, dtype=np.int64)
    for j in range(len(column)):
        longest[slot[j]] = max(longest[slot[j]], column[j] // LANES + 1)
    start = np.zeros(SLOTS, dtype=np.int64)
    column_of = np.empty(longest.sum(), dtype=np.int64)
    at = 0
    for s in range(SLOTS):
        start[s] = at
        for block in range(longest[s]):
            column_of[at] = block * LANES
            at += 1
    return start, column_of
