"""Do two sets of estimates agree? Two-proportion z-tests, Holm-corrected over all points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from scipy import special

from mcrelu.errors import UserError
from mcrelu.experiments.base import Count, Experiment, Point
from mcrelu.types import Bools, Floats

LEVEL = 0.01  # of the whole comparison


class OfExperiment(Protocol):
    """Whatever belongs to an experiment: an output."""

    @property
    def experiment(self) -> Experiment:
        """The experiment."""


def compare(
    ours: Mapping[Point, Count], theirs: Mapping[Point, Count], abscissa: str = "width"
) -> pa.Table:
    """Compare the points that both have; one row each, ``agrees`` by Holm's procedure at LEVEL.

    Columns: the setting of the point, ``abscissa``, then both estimates and the test.

    Raises
    ------
    UserError
        If they have no point in common.
    """
    common = [point for point in ours if point in theirs and ours[point].n and theirs[point].n]
    if not common:
        raise UserError(
            f"nothing to compare: no setting and {abscissa} with a result on both sides"
        )
    k1, n1 = np.array([ours[point] for point in common], dtype=float).T
    k2, n2 = np.array([theirs[point] for point in common], dtype=float).T
    z = z_scores(k1, n1, k2, n2)
    p = p_values(z)
    settings = [setting for setting, _ in common]
    columns: dict[str, Any] = {
        **{name: [getattr(one, name) for one in settings] for name in settings[0]._fields},
        abscissa: [place for _, place in common],
        "estimate": k1 / n1,
        "networks": n1.astype(int),
        "other_estimate": k2 / n2,
        "other_networks": n2.astype(int),
        "z": z,
        "p": p,
        "agrees": ~holm_rejections(p),
    }
    return pa.table(columns)


def pool(owners: Sequence[OfExperiment], tables: Sequence[pa.Table]) -> pa.Table:
    """The cell tables of several outputs as one.

    Raises
    ------
    UserError
        If two of them have the same point, or they are of different experiments.
    """
    kinds = [owner.experiment for owner in owners]
    if any(kind.name != kinds[0].name for kind in kinds):
        raise UserError("the outputs are of different experiments; give outputs of one")
    # Tables of earlier versions lack columns; what they would hold is unknown.
    together = pa.concat_tables(
        (table.replace_schema_metadata(None) for table in tables), promote_options="default"
    )
    seen = set()
    for point in together.select(list(kinds[0].point_columns)).to_pylist():
        key = tuple(point.values())
        if key in seen:
            shown = ", ".join(f"{name} {value}" for name, value in point.items())
            raise UserError(f"{shown} is in two of the outputs; give outputs without common cells")
        seen.add(key)
    return together


def z_scores(k1: Floats, n1: Floats, k2: Floats, n2: Floats) -> Floats:
    """Pooled two-proportion z statistic of each point; 0 where both proportions are 0 or 1."""
    pooled = (k1 + k2) / (n1 + n2)
    error = np.sqrt(pooled * (1.0 - pooled) * (1.0 / n1 + 1.0 / n2))
    return np.asarray(
        np.divide(k1 / n1 - k2 / n2, error, out=np.zeros(len(error)), where=error > 0)
    )


def p_values(z: Floats) -> Floats:
    """Two-sided p-value of a z statistic."""
    return np.asarray(2.0 * special.ndtr(-np.abs(z)))


def holm_rejections(p: Floats, level: float = LEVEL) -> Bools:
    """Which of the hypotheses Holm's step-down procedure rejects at a family level (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    allowed = level / np.arange(len(p), 0, -1)
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order] = np.minimum.accumulate(p[order] <= allowed)
    return rejected
