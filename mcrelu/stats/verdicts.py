"""What a comparison says, for people."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from mcrelu.experiments.base import Section
from mcrelu.stats.comparison import LEVEL, MCNEMAR, PAIRED_T


def comparison_section(comparison: pa.Table, other: str, unfinished: str | None = None) -> Section:
    """Points compared with another side, the verdict of each, and of all together.

    Parameters
    ----------
    comparison : as :func:`mcrelu.stats.comparison.compare` returns it
    other : what the other side is called
    unfinished : what of the outputs is missing, if anything is
    """
    names = comparison.column_names
    *setting, abscissa = names[: names.index("estimate")]
    varies = [name for name in setting if len(set(comparison[name].to_pylist())) > 1]
    headings = [
        *varies,
        abscissa,
        "estimate",
        "networks",
        other,
        "networks",
        "test",
        "z",
        "p",
        "verdict",
    ]
    rows = [
        (
            *(_shown(row[name]) for name in varies),
            str(row[abscissa]),
            f"{row['estimate']:.4f}",
            str(row["networks"]),
            f"{row['other_estimate']:.4f}",
            str(row["other_networks"]),
            row["test"],
            f"{row['z']:+.2f}",
            f"{row['p']:.3g}",
            "agrees" if row["agrees"] else "DIFFERS",
        )
        for row in comparison.to_pylist()
    ]
    agreeing = sum(comparison["agrees"].to_pylist())
    remarks = [f"{agreeing} of {len(rows)} points agree (Holm-corrected at {LEVEL:.0%})."]
    if set(comparison["test"].to_pylist()) & {MCNEMAR, PAIRED_T}:
        remarks.append(
            "Both sides have the same networks (same seed): these are compared one by one, and "
            "their agreement is no independent evidence."
        )
    if unfinished:
        remarks.append(f"{unfinished.capitalize()}: points without results are not compared.")
    same = ", ".join(
        f"{name} {_shown(comparison[name][0].as_py())}" for name in setting if name not in varies
    )
    if same:
        remarks.append(f"All points: {same}.")
    return Section(f"Comparison with {other}", tuple(headings), tuple(rows), tuple(remarks))


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
