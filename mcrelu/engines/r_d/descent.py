"""Gradient descent of one two-layer ReLU network: steps in groups, checks, and new groups.

Glossary as in :mod:`mcrelu.engines.r_d.groups` and :mod:`mcrelu.engines.r_d.expiry`, and
--------
step bound : largest |u| of a step over the groups with members
drift rate : the step bound of the last step in which any group had members
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mcrelu.engines.r_d.activation_patterns import Points
from mcrelu.engines.r_d.cost_model import cost_of_empty_groups, regrouping_pays
from mcrelu.engines.r_d.expiry import grown
from mcrelu.engines.r_d.group_kernels import (
    column_functions,
    group_forcing,
    group_functions,
    point_forcing,
    step_groups,
)
from mcrelu.engines.r_d.groups import Groups
from mcrelu.engines.r_d.loose_batch import loose_functions, step_loose
from mcrelu.engines.r_d.network import (
    KINK_CHANGE,
    LOOSE_NEURONS,
    LOSS_CROSSING,
    OCCUPIED_GROUPS,
    Network,
    check_next,
    materialise_all,
    observe_all,
    observe_loose,
    regroup,
)
from mcrelu.engines.r_d.protocol import BELOW, LOSS_EVERY
from mcrelu.jit import jit
from mcrelu.problems.r_d import NEVER
from mcrelu.types import Floats

# A step bound below which a step may change no bit, so that it is worth a comparison.
TINY = 1e-12

# P grows by at most e^(motion bound), P S P^T by the square of that, and what cancels in them too.
LARGEST_MOTION = 4.0


class Segment(NamedTuple):
    """What is to be done."""

    step_size: float
    threshold: float
    start: int  # epochs
    end: int


@jit()
def descend(net: Network, points: Points, segment: Segment, losses: Floats) -> tuple[int, int]:
    """Train one network in place; losses are those after every LOSS_EVERY epochs.

    Returns how often its neurons were grouped, and how many were loose before the next time, in
    all.
    """
    observe_all(net, points)
    epoch, drift_rate, finished = segment.start, 0.0, False
    regroupings, loosened = 0, 0
    while not finished:
        groups = regroup(net, points, epoch, drift_rate)
        epoch, drift_rate, finished = _descend_in_groups(
            net, groups, points, segment, epoch, drift_rate, losses
        )
        materialise_all(net, groups)
        regroupings += 1
        loosened += net.membership.totals[LOOSE_NEURONS]
    return regroupings, loosened


@jit()
def _descend_in_groups(
    net: Network,
    groups: Groups,
    points: Points,
    segment: Segment,
    epoch: int,
    drift_rate: float,
    losses: Floats,
) -> tuple[int, float, bool]:
    """Steps without regrouping, until it pays or must be.

    Returns the epoch, the drift rate, and whether the segment ends.
    """
    n, q = net.theta.shape
    totals = net.membership.totals
    heap, heap_size, expiry = net.schedule
    motion_bound, step_bound, before = 0.0, np.inf, np.empty(0)
    steps, loose_steps, empty = 0, 0, 0
    while True:
        loose = totals[LOOSE_NEURONS]
        loose_steps += loose
        empty += cost_of_empty_groups(len(groups.occupied), totals[OCCUPIED_GROUPS])
        loss, forcing = _forward(net, groups, points, segment, epoch)
        _record_loss(net, segment, epoch, loss, losses)
        pays = regrouping_pays(n, loose, steps, loose_steps, empty)
        if epoch == segment.end or not motion_bound <= LARGEST_MOTION or pays:
            return epoch, drift_rate, epoch == segment.end
        perhaps_frozen = epoch % LOSS_EVERY == 0 and not step_bound >= TINY
        if perhaps_frozen:
            before = _parameters(net, groups)
        group_forcing(groups, q - 1)
        step_bound = step_groups(groups, q)
        drift_rate = step_bound if totals[OCCUPIED_GROUPS] > 0 else drift_rate
        if loose > 0:
            step_loose(net.batch, loose, points, groups, q)
        motion_bound = grown(motion_bound, step_bound)
        net.c[0] += forcing
        if perhaps_frozen and _equal(before, _parameters(net, groups)):
            for multiple in range(epoch + LOSS_EVERY, segment.end + 1, LOSS_EVERY):
                _record_loss(net, segment, multiple, loss, losses)
            return segment.end, drift_rate, True
        epoch += 1
        steps += 1
        while heap_size[0] > 0 and expiry[heap[0]] < motion_bound:
            check_next(net, groups, points, motion_bound, step_bound, epoch)


@jit(inline="always")
def _forward(
    net: Network, groups: Groups, points: Points, segment: Segment, epoch: int
) -> tuple[float, float]:
    """The forcing at the present parameters; the loss, and the sum of the forcing."""
    q, loose = net.theta.shape[1], net.membership.totals[LOOSE_NEURONS]
    group_functions(groups, q)
    if loose > 0:
        loose_functions(net.batch, loose, points, groups, q)
        if net.first[KINK_CHANGE] == NEVER:
            observe_loose(net, points, epoch)
    column_functions(groups, q - 1)
    return point_forcing(groups, net.c[0], segment.step_size, q - 1)


@jit()
def _record_loss(net: Network, segment: Segment, epoch: int, loss: float, losses: Floats) -> None:
    if loss < BELOW * segment.threshold and net.first[LOSS_CROSSING] == NEVER:
        net.first[LOSS_CROSSING] = epoch
    if epoch % LOSS_EVERY == 0 and epoch > segment.start:
        losses[epoch // LOSS_EVERY - segment.start // LOSS_EVERY - 1] = loss


@jit()
def _parameters(net: Network, groups: Groups) -> Floats:
    """All numbers that a step may change."""
    size, batch = len(groups.p), net.batch.theta
    numbers = np.empty(size + 1 + len(batch))
    for k in range(size):
        numbers[k] = groups.p[k]
    numbers[size] = net.c[0]
    for k in range(len(batch)):
        numbers[size + 1 + k] = batch[k]
    return numbers


@jit()
def _equal(first: Floats, second: Floats) -> bool:
    """Whether the network is frozen: no number has changed, and NaN is NaN still."""
    for k in range(len(first)):
        if first[k] != second[k] and not (np.isnan(first[k]) and np.isnan(second[k])):
            return False
    return True
