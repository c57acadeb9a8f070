"""How losses went on: what the figure and the section of the table of progress show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mcrelu.experiments.base import CELLS, Tables
from mcrelu.experiments.star.curves import Curve, curves_of
from mcrelu.experiments.star.tables import DECILES, PROGRESS, SETTING
from mcrelu.types import Floats, Ints

LOSSES = "losses"  # the figure's name


class Losses(NamedTuple):
    """Relative excess of the losses of a cell over the threshold, loss / threshold - 1."""

    curve: Curve  # that the cell belongs to
    width: int
    epoch: Ints  # (k,) ascending
    excess: Mapping[int, Floats]  # (k,) deciles by percentage; infinite where losses are


def losses_of(tables: Tables) -> list[Losses]:
    """Those of all cells with results, by curve and width; none without a table of progress."""
    if PROGRESS not in tables:
        return []
    progress = tables[PROGRESS]
    columns = {name: progress[name].to_numpy() for name in progress.column_names}
    found = []
    for curve in curves_of(tables[CELLS]):
        own = np.all([columns[name] == curve.setting[name] for name in SETTING], axis=0)
        for width in curve.width:
            rows = own & (columns["width"] == width)
            excess = {q: columns[f"decile_{q}"][rows] - 1.0 for q in DECILES}
            found.append(Losses(curve, width, columns["epoch"][rows], excess))
    return [one for one in found if len(one.epoch)]
