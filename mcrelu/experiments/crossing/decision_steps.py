"""At which steps the networks of a series were decided: what the figure and the table show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mcrelu.experiments.crossing.series import label_of, plain
from mcrelu.experiments.crossing.tables import (
    CERTIFICATION,
    CROSSING,
    PERCENTAGES,
    percentile_column,
    setting_of,
)
from mcrelu.types import Floats

DECISION_STEPS = "decision_steps"  # the figure's name
_COLUMNS = [percentile_column(k, level) for k in (CERTIFICATION, CROSSING) for level in PERCENTAGES]


class DecisionSteps(NamedTuple):
    """Percentiles of the steps of one series, over the widths; NaN where there are no networks."""

    label: str  # for a legend
    width: list[int]
    steps: dict[str, Floats]  # by column of the table

    @property
    def name(self) -> str:
        """The label as plain text."""
        return plain(self.label)

    def percentile(self, kind: str, level: int) -> Floats:
        """Of CROSSING or CERTIFICATION, over the widths."""
        return self.steps[percentile_column(kind, level)]


def decision_steps_of(cells: pa.Table) -> list[DecisionSteps]:
    """The series of a table of cells in which networks crossed, or were proved never to.

    Their widths are those where some did, and those without results yet.
    """
    if not set(_COLUMNS) <= set(cells.column_names):
        return []
    by_setting: dict[Any, list[dict[str, Any]]] = {}
    for row in sorted(cells.to_pylist(), key=lambda row: row["width"]):
        if _decided(row) or not row["networks"]:
            by_setting.setdefault(setting_of(row), []).append(row)
    return [
        DecisionSteps(
            label=label_of(setting),
            width=[row["width"] for row in rows],
            steps={name: np.array([row[name] for row in rows], dtype=float) for name in _COLUMNS},
        )
        for setting, rows in by_setting.items()
        if any(map(_decided, rows))
    ]


def _decided(row: Mapping[str, Any]) -> bool:
    """Whether any network of a cell has a step at which its fate was decided."""
    return bool(row["locally_converged"] or row["k_low"])
