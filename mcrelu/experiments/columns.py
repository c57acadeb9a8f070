"""What columns of rows and tables mean: a line each, from which docs/reference.md is made.

Meanings stand beside the schemas rather than in them: metadata of fields would be part of shards.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple


class Column(NamedTuple):
    """What a column means, when it is null, and its unit; none if it is a name or has none."""

    meaning: str
    unit: str = ""


Columns = Mapping[str, Column]

Codes = Mapping[str, Mapping[IntEnum, str]]  # by column, what its values mean

NETWORK: Columns = {
    "cell": Column("id of the cell, as in `cells.json`"),
    "block": Column("index of the block in the cell"),
    "network": Column("index of the network in the cell"),
}


def interval_columns(prefix: str, fraction: str) -> dict[str, Column]:
    """Those of Wilson's and Clopper and Pearson's intervals of a fraction, at 95 %."""
    return {
        f"{prefix}{name}_{end}": Column(f"{which} end of {whose} interval of {fraction}, at 95 %")
        for name, whose in (("wilson", "Wilson's"), ("clopper_pearson", "Clopper and Pearson's"))
        for end, which in (("low", "lower"), ("high", "upper"))
    }
