"""The search for learning rates: a coarse grid, then a fine one around the best of it.

The rate with the least mean validation RMSE is chosen (Appendix L of the paper). Rates where a
network diverged are never chosen.

By halving (Karnin, Koren and Somekh 2013), all rates of the coarse grid are trained for an eighth
of the epochs, the better half of them for a quarter, and so on: a few for all epochs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isclose
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

HALVINGS = 3

# What distinguishes a group of cells from others: all but the rate and the epochs.
GROUP = (
    "data", "parametrization", "optimizer", "bias_init", "bias_gain", "width", "batch",
)  # fmt: skip

CHOSEN_BY = "best_valid_rmse"

Row = Mapping[str, Any]  # of the cell table
Group = tuple[Any, ...]


def grid(base: float, ratio: float, first: int, last: int) -> list[float]:
    """Rates base ratio^k for k = first .. last; the base itself is among them to the last bit."""
    return [base if k == 0 else base * ratio**k for k in range(first, last + 1)]


def nearest_equal(rate: float, known: Iterable[float]) -> float:
    """The one of some known rates that a rate equals but for rounding; else itself."""
    return next((one for one in known if isclose(one, rate, rel_tol=1e-9)), rate)


def rungs(epochs: int) -> list[int]:
    """For how many epochs rates are trained in halving, ascending; the last is for all."""
    return [max(1, epochs >> k) for k in range(HALVINGS, 0, -1)] + [epochs]


def group_of(row: Row) -> Group:
    """The group of a cell, from its parameters or its row."""
    return tuple(row[name] for name in GROUP)


def by_group(rows: Iterable[Row]) -> dict[Group, list[Row]]:
    """The rows of each group."""
    groups: dict[Group, list[Row]] = {}
    for row in rows:
        groups.setdefault(group_of(row), []).append(row)
    return groups


def best_of(rows: Iterable[Row]) -> Row | None:
    """The row with the best rate; of equal ones the smaller rate. None if all diverged."""
    return min((row for row in rows if row[CHOSEN_BY] is not None), key=_rank, default=None)


def better_half(rows: Sequence[Row]) -> list[Row]:
    """Those with the better rates, the best first; those that diverged are not among them."""
    ranked = sorted((row for row in rows if row[CHOSEN_BY] is not None), key=_rank)
    return ranked[: (len(rows) + 1) // 2]


def fully_trained(rows: Sequence[Row]) -> list[Row]:
    """The rows with results at the most epochs that have any: others are steps of a halving."""
    done = [row for row in rows if row["networks"]]
    most = max((row["epochs"] for row in done), default=0)
    return [row for row in done if row["epochs"] == most]


def best_rows(rows: Iterable[Row]) -> dict[Group, Row]:
    """The row with the best rate of each group; none of a group where all rates diverged."""
    found = {group: best_of(fully_trained(own)) for group, own in by_group(rows).items()}
    return {group: row for group, row in found.items() if row is not None}


def on_edge(row: Row, rates: Iterable[float]) -> bool:
    """Whether the best rate is the first or the last of those tried: it may lie beyond."""
    tried = list(rates)
    return row["learning_rate"] in (min(tried), max(tried))


def _rank(row: Row) -> tuple[float, float]:
    return row[CHOSEN_BY], row["learning_rate"]
