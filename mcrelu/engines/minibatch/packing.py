"""What the compiled engines share: parameters as vectors, and what a step is told."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mcrelu.problems.regression import Networks, Problem, Rule
from mcrelu.types import Array, Floats


class Steps(NamedTuple):
    """What kernels need to know of the steps of a problem."""

    rule: Rule
    batch: int
    rates: Floats  # (4,) of a, b, w, c
    epsilons: Floats  # (4,)
    key: tuple[np.uint64, np.uint64]
    network: Array  # (m,) uint64

    @classmethod
    def of(cls, problem: Problem) -> Steps:
        """Those of a problem."""
        optimizer, shuffles = problem.optimizer, problem.shuffles
        return cls(
            rule=optimizer.rule,
            batch=problem.batch,
            rates=_by_part(optimizer.rates()),
            epsilons=_by_part(optimizer.epsilons()),
            key=(np.uint64(shuffles.key[0]), np.uint64(shuffles.key[1])),
            network=shuffles.network.astype(np.uint64),
        )


def pack(networks: Networks, kind: Any) -> Array:
    """A vector a, b, w, c per network, (m, (d + 2) n + 1)."""
    a, b, w, c = networks
    return np.concatenate([a.reshape(len(a), -1), b, w, c[:, None]], axis=1).astype(kind)


def unpack(theta: Array, inputs: int) -> Networks:
    """The inverse of :func:`pack`."""
    width = (theta.shape[1] - 1) // (inputs + 2)
    a, b, w, c = np.split(theta, [inputs * width, (inputs + 1) * width, -1], axis=1)
    return Networks(a.reshape(len(a), inputs, width), b, w, c[:, 0])


def _by_part(values: tuple[float, float, float]) -> Floats:
    inner, bias, outer = values
    return np.array([inner, bias, outer, bias])
