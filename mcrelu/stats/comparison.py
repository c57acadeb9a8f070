"""Do two sets of estimates agree? Two-proportion z-tests, Holm-corrected over all points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from scipy import special

from mcrelu.errors import UserError
from mcrelu.published import Key, Setting, StarSetting, all_points, points
from mcrelu.types import Bools, Floats

LEVEL = 0.01  # of the whole comparison

S = TypeVar("S", Setting, StarSetting)


class Count(NamedTuple):
    """k of n networks counted as possibly crossed."""

    k: int
    n: int


def compare(ours: Mapping[Key, Count], theirs: Mapping[Key, Count]) -> pa.Table:
    """Compare the points that both have; one row each, ``agrees`` by Holm's procedure at LEVEL.

    Raises
    ------
    UserError
        If they have no point in common.
    """
    common = [key for key in ours if key in theirs and ours[key].n and theirs[key].n]
    if not common:
        raise UserError("nothing to compare: no setting and width in common with a result on both")
    k1, n1 = np.array([ours[key] for key in common], dtype=float).T
    k2, n2 = np.array([theirs[key] for key in common], dtype=float).T
    z = z_scores(k1, n1, k2, n2)
    p = p_values(z)
    columns: dict[str, Any] = {
        **{name: [getattr(key[0], name) for key in common] for name in common[0][0]._fields},
        "width": [key[1] for key in common],
        "estimate": k1 / n1,
        "networks": n1.astype(int),
        "other_estimate": k2 / n2,
        "other_networks": n2.astype(int),
        "z": z,
        "p": p,
        "agrees": ~holm_rejections(p),
    }
    return pa.table(columns)


def published_counts(figure: str | None = None) -> dict[Key, Count]:
    """The paper's counts in a figure, or in all."""
    found = all_points() if figure is None else points(figure)
    return {key: Count(point.crossed, point.networks) for key, point in found.items()}


def counts_of(cells: pa.Table) -> dict[Key, Count]:
    """The counts in a table of cells of either experiment."""
    rows = cells.to_pylist()
    if "kink_k" not in cells.column_names:
        return {
            (_setting(Setting, row), row["width"]): Count(row["k_high"], row["networks"])
            for row in rows
        }
    return {
        (_setting(StarSetting, row | {"event": event}), row["width"]): Count(
            row[f"{event}_k"], row["networks"]
        )
        for event in ("kink", "loss")
        for row in rows
    }


def pool(tables: Iterable[pa.Table]) -> pa.Table:
    """The cells of several outputs as one table.

    Raises
    ------
    UserError
        If two of them have the same point, or they are of different experiments.
    """
    parts = list(tables)
    if any(part.schema.names != parts[0].schema.names for part in parts):
        raise UserError("the outputs are of different experiments; give outputs of one")
    together = pa.concat_tables(parts)
    kind = StarSetting if "kink_k" in together.column_names else Setting
    columns = [name for name in (*kind._fields, "width") if name != "event"]
    points_there = together.select(columns).to_pylist()
    for k, point in enumerate(points_there):
        if point in points_there[:k]:
            shown = ", ".join(f"{name} {value}" for name, value in point.items())
            raise UserError(f"{shown} is in two of the outputs; give outputs without common cells")
    return together


def _setting(kind: type[S], row: Mapping[str, Any]) -> S:
    return kind(*(row[name] for name in kind._fields))


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
