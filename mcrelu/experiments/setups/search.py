"""The search for learning rates: a coarse grid, then a fine one around the best of it.

The rate with the least mean validation RMSE is chosen (Appendix L of the paper). Rates
where a network diverged are never chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

COARSE_RATIO = 2.0**0.5  # of neighbouring rates of the coarse grid
FINE_RATIO = 2.0**0.125

# Where the coarse grids begin, by parametrisation and optimiser.
BASES = {
    ("he", "sgd"): 8e-3,
    ("he", "momentum"): 8e-3,
    ("he", "adam"): 1e-2,
    ("ntk", "sgd"): 8e-1,
    ("ntk", "momentum"): 8e-1,
    ("ntk", "adam"): 8e-2,
}

# Those of the original's earlier grid.
OLDER_BASES = BASES | {
    ("ntk", "sgd"): 4e-1,
    ("ntk", "momentum"): 4e-1,
    ("ntk", "adam"): 1e-2,
}

# What distinguishes a group of cells from others: all but the rate.
GROUP = (
    "data", "parametrization", "optimizer", "bias_init", "bias_gain", "width", "batch",
)  # fmt: skip

CHOSEN_BY = "best_valid_rmse"


def grid(base: float, ratio: float, first: int, last: int) -> list[float]:
    """Rates base ratio^k for k = first .. last; the base itself is among them to the last bit."""
    return [base if k == 0 else base * ratio**k for k in range(first, last + 1)]


def group_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The group of a cell, from its parameters or its row."""
    return tuple(row[name] for name in GROUP)


def best_rows(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """The row with the best rate of each group; none for a group where all rates diverged.

    Of equal values the smaller rate wins.
    """
    best: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for row in rows:
        if row[CHOSEN_BY] is None:
            continue
        group = group_of(row)
        if group not in best or _rank(row) < _rank(best[group]):
            best[group] = row
    return best


def on_edge(row: Mapping[str, Any], rates: Iterable[float]) -> bool:
    """Whether the best rate is the first or the last of those tried: it may lie beyond."""
    tried = list(rates)
    return row["learning_rate"] in (min(tried), max(tried))


def _rank(row: Mapping[str, Any]) -> tuple[float, float]:
    return row[CHOSEN_BY], row["learning_rate"]
