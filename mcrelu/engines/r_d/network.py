"""One two-layer ReLU network: its neurons in groups, loose or dead, and when they are checked.

Glossary as in :mod:`mcrelu.engines.r_d.groups` and :mod:`mcrelu.engines.r_d.expiry`. What a neuron
is, and when that changes::

                              regroup
            +--------------------+---------------------+
            v                    v                     v
          DEAD                MEMBER   -- check -->  LOOSE
    active at no point,    of the group with its     trained by itself
    so nothing moves it    pattern, moved by P
            |                    |                     |
            +--------------------+---------------------+
                          materialise_all

A member is checked at the step at which its certificate expires. It becomes loose if its pattern
changed, or if its next certificate would not last long enough to be worth a check. All neurons are
materialised and regrouped when a segment begins, when that pays (cost_model.py), and before P has
grown so much that digits are lost.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.engines.r_d.activation_patterns import (
    Points,
    Words,
    clearance,
    equal_rows,
    observe,
    same,
)
from mcrelu.engines.r_d.cost_model import WORTH_A_CHECK
from mcrelu.engines.r_d.expiry import build_heap, certificate, sift_down
from mcrelu.engines.r_d.groups import Groups, add_moments, clear_group, lay_out, materialise
from mcrelu.engines.r_d.loose_batch import LooseBatch, clear_loose, read_loose, write_loose
from mcrelu.jit import jit
from mcrelu.problems.r_d import NEVER
from mcrelu.types import Floats, Ints

MEMBER, DEAD, LOOSE = range(3)

# A neuron with such a parameter is loose: products of such numbers overflow where it does not.
HUGE = 1e50

# Entries of Membership.totals and of Network.first.
LOOSE_NEURONS, OCCUPIED_GROUPS = range(2)
KINK_CHANGE, LOSS_CROSSING = range(2)


class Membership(NamedTuple):
    """What every neuron is."""

    kind: Ints  # (n,) MEMBER, DEAD or LOOSE
    group: Ints  # (n,) of a member
    sizes: Ints  # (n + 1,) how many members each group has
    loose: Ints  # (n,) which neurons are loose
    totals: Ints  # (2,) loose neurons, groups with members

    @classmethod
    def of(cls, n: int) -> Membership:
        """Of n neurons, before the first grouping."""
        return cls(*(np.zeros(size, dtype=np.int64) for size in (n, n, n + 1, n, 2)))


class Schedule(NamedTuple):
    """Which member is checked next."""

    heap: Ints  # (n,)
    size: Ints  # (1,) of the heap
    expiry: Floats  # (n,)

    @classmethod
    def of(cls, n: int) -> Schedule:
        """Of n neurons, before the first grouping."""
        return cls(np.zeros(n, dtype=np.int64), np.zeros(1, dtype=np.int64), np.zeros(n))


class Network(NamedTuple):
    """State of one network while it is trained; ``first`` is the record of what was observed."""

    theta: Floats  # (n, q) members as they were when P was I, loose ones as they once were
    c: Floats  # (1,)
    patterns: Words  # (n, words) when the neurons were grouped
    membership: Membership
    schedule: Schedule
    batch: LooseBatch
    first: Ints  # (2,) epochs of the first kink change and loss crossing, NEVER until then
    current: Floats  # (1, q) scratch: parameters and pattern of the neuron that is checked
    seen: Words  # (1, words)

    @classmethod
    def of(cls, theta: Floats, c: Floats, points: int, first: Ints) -> Network:
        """Before a segment; theta, c and first are written to."""
        (n, q), words = theta.shape, -(-points // 64)
        return cls(
            theta=theta,
            c=c,
            patterns=np.zeros((n, words), dtype=np.uint64),
            membership=Membership.of(n),
            schedule=Schedule.of(n),
            batch=LooseBatch.of(n, q, points),
            first=first,
            current=np.zeros((1, q)),
            seen=np.zeros((1, words), dtype=np.uint64),
        )


@jit()
def observe_all(net: Network, points: Points) -> None:
    """Take the patterns at theta for those that later ones are compared with."""
    for i in range(len(net.theta)):
        observe(net.theta, i, points, net.patterns, i)


@jit()
def regroup(net: Network, points: Points, epoch: int, drift_rate: float) -> Groups:
    """Group all neurons by what their patterns are now.

    Those whose certificate would soon expire if every step had a largest |u| of ``drift_rate``
    become loose.
    """
    n, q = net.theta.shape
    membership, expiry = net.membership, net.schedule.expiry
    wanted = np.empty(n, dtype=np.bool_)
    for i in range(n):
        observe(net.theta, i, points, net.seen, 0)
        if net.first[KINK_CHANGE] == NEVER and not same(net.seen, 0, net.patterns, i):
            net.first[KINK_CHANGE] = epoch
        _copy_pattern(net.seen, net.patterns, i)
        membership.kind[i] = _kind(net.theta, net.patterns, i)
        expiry[i] = certificate(net.theta, i, clearance(net.theta, i, points))
        if membership.kind[i] == MEMBER and not expiry[i] > WORTH_A_CHECK * drift_rate:
            membership.kind[i] = LOOSE
        wanted[i] = membership.kind[i] == MEMBER
    number, first, found = equal_rows(net.patterns, wanted)
    groups = lay_out(net.patterns, first, found, points, q)
    membership.sizes[:] = 0
    membership.totals[LOOSE_NEURONS], membership.totals[OCCUPIED_GROUPS] = 0, found
    clear_loose(net.batch)
    for i in range(n):
        if wanted[i]:
            membership.group[i] = number[i]
            membership.sizes[number[i]] += 1
            groups.occupied[number[i]] = 1.0
            add_moments(groups, number[i], net.theta, i, 1.0)
        elif membership.kind[i] == LOOSE:
            _set_loose(net, i, net.theta, i)
    net.schedule.size[0] = build_heap(net.schedule.heap, expiry, wanted)
    return groups


@jit()
def _copy_pattern(seen: Words, patterns: Words, i: int) -> None:
    for k in range(seen.shape[1]):
        patterns[i, k] = seen[0, k]


@jit()
def _kind(theta: Floats, patterns: Words, i: int) -> int:
    active = False
    for k in range(patterns.shape[1]):
        active |= patterns[i, k] != np.uint64(0)
    if not active:
        return DEAD
    for r in range(theta.shape[1]):
        if not abs(theta[i, r]) <= HUGE:
            return LOOSE
    return MEMBER


@jit()
def check_next(
    net: Network,
    groups: Groups,
    points: Points,
    motion_bound: float,
    step_bound: float,
    epoch: int,
) -> None:
    """Check the member at the top of the heap, and let it go if it changed its pattern.

    So is one that would have to be checked again and again: to be loose costs less.
    """
    heap, size, expiry = net.schedule
    i = heap[0]
    materialise(groups, net.membership.group[i], net.theta, i, net.current)
    observe(net.current, 0, points, net.seen, 0)
    stays = same(net.seen, 0, net.patterns, i)
    if not stays and net.first[KINK_CHANGE] == NEVER:
        net.first[KINK_CHANGE] = epoch
    granted = certificate(net.current, 0, clearance(net.current, 0, points))
    if stays and granted > WORTH_A_CHECK * step_bound:
        expiry[i] = motion_bound + granted
    else:
        _release(net, groups, i)
        size[0] -= 1
        heap[0] = heap[size[0]]
    if size[0] > 0:
        sift_down(heap, size[0], expiry, 0)


@jit()
def _release(net: Network, groups: Groups, i: int) -> None:
    """Make a member loose, with the parameters in ``net.current``."""
    membership = net.membership
    group = membership.group[i]
    membership.sizes[group] -= 1
    if membership.sizes[group] > 0:
        add_moments(groups, group, net.theta, i, -1.0)
    else:
        membership.totals[OCCUPIED_GROUPS] -= 1
        clear_group(groups, group, net.theta.shape[1])
    _set_loose(net, i, net.current, 0)


@jit()
def _set_loose(net: Network, i: int, rows: Floats, row: int) -> None:
    """Let neuron i be loose, with the parameters in a row of an array (.., q)."""
    membership = net.membership
    k = membership.totals[LOOSE_NEURONS]
    membership.kind[i] = LOOSE
    membership.loose[k] = i
    write_loose(net.batch, k, rows, row)
    membership.totals[LOOSE_NEURONS] = k + 1


@jit()
def observe_loose(net: Network, points: Points, epoch: int) -> None:
    """Record the first pattern change of a loose neuron: it may be loose before any has changed."""
    for k in range(net.membership.totals[LOOSE_NEURONS]):
        read_loose(net.batch, k, net.current, 0)
        observe(net.current, 0, points, net.seen, 0)
        if not same(net.seen, 0, net.patterns, net.membership.loose[k]):
            net.first[KINK_CHANGE] = epoch
            return


@jit()
def materialise_all(net: Network, groups: Groups) -> None:
    """Make theta what every neuron is now."""
    membership = net.membership
    for i in range(len(net.theta)):
        if membership.kind[i] == MEMBER:
            materialise(groups, membership.group[i], net.theta, i, net.current)
            for r in range(net.theta.shape[1]):
                net.theta[i, r] = net.current[0, r]
    for k in range(membership.totals[LOOSE_NEURONS]):
        read_loose(net.batch, k, net.theta, membership.loose[k])
