"""Gradient descent of one two-layer ReLU network: steps in groups, looks, and new groups.

Glossary as in :mod:`mcrelu.engines.pattern_grouping` and :mod:`mcrelu.engines.leases`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.engines.layered import BELOW, LOSS_EVERY
from mcrelu.engines.leases import advanced, build_heap, lease, sift_down
from mcrelu.engines.pattern_grouping import LOOSE, form_groups, move_moments, observe, same
from mcrelu.engines.pattern_kernels import (
    materialise,
    pull_groups,
    pull_points,
    step_groups,
    step_loose,
    sum_functions,
    sum_loose,
)
from mcrelu.jit import jit
from mcrelu.mlp import NEVER
from mcrelu.types import Floats, Ints

# P grows by at most e^odometer, and what cancels in P theta with it.
LONGEST = 8.0

# Regrouping costs about as much as this many steps of a loose neuron, per neuron and in any case.
REGROUPING_PER_NEURON, REGROUPING = 4, 100
MOST_PATIENCE = 2**20  # times the cost of regrouping, where regrouping does not help

# Rows of what is counted, for tuning and tests only.
CHANGES, LOOKS, REGROUPINGS, LOOSE_STEPS = range(4)


class Network(NamedTuple):
    """One network and the bookkeeping of its neurons."""

    theta: Floats  # (n, q) members as they were when P was I, loose ones as they are
    c: Floats  # (1,)
    words: Ints  # (n, words) uint64, activation patterns
    group_of: Ints  # (n,) number of the group, STILL or LOOSE
    loose: Ints  # (n,) which neurons are loose
    due: Floats  # (n,)
    heap: Ints  # (n,)
    members: Ints  # (n,) how many neurons each group has
    first: Ints  # (2,) epochs of the first kink change and loss crossing, NEVER until then
    counts: Ints  # (4,)


@jit()
def descend(theta, c, x1, y, weight, rate, threshold, epoch, epochs, first, losses, counts):
    """Train in place.

    theta (n, q), c (1,), x1 (D, d + 1), y (D,), weight (D,), first (2,), losses (epochs that are
    multiples of LOSS_EVERY,), counts (4,).
    """
    n, points = len(theta), len(y)
    norms = np.sqrt((x1 * x1).sum(axis=1))
    net = Network(
        theta, c, np.zeros((n, (points + 63) // 64), dtype=np.uint64),
        np.full(n, LOOSE), np.empty(n, dtype=np.int64), np.empty(n), np.empty(n, dtype=np.int64),
        np.empty(n, dtype=np.int64), first, counts,
    )  # fmt: skip
    for i in range(n):
        observe(theta[i], x1, norms, net.words[i])
    patience, before, done, last = 1.0, 0.0, epoch, epoch + epochs
    while True:
        groups, size = _regroup(net, x1, norms, y, weight, done)
        loose = _loose_neurons(net)
        cost = patience * (REGROUPING_PER_NEURON * n + REGROUPING)
        start = done
        done, spent, finished = _stay(
            net, groups, x1, norms, rate, threshold, done, last, losses, epoch, size, loose, cost
        )
        counts[REGROUPINGS] += 1
        counts[LOOSE_STEPS] += spent
        if finished:
            break
        _dissolve(net, groups)
        average = spent / (done - start)
        patience = min(2.0 * patience, MOST_PATIENCE) if average >= 0.5 * before else 1.0
        before = _loose_neurons(net)
    _dissolve(net, groups)


@jit()
def _stay(
    net, groups, x1, norms, rate, threshold, epoch, last, losses, start, size, loose, most
):  # fmt: skip
    """Steps without regrouping; the epoch reached, steps of loose neurons, whether all is done."""
    q = net.theta.shape[1]
    current, seen = np.empty(q), np.empty_like(net.words[0])
    masked = np.empty_like(groups.y)
    odometer, spent = 0.0, 0
    while True:
        sum_functions(groups, q)
        sum_loose(groups, net.theta, net.loose, loose)
        loss = 0.5 * pull_points(groups, net.c[0], rate, q - 1)
        if loss < BELOW * threshold and net.first[1] == NEVER:
            net.first[1] = epoch
        if epoch % LOSS_EVERY == 0 and epoch > start:
            losses[epoch // LOSS_EVERY - start // LOSS_EVERY - 1] = loss
        if epoch == last:
            return epoch, spent, True
        pull_groups(groups, q)
        way = step_groups(groups, q)
        step_loose(groups, net.theta, net.loose, loose, masked)
        net.c[0] += groups.pull.sum()
        epoch += 1
        spent += loose
        odometer = advanced(odometer, way)
        if loose > 0 and net.first[0] == NEVER:
            _watch_loose(net, loose, x1, norms, seen, epoch)
        while size > 0 and net.due[net.heap[0]] < odometer:
            size, loose = _look(
                net, groups, x1, norms, odometer, size, loose, current, seen, epoch
            )  # fmt: skip
        if not odometer <= LONGEST or spent > most:
            return epoch, spent, False


@jit()
def _look(net, groups, x1, norms, odometer, size, loose, current, seen, epoch):
    """Look at the neuron at the top of the heap; the new size of the heap, how many are loose."""
    i, heap = net.heap[0], net.heap
    materialise(groups.p, net.group_of[i], net.theta[i], current)
    clearance = observe(current, x1, norms, seen)
    net.counts[LOOKS] += 1
    if same(seen, net.words[i]):
        net.due[i] = odometer + lease(current, clearance)
    else:
        _eject(net, groups, i, current)
        net.loose[loose] = i
        loose += 1
        _changed(net, epoch)
        size -= 1
        heap[0] = heap[size]
    if size > 0:
        sift_down(heap, size, net.due, 0)
    return size, loose


@jit()
def _eject(net, groups, i, current):
    """Take neuron i out of its group."""
    group, q = net.group_of[i], len(current)
    net.members[group] -= 1
    move_moments(groups.s, group, net.theta[i], -1.0)
    if net.members[group] == 0:  # what subtraction left of an empty group is rounding
        at = group // 8 * q * q * 8 + group % 8
        for k in range(q * q):
            groups.s[at + k * 8] = 0.0
    net.theta[i] = current
    net.group_of[i] = LOOSE


@jit()
def _changed(net, epoch):
    net.counts[CHANGES] += 1
    if net.first[0] == NEVER:
        net.first[0] = epoch


@jit()
def _watch_loose(net, loose, x1, norms, seen, epoch):
    """Neurons that are loose although no pattern has changed yet."""
    for i in net.loose[:loose]:
        observe(net.theta[i], x1, norms, seen)
        if not same(seen, net.words[i]):
            _changed(net, epoch)
            return


@jit()
def _loose_neurons(net):
    """List the loose neurons; how many."""
    count = 0
    for i in range(len(net.group_of)):
        if net.group_of[i] == LOOSE:
            net.loose[count] = i
            count += 1
    return count


@jit()
def _dissolve(net, groups):
    """Make theta what every neuron is now."""
    current = np.empty(net.theta.shape[1])
    for i in range(len(net.theta)):
        if net.group_of[i] >= 0:
            materialise(groups.p, net.group_of[i], net.theta[i], current)
            net.theta[i] = current


@jit()
def _regroup(net, x1, norms, y, weight, epoch):
    """Form groups of what every neuron is now; they and the size of the heap."""
    seen = np.empty_like(net.words[0])
    for i in range(len(net.theta)):
        clearance = observe(net.theta[i], x1, norms, seen)
        if not same(seen, net.words[i]):
            if net.group_of[i] != LOOSE or net.first[0] == NEVER:
                _changed(net, epoch)
            net.words[i] = seen
        net.due[i] = lease(net.theta[i], clearance)
    groups = form_groups(net.theta, net.words, net.group_of, x1, y, weight)
    net.members[:] = 0
    for i in range(len(net.theta)):
        if net.group_of[i] >= 0:
            net.members[net.group_of[i]] += 1
    return groups, build_heap(net.heap, net.due, net.group_of)
