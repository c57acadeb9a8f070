"""Gradient descent of one two-layer ReLU network: steps in groups, looks, and new groups.

Glossary as in :mod:`mcrelu.engines.r_d.groups` and :mod:`mcrelu.engines.r_d.expiry`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.engines.r_d.activation_patterns import clearance, equal_rows, observe, same
from mcrelu.engines.r_d.expiry import advanced, build_heap, lease, sift_down
from mcrelu.engines.r_d.group_kernels import (
    column_functions,
    group_functions,
    pull_groups,
    pull_points,
    step_groups,
)
from mcrelu.engines.r_d.groups import add_moments, clear_group, lay_out, materialise
from mcrelu.engines.r_d.loose_batch import (
    Crowd,
    clear_crowd,
    crowd_functions,
    read_crowd,
    step_crowd,
    write_crowd,
)
from mcrelu.engines.r_d.protocol import BELOW, LOSS_EVERY
from mcrelu.engines.r_d.vectors import LANES
from mcrelu.jit import jit
from mcrelu.problems.r_d import NEVER
from mcrelu.types import Floats, Ints

# What a neuron is: in a group, active nowhere so that nothing moves it, or trained by itself.
MEMBER, STILL, LOOSE = range(3)

# A neuron with such a parameter is loose: products of such numbers overflow where it does not.
HUGE = 1e50

# Steps that a lease must last for a neuron to stay in its group.
WORTH_A_LOOK = 8.0

# A largest |u| below which a step may change no bit, so that it is worth a comparison.
TINY = 1e-12

# P grows by at most e^odometer, P S P^T by the square of that, and what cancels in them with it.
LONGEST = 4.0

# Regrouping costs as much as so many steps of loose neurons, per neuron and in any case.
PER_NEURON, IN_ANY_CASE = 10, 1000

# What eight groups cost per step, members or not, in steps of loose neurons.
EIGHT_GROUPS = 10

# Entries of the sizes and of the counts, the latter for tuning and tests only.
IN_HEAP, IN_LOOSE, WITH_MEMBERS = range(3)
CHANGES, LOOKS, REGROUPINGS, LOOSE_STEPS = range(4)


class Network(NamedTuple):
    """One network and the bookkeeping of its neurons."""

    theta: Floats  # (n, q) members as they were when P was I, loose ones as they once were
    c: Floats  # (1,)
    words: Ints  # (n, words) uint64, patterns when the neurons were grouped
    kind: Ints  # (n,) MEMBER, STILL or LOOSE
    home: Ints  # (n,) group of a member
    members: Ints  # (n + 1,) how many each group has
    loose: Ints  # (n,) which neurons are loose
    heap: Ints  # (n,)
    due: Floats  # (n,)
    sizes: Ints  # (3,) of heap and loose, groups with members
    first: Ints  # (2,) epochs of the first kink change and loss crossing, NEVER until then
    counts: Ints  # (4,)
    crowd: Crowd

    @classmethod
    def of(cls, theta: Floats, c: Floats, points: int, first: Ints) -> Network:
        """Before a leg; theta, c and first are trained in place."""
        n, words = len(theta), -(-points // 64)

        def integers(*shape: int) -> Ints:
            return np.zeros(shape, dtype=np.int64)

        return cls(
            theta, c, np.zeros((n, words), dtype=np.uint64),
            integers(n), integers(n), integers(n + 1), integers(n), integers(n), np.zeros(n),
            integers(3), first, integers(4), Crowd.of(n, theta.shape[1], points),
        )  # fmt: skip


class Leg(NamedTuple):
    """What is to be done."""

    step_size: float
    threshold: float
    start: int  # epochs
    end: int


@jit()
def descend(net, points, leg, losses):
    """Train one network in place; losses are those after every LOSS_EVERY epochs."""
    for i in range(len(net.theta)):
        observe(net.theta, i, points, net.words, i)
    epoch, pace, finished = leg.start, 0.0, False
    while not finished:
        groups = _regroup(net, points, epoch, pace)
        epoch, pace, finished = _stay(net, groups, points, leg, epoch, pace, losses)
        _dissolve(net, groups)


@jit()
def _stay(net, groups, points, leg, epoch, pace, losses):
    """Steps without regrouping, until it pays or must be.

    It pays as soon as the loose neurons there are now cost more per step than was spent per step
    since the last time, regrouping included: neurons that are loose again at once, since they sit
    on a data point, are no reason to regroup, those that have become loose one by one are. And it
    pays when groups without members have cost as much as regrouping.

    Returns the epoch, the pace, and whether the leg ends.
    """
    q = net.theta.shape[1]
    current, seen = np.empty((1, q)), np.empty((1, net.words.shape[1]), dtype=np.uint64)
    odometer, way, before = 0.0, np.inf, np.empty(0)
    steps, spent, wasted, eights = 0, 0, 0, len(groups.occupied) // LANES
    cost = PER_NEURON * len(net.theta) + IN_ANY_CASE
    while True:
        group_functions(groups, q)
        loose = net.sizes[IN_LOOSE]
        if loose > 0:
            crowd_functions(net.crowd, loose, points, groups, q)
            spent += loose
            if net.first[0] == NEVER:
                _watch_loose(net, points, current, seen, epoch)
        column_functions(groups, q - 1)
        loss, pulls = pull_points(groups, net.c[0], leg.step_size, q - 1)
        _record_loss(net, leg, epoch, loss, losses)
        wasted += EIGHT_GROUPS * (eights - 1 - net.sizes[WITH_MEMBERS] // LANES)
        pays = steps * loose > spent + cost or wasted > cost
        if epoch == leg.end or not odometer <= LONGEST or pays:
            net.counts[LOOSE_STEPS] += spent
            return epoch, pace, epoch == leg.end
        perhaps_at_rest = epoch % LOSS_EVERY == 0 and not way >= TINY
        if perhaps_at_rest:
            before = _moving(net, groups)
        pull_groups(groups, q - 1)
        way = step_groups(groups, q)
        pace = way if net.sizes[WITH_MEMBERS] > 0 else pace
        if loose > 0:
            step_crowd(net.crowd, loose, points, groups, q)
        odometer = advanced(odometer, way)
        net.c[0] += pulls
        if perhaps_at_rest and _equal(before, _moving(net, groups)):
            for multiple in range(epoch + LOSS_EVERY, leg.end + 1, LOSS_EVERY):
                _record_loss(net, leg, multiple, loss, losses)
            return leg.end, pace, True
        epoch += 1
        steps += 1
        while net.sizes[IN_HEAP] > 0 and net.due[net.heap[0]] < odometer:
            _look(net, groups, points, odometer, way, current, seen, epoch)


@jit()
def _record_loss(net, leg, epoch, loss, losses):
    if loss < BELOW * leg.threshold and net.first[1] == NEVER:
        net.first[1] = epoch
    if epoch % LOSS_EVERY == 0 and epoch > leg.start:
        losses[epoch // LOSS_EVERY - leg.start // LOSS_EVERY - 1] = loss


@jit()
def _moving(net, groups):
    """All numbers that a step may change."""
    size, crowd = len(groups.p), net.crowd.theta
    numbers = np.empty(size + 1 + len(crowd))
    for k in range(size):
        numbers[k] = groups.p[k]
    numbers[size] = net.c[0]
    for k in range(len(crowd)):
        numbers[size + 1 + k] = crowd[k]
    return numbers


@jit()
def _equal(first, second):
    """Whether nothing has changed; what is not a number remains so."""
    for k in range(len(first)):
        if first[k] != second[k] and not (np.isnan(first[k]) and np.isnan(second[k])):
            return False
    return True


@jit()
def _look(net, groups, points, odometer, way, current, seen, epoch):
    """Look at the neuron at the top of the heap, and let it go if it changed its pattern.

    So is one that would have to be looked at again and again: to be loose costs less.
    """
    i, heap = net.heap[0], net.heap
    materialise(groups.p, net.home[i], net.theta, i, current)
    observe(current, 0, points, seen, 0)
    net.counts[LOOKS] += 1
    stays = same(seen, 0, net.words, i)
    if not stays:
        _changed(net, epoch)
    granted = lease(current, 0, clearance(current, 0, points))
    if stays and granted > WORTH_A_LOOK * way:
        net.due[i] = odometer + granted
    else:
        _eject(net, groups, i, current)
        net.sizes[IN_HEAP] -= 1
        heap[0] = heap[net.sizes[IN_HEAP]]
    if net.sizes[IN_HEAP] > 0:
        sift_down(heap, net.sizes[IN_HEAP], net.due, 0)


@jit()
def _eject(net, groups, i, current):
    """Make a member loose."""
    home = net.home[i]
    net.members[home] -= 1
    if net.members[home] > 0:
        add_moments(groups.s, home, net.theta, i, -1.0)
    else:
        net.sizes[WITH_MEMBERS] -= 1
        clear_group(groups, home, current.shape[1])
    _set_loose(net, i, current, 0)


@jit()
def _copy(source, i, target, k):
    """Row i of an array to row k of another."""
    for r in range(source.shape[1]):
        target[k, r] = source[i, r]


@jit()
def _set_loose(net, i, rows, row):
    """Let neuron i be loose, with the parameters in a row of an array (.., q)."""
    k = net.sizes[IN_LOOSE]
    net.kind[i] = LOOSE
    net.loose[k] = i
    write_crowd(net.crowd, k, rows, row)
    net.sizes[IN_LOOSE] = k + 1


@jit()
def _changed(net, epoch):
    net.counts[CHANGES] += 1
    if net.first[0] == NEVER:
        net.first[0] = epoch


@jit()
def _watch_loose(net, points, current, seen, epoch):
    """Neurons may be loose before any pattern has changed."""
    for k in range(net.sizes[IN_LOOSE]):
        read_crowd(net.crowd, k, current, 0)
        observe(current, 0, points, seen, 0)
        if not same(seen, 0, net.words, net.loose[k]):
            _changed(net, epoch)
            return


@jit()
def _dissolve(net, groups):
    """Make theta what every neuron is now."""
    current = np.empty((1, net.theta.shape[1]))
    for i in range(len(net.theta)):
        if net.kind[i] == MEMBER:
            materialise(groups.p, net.home[i], net.theta, i, current)
            _copy(current, 0, net.theta, i)
    for k in range(net.sizes[IN_LOOSE]):
        read_crowd(net.crowd, k, net.theta, net.loose[k])


@jit()
def _regroup(net, points, epoch, pace):
    """Group all neurons by what their patterns are now.

    Those that would soon leave their group at a pace, largest |u| of a step, become loose.
    """
    n, q = net.theta.shape
    seen, wanted = np.empty((1, net.words.shape[1]), dtype=np.uint64), np.empty(n, dtype=np.bool_)
    for i in range(n):
        observe(net.theta, i, points, seen, 0)
        if net.first[0] == NEVER and not same(seen, 0, net.words, i):
            _changed(net, epoch)
        _copy(seen, 0, net.words, i)
        net.kind[i] = _kind(net.theta, net.words, i)
        net.due[i] = lease(net.theta, i, clearance(net.theta, i, points))
        if net.kind[i] == MEMBER and not net.due[i] > WORTH_A_LOOK * pace:
            net.kind[i] = LOOSE
        wanted[i] = net.kind[i] == MEMBER
    number, first, found = equal_rows(net.words, wanted)
    groups = lay_out(net.words, first, found, points, q)
    net.counts[REGROUPINGS] += 1
    net.members[:] = 0
    net.sizes[IN_LOOSE], net.sizes[WITH_MEMBERS] = 0, found
    clear_crowd(net.crowd)
    for i in range(n):
        if wanted[i]:
            net.home[i] = number[i]
            net.members[number[i]] += 1
            groups.occupied[number[i]] = 1.0
            add_moments(groups.s, number[i], net.theta, i, 1.0)
        elif net.kind[i] == LOOSE:
            _set_loose(net, i, net.theta, i)
    net.sizes[IN_HEAP] = build_heap(net.heap, net.due, wanted)
    return groups


@jit()
def _kind(theta, words, i):
    active = False
    for k in range(words.shape[1]):
        active |= words[i, k] != np.uint64(0)
    if not active:
        return STILL
    for r in range(theta.shape[1]):
        if not abs(theta[i, r]) <= HUGE:
            return LOOSE
    return MEMBER
