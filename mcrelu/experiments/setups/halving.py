"""What halving the rates saved, and whether it chose the rates of the whole grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mcrelu.experiments.setups.search import Row, best_of, better_half, by_group, fully_trained


class Halving(NamedTuple):
    """Of all groups of an output that were searched by halving."""

    groups: int
    spent: int  # epochs per network of the coarse grids' rates, over all groups
    whole: int  # epochs that the whole coarse grids take
    compared: int  # groups whose whole grid was trained, too
    agreeing: int  # of them, those where it chose the same rate


def halving_of(rows: Sequence[Row]) -> Halving | None:
    """What can be said from the rows of the cells; None if no group was searched so."""
    found = [one for own in by_group(rows).values() if (one := _of_group(own)) is not None]
    if not found:
        return None
    return Halving(*(sum(parts) for parts in zip(*found, strict=True)))


def _of_group(rows: Sequence[Row]) -> Halving | None:
    epochs = sorted({row["epochs"] for row in rows})
    if len(epochs) == 1 or not all(row["networks"] for row in rows):
        return None
    coarse = {row["learning_rate"] for row in rows if row["epochs"] == epochs[0]}
    tried = [row for row in rows if row["learning_rate"] in coarse]
    chosen, spent = _race(tried, epochs)
    whole = len(coarse) * epochs[-1]
    full = [row for row in fully_trained(rows) if row["learning_rate"] in coarse]
    if len(full) < len(coarse):
        return Halving(1, spent, whole, 0, 0)
    return Halving(1, spent, whole, 1, int(chosen is not None and chosen == best_of(full)))


def _race(tried: Sequence[Row], epochs: Sequence[int]) -> tuple[Row | None, int]:
    """The rate that halving chooses, and the epochs it takes."""
    left = {row["learning_rate"] for row in tried}
    spent, here = 0, list(tried)
    for rung in epochs:
        here = [row for row in tried if row["epochs"] == rung and row["learning_rate"] in left]
        spent += rung * len(here)
        left = {row["learning_rate"] for row in better_half(here)}
    return best_of(here), spent
