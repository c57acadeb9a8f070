"""At which steps the networks of a series were decided: what the figure and the table show."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from mcrelu.experiments.crossing.series import label_of, plain
from mcrelu.experiments.crossing.tables import PERCENTAGES, setting_of
from mcrelu.types import Floats

FATES = "fates"  # the figure's name
KINDS = ("certification_step", "crossing_step")  # column prefixes in the table of cells


class Fates(NamedTuple):
    """Quantiles of steps of one series: by column of the table, over the widths, NaN for none."""

    label: str  # for a legend
    width: list[int]
    steps: dict[str, Floats]

    @property
    def name(self) -> str:
        """The label as plain text."""
        return plain(self.label)


def fates_of(cells: pa.Table) -> list[Fates]:
    """The series of a table of cells in which networks were proved never to cross."""
    names = [f"{prefix}_{level:02}" for prefix in KINDS for level in PERCENTAGES]
    if not set(names) <= set(cells.column_names):
        return []
    by_setting: dict[Any, list[dict[str, Any]]] = {}
    for row in sorted(cells.to_pylist(), key=lambda row: row["width"]):
        if row["locally_converged"]:
            by_setting.setdefault(setting_of(row), []).append(row)
    return [
        Fates(
            label=label_of(setting),
            width=[row["width"] for row in rows],
            steps={name: np.array([row[name] for row in rows], dtype=float) for name in names},
        )
        for setting, rows in by_setting.items()
    ]
