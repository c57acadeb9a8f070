"""Do two sets of estimates agree? A test per point, Holm-corrected over all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from scipy import special

from mcrelu.errors import UserError
from mcrelu.experiments.base import Count, Estimate, Experiment, Mean, Point
from mcrelu.types import Bools, Floats

LEVEL = 0.01  # of the whole comparison


class OfExperiment(Protocol):
    """Whatever belongs to an experiment: an output."""

    @property
    def experiment(self) -> Experiment:
        """The experiment."""


def compare(
    ours: Mapping[Point, Estimate], theirs: Mapping[Point, Estimate], abscissa: str = "width"
) -> pa.Table:
    """Compare the points that both have; one row each, ``agrees`` by Holm's procedure at LEVEL.

    Proportions by a pooled two-proportion z-test, means by Welch's t-test. Columns: the setting of
    the point, ``abscissa``, then both estimates and the test (``z`` is the statistic of either).

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
    tests = [_test(ours[point], theirs[point]) for point in common]
    settings = [setting for setting, _ in common]
    columns: dict[str, Any] = {
        **{name: [getattr(one, name) for one in settings] for name in settings[0]._fields},
        abscissa: [place for _, place in common],
        **{name: [getattr(test, name) for test in tests] for name in _Test._fields},
        "agrees": ~holm_rejections(np.array([test.p for test in tests])),
    }
    return pa.table(columns)


class _Test(NamedTuple):
    """Two estimates of the same, and whether they differ."""

    estimate: float
    networks: int
    other_estimate: float
    other_networks: int
    z: float
    p: float


def _test(one: Estimate, other: Estimate) -> _Test:
    if isinstance(one, Mean) and isinstance(other, Mean):
        z, p = welch(one, other)
        return _Test(one.mean, one.n, other.mean, other.n, z, p)
    assert isinstance(one, Count)
    assert isinstance(other, Count)
    z = float(z_scores(*(np.array([float(part)]) for part in (*one, *other)))[0])
    p = float(p_values(np.array([z]))[0])
    return _Test(one.k / one.n, one.n, other.k / other.n, other.n, z, p)


def welch(one: Mean, other: Mean) -> tuple[float, float]:
    """Statistic and two-sided p-value of Welch's t-test (Biometrika 34, 1947).

    The statistic is 0 where both means are equal and have no error.
    """
    variances = one.error**2, other.error**2
    total = sum(variances)
    difference = one.mean - other.mean
    if total == 0.0:
        return (0.0, 1.0) if difference == 0.0 else (math.copysign(math.inf, difference), 0.0)
    freedom = total**2 / sum(
        variance**2 / max(mean.n - 1, 1)
        for variance, mean in zip(variances, (one, other), strict=True)
    )
    t = difference / math.sqrt(total)
    return t, float(2.0 * special.stdtr(freedom, -abs(t)))


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
