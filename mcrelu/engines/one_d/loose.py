"""Networks with loose neurons: how they begin, and what is asked of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mcrelu.engines.one_d import group_kernels as gk
from mcrelu.engines.one_d.loose_kernels import LooseNetwork, LooseNeurons, Members
from mcrelu.problems.one_d import Weights
from mcrelu.types import Floats


def all_loose(a0: Floats, b0: Floats, c0: float, w0: Floats) -> LooseNetwork:
    """A network whose neurons are all loose from the start; a0, b0, w0 (n,)."""
    n = len(a0)
    identity = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    return LooseNetwork(
        members=Members(
            p=np.stack([identity, identity]),
            s=np.zeros((2, 3)),
            order=np.arange(n),
            spans=np.zeros((2, 2), dtype=np.int64),
            a0=a0,
            w0=w0,
            t=np.zeros(n),  # of members, of which there are none
        ),
        loose=LooseNeurons(np.stack([a0, b0, w0]), np.arange(n), np.array([n])),
        c=np.array([c0]),
        max_kink=np.zeros(1),
        first_crossing=np.zeros(1, dtype=np.int64),
    )


def all_members(start: Weights, fixed: Floats, moving: Floats) -> LooseNetwork:
    """A network right before its first member becomes loose.

    Parameters
    ----------
    start : (1, n)
        Its weights at the start.
    fixed : (FIXED_ROWS,), moving : (ROWS,)
        Its numbers as group_kernels.py lays them out.
    """
    a0, w0 = start.a[0], start.w[0]
    n, plus, t = len(a0), int((a0 > 0).sum()), w0 / a0
    return LooseNetwork(
        members=Members(
            p=moving[: gk.P_ROWS].reshape(2, 6).copy(),
            s=fixed.reshape(2, gk.FIXED_PER_SIDE)[:, :3].copy(),
            order=np.lexsort((t, a0 < 0)),
            spans=np.array([[0, plus], [plus, n]]),
            a0=a0,
            w0=w0,
            t=t,
        ),
        loose=LooseNeurons(
            np.zeros((3, n)), np.zeros(n, dtype=np.int64), np.zeros(1, dtype=np.int64)
        ),
        c=moving[[gk.C]],
        max_kink=moving[[gk.KINK_NUMERATOR]] / moving[[gk.KINK_DENOMINATOR]],
        first_crossing=np.zeros(1, dtype=np.int64),
    )


def copy(network: LooseNetwork) -> LooseNetwork:
    """A copy that kernels may write to; it shares what they only read, all of it (n,)."""
    members, loose, k = network.members, network.loose, network.loose.size[0]
    theta, neuron = np.empty_like(loose.theta), np.empty_like(loose.neuron)
    theta[:, :k], neuron[:k] = loose.theta[:, :k], loose.neuron[:k]
    return LooseNetwork(
        members._replace(p=members.p.copy(), s=members.s.copy(), spans=members.spans.copy()),
        LooseNeurons(theta, neuron, loose.size.copy()),
        network.c.copy(),
        network.max_kink.copy(),
        network.first_crossing.copy(),
    )


def loose_theta(network: LooseNetwork) -> Floats:
    """a, b, w of the loose neurons, (3, k)."""
    return network.loose.theta[:, : network.loose.size[0]]


def outermost(network: LooseNetwork) -> Floats:
    """a, b, w of the members at the ends and of the loose neurons, (3, at most 4 + loose)."""
    members, found = network.members, []
    for (first, last), p in zip(members.spans, members.p, strict=True):
        if first < last:
            ends = members.order[[first, last - 1]]
            found.append(p.reshape(3, 2) @ np.stack([members.a0[ends], members.w0[ends]]))
    return np.concatenate([*found, loose_theta(network)], axis=1)


def neurons(networks: Mapping[int, LooseNetwork]) -> int:
    """How many neurons of some networks are loose."""
    return sum(int(network.loose.size[0]) for network in networks.values())
