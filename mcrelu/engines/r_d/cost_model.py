"""When grouping the neurons of a network anew costs less than going on without it.

Costs are in steps of one loose neuron.
"""

from __future__ import annotations

from mcrelu.engines.r_d.vectors import LANES
from mcrelu.jit import jit

# A regrouping costs so much per neuron, and in any case.
PER_NEURON, IN_ANY_CASE = 10, 1000

# What a vector of eight groups costs per step, members or not.
EIGHT_GROUPS = 10

# Steps that a certificate must last for a neuron to stay in its group.
WORTH_A_CHECK = 8.0


@jit(inline="always")
def regrouping_pays(neurons: int, loose: int, steps: int, loose_steps: int, empty: int) -> bool:
    """Whether to regroup after so many steps since the last time.

    It pays as soon as the loose neurons there are now cost more per step than was spent per step
    since the last time, regrouping included: neurons that are loose again at once, since they sit
    on a data point, are no reason to regroup, those that have become loose one by one are. And it
    pays when groups without members have cost as much as regrouping.

    Parameters
    ----------
    loose_steps : sum over the steps of the number of loose neurons
    empty : sum over the steps of :func:`cost_of_empty_groups`
    """
    cost = PER_NEURON * neurons + IN_ANY_CASE
    return steps * loose > loose_steps + cost or empty > cost


@jit(inline="always")
def cost_of_empty_groups(groups: int, occupied: int) -> int:
    """What a step spends on vectors of groups that ``occupied`` groups with members do not need."""
    return EIGHT_GROUPS * (groups // LANES - 1 - occupied // LANES)
