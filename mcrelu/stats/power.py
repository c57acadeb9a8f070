"""What a comparison of two proportions can see: the power of its tests, by normal approximation.

Glossary
--------
p : the true proportion, of one side
d : difference of the proportions of both sides
n, m : number of networks of ours, and of theirs
level : of a two-sided test
power : probability that it sees the difference
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from scipy import special

from mcrelu.experiments.base import Section
from mcrelu.stats.comparison import LEVEL

POWER = 0.9
_ASSUMPTIONS = (
    f"Seen with a probability of {POWER:.0%}, by tests at {LEVEL:.0%} over all points. The true "
    "proportion is taken to be the pooled one."
)


def visible_difference(p: float, n: int, m: int, level: float, power: float = POWER) -> float:
    """The d that is seen with a probability of ``power``: (z_level + z_power) standard errors."""
    return _quantiles(level, power) * math.sqrt(_variance(p) * (1.0 / n + 1.0 / m))


def networks_for(p: float, d: float, n: int, level: float, power: float = POWER) -> int | None:
    """The m that shows a difference ``d`` beside n networks of ours; None if none does."""
    left = (d / _quantiles(level, power)) ** 2 / _variance(p) - 1.0 / n
    return math.ceil(1.0 / left) if left > 0.0 else None


def power_section(comparison: pa.Table, differences: Iterable[float]) -> Section:
    """What the points of a comparison can see, and what it takes to see ``differences``."""
    rows = comparison.to_pylist()
    names = comparison.column_names
    abscissa = names[names.index("estimate") - 1]
    level = LEVEL / len(rows)  # Holm's first step
    wanted = list(differences)
    return Section(
        "What this comparison can see",
        (
            abscissa,
            "networks",
            "independent",
            "difference seen",
            *(f"for {d:g}" for d in wanted),
        ),
        tuple(
            (
                str(row[abscissa]),
                str(row["networks"]),
                str(row["other_networks"]),
                _difference(visible_difference(*_sides(row), row["other_networks"], level)),
                *(_count(networks_for(_sides(row)[0], d, _sides(row)[1], level)) for d in wanted),
            )
            for row in rows
        ),
        (_ASSUMPTIONS,),
    )


def _sides(row: dict[str, Any]) -> tuple[float, int]:
    """The pooled proportion, and our number of networks."""
    n, m = row["networks"], row["other_networks"]
    return (n * row["estimate"] + m * row["other_estimate"]) / (n + m), n


def _difference(d: float) -> str:
    return "none" if d >= 1.0 else f"{d:.3f}"


def _count(networks: int | None) -> str:
    return "needs more of ours" if networks is None else str(networks)


def _variance(p: float) -> float:
    """Of one network; of none that is certain, as if one in a thousand differed."""
    within = min(max(p, 1e-3), 1.0 - 1e-3)
    return within * (1.0 - within)


def _quantiles(level: float, power: float) -> float:
    return float(special.ndtri(1.0 - level / 2.0) + special.ndtri(power))
