"""Statuses that the rest of a one-dimensional golden file rules out.

A few networks may end otherwise here than in the original, since they sit on a threshold to the
last bit. That excuses no status that contradicts what the same file says of the network.
"""

from __future__ import annotations

import numpy as np

from mcrelu.problems.one_d import StopReason
from mcrelu.types import Bools, Floats, Ints, PointSet
from mcrelu.verify.archive import Arrays

_JUDGED = (StopReason.X_DEGENERATE, StopReason.A_DEGENERATE, StopReason.LOCALLY_CONVERGED)


def contradicted(golden: Arrays, points: PointSet, a: Floats, ours: Ints) -> Bools:
    """Which networks of a file cannot have the status that it gives them, (m,).

    Parameters
    ----------
    a : (m, n)
        Input weights at the start; their signs change too rarely to be all alike by training, but
        where it happened here, too, the file is right.
    ours : (m,)
        The status that each network has here.
    """
    status = np.asarray(golden["status"])
    end = int(golden["max_checks"]) * int(golden["steps_per_check"])
    crossed = np.asarray(golden["max_kink"]) >= np.abs(points.x).min()
    judged = np.isin(status, _JUDGED)
    one_sign = (a > 0).all(axis=1) | (a < 0).all(axis=1)
    seen = np.asarray(golden["x_weights"]) != 0
    sides = np.stack([seen[:, points.x > 0].sum(axis=1), seen[:, points.x < 0].sum(axis=1)])
    few_points = (sides <= 1).any(axis=0)
    wrong = (status == StopReason.CROSSED) != crossed
    wrong |= (status == StopReason.UNFINISHED) & (golden["stop_iteration"] != end)
    wrong |= judged & ((status == StopReason.X_DEGENERATE) != few_points)
    wrong |= (
        judged & ~few_points & (ours != status) & ((status == StopReason.A_DEGENERATE) != one_sign)
    )
    if not golden["use_early_stopping"]:
        wrong |= status == StopReason.EARLY_STOPPED
    if not golden["use_sufficient_stopping"]:
        wrong |= judged
    return np.asarray(wrong)
