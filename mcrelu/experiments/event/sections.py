"""What the tables of an event sweep say, for people."""

from __future__ import annotations

from typing import Any

from mcrelu.experiments.base import CELLS, Section, Tables
from mcrelu.experiments.event.conditions import CONDITIONS
from mcrelu.experiments.event.tables import JOINT
from mcrelu.stats.intervals import shown_interval

DRAWING = "event"

MEANINGS = (
    "W2: max |w| <= R n^(eps-1/2). W3: max |a| <= R n^eps. W4: min |a| >= n^(-1-gamma)/R.",
    "On either side: W5: n/2 <= sum a^2 <= 2n. W6: 1/2 <= sum w^2 <= 2. W7: |sum w a| <= R n^eps.",
    "D1: the optimal affine functions are within R N^((eps-1)/2) of those of equal weights.",
    "D2: the eigenvalues of M are within a factor of 2 of those of equal weights.",
    "gamma = 1/4, eps = 1/8, N = n^2, R = rhs_factor.",
)


def sections(tables: Tables) -> list[Section]:
    """Per right-hand side how many networks satisfy each condition, and all of them.

    None if no block is complete yet.
    """
    rows = tables[CELLS].to_pylist()
    if not any(row["networks"] for row in rows):
        return []
    factors = dict.fromkeys(row["rhs_factor"] for row in rows)
    return [
        Section(
            title=f"Networks that satisfy each condition, R = {factor:g}",
            headings=("width", "networks", *CONDITIONS, "all", "P(all)", "95 % interval"),
            rows=tuple(_row(row) for row in rows if row["rhs_factor"] == factor),
            remarks=MEANINGS if k == 0 else (),
            figure=DRAWING,
        )
        for k, factor in enumerate(factors)
    ]


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    counts = [str(row[name]) for name in ("width", "networks", *CONDITIONS, JOINT)]
    if not row["networks"]:
        return (*counts[:2], *[""] * (len(counts)))
    interval = shown_interval(row[JOINT], row["networks"])
    low, high = (row[f"{JOINT}_{interval}_{end}"] for end in ("low", "high"))
    return (*counts, f"{row[f'{JOINT}_estimate']:.4f}", f"{low:.4f} .. {high:.4f}")
