"""Groups of neurons with one activation pattern, and the points sorted by which groups see them.

Glossary as in :mod:`mcrelu.engines.r_d.activation_patterns`, memory as in
:mod:`mcrelu.engines.r_d.layout`, and
--------
group : neurons with one activation pattern; the last group, active nowhere, has no members
column : points at which the same groups are active; at most SLOTS points of one column
slot : position of a point in its column. Vectors hold the points of one slot of eight columns, so
    that sums over the points of a column, and over groups for a column, need no gather
forcing : minus the step size times the derivative of the loss by the output at a point,
    h p_j (y_j - f(x_j))
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.engines.r_d.activation_patterns import Points, Words, equal_rows, is_set
from mcrelu.engines.r_d.layout import entry, first_entry, padded
from mcrelu.engines.r_d.vectors import LANES
from mcrelu.jit import jit
from mcrelu.types import Floats, Ints

SLOTS = 4


class Groups(NamedTuple):
    """Groups and columns of one network; G and R are multiples of LANES, K counts vectors."""

    patterns: Words  # (groups, words)
    place: Ints  # (D,) where a point stands among the K * LANES
    column_of: Ints  # (K,) where the eight columns of each vector of points begin
    p: Floats  # (G * q * q,) matrices P
    s: Floats  # (G * q * q,) second moments of the members' theta where P = I
    v: Floats  # ((d + 1) * G,) slopes and intercept of each group's function
    u: Floats  # ((d + 1) * G,) what a step adds to (a, b) is w u, to w <(a, b), u>
    occupied: Floats  # (G,) 1 where a group has members
    active: Floats  # (G * R,) 1 where a group is active on a column
    active_t: Floats  # (R * G,) its transpose
    value: Floats  # ((d + 1) * R,) sums of v over the groups that are active on a column
    forcing_sums: Floats  # ((d + 1) * R,) sums over a column of forcing_j (x_j, 1)
    scratch: Floats  # (q * LANES,)
    x: Floats  # ((d + 1) * K * LANES,) points (x_j, 1), with gaps of weight 0
    y: Floats  # (K * LANES,)
    weight: Floats  # (K * LANES,) p_j
    forcing: Floats  # (K * LANES,)
    extra: Floats  # (K * LANES,) outputs beside those of the groups


@jit()
def lay_out(words: Words, first: Ints, number: int, points: Points, q: int) -> Groups:
    """Groups with P = I and no members, with the patterns of some rows of ``words``."""
    patterns = np.zeros((number + 1, words.shape[1]), dtype=np.uint64)
    for g in range(number):
        for k in range(words.shape[1]):
            patterns[g, k] = words[first[g], k]
    column, slot, columns = _columns(patterns, len(points.y))
    start, column_of = _vectors_of_slots(column, slot)
    inputs1, lanes = q - 1, len(column_of) * LANES
    g_lanes, r_lanes = padded(number + 1), padded(columns)
    groups = Groups(
        patterns,
        np.zeros(len(points.y), dtype=np.int64),
        column_of,
        np.zeros(g_lanes * q * q),
        np.zeros(g_lanes * q * q),
        np.zeros(inputs1 * g_lanes),
        np.zeros(inputs1 * g_lanes),
        np.zeros(g_lanes),
        np.zeros(g_lanes * r_lanes),
        np.zeros(g_lanes * r_lanes),
        np.zeros(inputs1 * r_lanes),
        np.zeros(inputs1 * r_lanes),
        np.zeros(q * LANES),
        np.zeros(inputs1 * lanes),
        np.zeros(lanes),
        np.zeros(lanes),
        np.zeros(lanes),
        np.zeros(lanes),
    )
    for j in range(len(points.y)):
        groups.place[j] = start[slot[j]] * LANES + column[j]
    _place_points(groups, points, column, inputs1)
    for g in range(g_lanes):
        at = first_entry(g, q)
        for r in range(q):
            groups.p[entry(at, r, r, q)] = 1.0
    return groups


@jit()
def _place_points(groups: Groups, points: Points, column: Ints, inputs1: int) -> None:
    """Copy the points to their places, and say which groups are active there."""
    g_lanes, r_lanes = len(groups.u) // inputs1, len(groups.value) // inputs1
    lanes, given = len(groups.y), len(points.inverse_norm)
    for j in range(len(points.y)):
        at = groups.place[j]
        groups.y[at], groups.weight[at] = points.y[j], points.weight[j]
        for r in range(inputs1):
            groups.x[r * lanes + at] = points.x[r * given + j]
        for g in range(len(groups.patterns)):
            if is_set(groups.patterns, g, j):
                groups.active[g * r_lanes + column[j]] = 1.0
                groups.active_t[column[j] * g_lanes + g] = 1.0


@jit()
def _columns(patterns: Words, points: int) -> tuple[Ints, Ints, int]:
    """Column and slot of each point, and how many columns there are; long columns come first."""
    number = len(patterns)
    transposed = np.zeros((points, (number + 63) // 64), dtype=np.uint64)
    for j in range(points):
        for g in range(number):
            if is_set(patterns, g, j):
                transposed[j, g >> 6] |= np.uint64(1) << np.uint64(g & 63)
    alike, _, found = equal_rows(transposed, np.ones(points, dtype=np.bool_))
    seen, current = np.zeros(found, dtype=np.int64), np.zeros(found, dtype=np.int64)
    part, slot = np.empty(points, dtype=np.int64), np.empty(points, dtype=np.int64)
    size = np.zeros(points, dtype=np.int64)
    parts = 0
    for j in range(points):
        if seen[alike[j]] % SLOTS == 0:
            current[alike[j]] = parts
            parts += 1
        part[j], slot[j] = current[alike[j]], seen[alike[j]] % SLOTS
        size[part[j]] += 1
        seen[alike[j]] += 1
    order = _longest_first(size, parts)
    column = np.empty(points, dtype=np.int64)
    for j in range(points):
        column[j] = order[part[j]]
    return column, slot, parts


@jit()
def _longest_first(size: Ints, columns: int) -> Ints:
    """The rank of each column by its number of points, (columns,)."""
    order, placed = np.empty(columns, dtype=np.int64), 0
    for length in range(SLOTS, 0, -1):
        for k in range(columns):
            if size[k] == length:
                order[k] = placed
                placed += 1
    return order


@jit()
def _vectors_of_slots(column: Ints, slot: Ints) -> tuple[Ints, Ints]:
    """Where each slot's vectors begin, and at which column each vector begins."""
    length = np.zeros(SLOTS, dtype=np.int64)
    for j in range(len(column)):
        length[slot[j]] = max(length[slot[j]], column[j] // LANES + 1)
    start, number = np.zeros(SLOTS, dtype=np.int64), 0
    for s in range(SLOTS):
        start[s] = number
        number += length[s]
    column_of = np.empty(number, dtype=np.int64)
    for s in range(SLOTS):
        for block in range(length[s]):
            column_of[start[s] + block] = block * LANES
    return start, column_of


@jit()
def add_moments(groups: Groups, group: int, theta: Floats, i: int, sign: float) -> None:
    """Add theta theta^T of neuron i to the moments of its group, or take it away (sign -1)."""
    q = theta.shape[1]
    at = first_entry(group, q)
    for r in range(q):
        for k in range(q):
            groups.s[entry(at, r, k, q)] += sign * (theta[i, r] * theta[i, k])


@jit()
def clear_group(groups: Groups, group: int, q: int) -> None:
    """A group without members: nothing is left of its moments, and its P must not grow unseen."""
    at = first_entry(group, q)
    for r in range(q):
        for k in range(q):
            groups.s[entry(at, r, k, q)] = 0.0
            groups.p[entry(at, r, k, q)] = 0.0  # a step keeps it 0
    groups.occupied[group] = 0.0


@jit()
def materialise(groups: Groups, group: int, theta: Floats, i: int, current: Floats) -> None:
    """Write P theta of neuron i in a group to ``current`` (1, q)."""
    q = theta.shape[1]
    at = first_entry(group, q)
    for r in range(q):
        own = 0.0
        for k in range(q):
            own += groups.p[entry(at, r, k, q)] * theta[i, k]
        current[0, r] = own
