"""The numbers that the paper published, and which cells they belong to.

Read off the vector graphics of Holzmueller and Steinwart, "Training Two-Layer ReLU Networks with
Gradient Descent is Inconsistent", JMLR 23(181), 2022. The paper writes m for the width.
"""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import NamedTuple

from mcrelu.errors import UserError


class Setting(NamedTuple):
    """What distinguishes the series of the paper's Figures 5 and 6."""

    offset: float
    optimizer: str
    init: str
    step_rule: str
    stop: str
    leaky_slope: float = 0.0


class Point(NamedTuple):
    """One published estimate."""

    series: str
    width: int
    estimate: float
    networks: int

    @property
    def crossed(self) -> int:
        """Networks counted as possibly crossed."""
        return round(self.estimate * self.networks)


_SUFFICIENT = "crossing+sufficient"
_EARLY = "crossing+early_stopping"

# Figure and series of the paper, by setting.
SERIES = {
    Setting(0.0, "gd", "he", "inv_lambda_max", _SUFFICIENT): ("fig5", "GD"),
    Setting(0.0, "gd", "he", "inv_lambda_max", _EARLY): ("fig5", "GD,ES"),
    Setting(0.0, "sgd", "he", "inv_lambda_max", _EARLY): ("fig5", "SGD,ES"),
    Setting(0.0, "sgd", "he", "0.01/width", _EARLY): ("fig5", "SGD,ES,h=0.01/m"),
    Setting(0.01, "gd", "he", "inv_lambda_max", _SUFFICIENT): ("fig6", "D=0.01"),
    Setting(0.1, "gd", "he", "inv_lambda_max", _SUFFICIENT): ("fig6", "D=0.1"),
}
FIGURES = ("fig5", "fig6")


def all_points() -> dict[tuple[Setting, int], Point]:
    """The published points of all figures, by setting and width."""
    return {key: point for figure in FIGURES for key, point in points(figure).items()}


def points(figure: str) -> dict[tuple[Setting, int], Point]:
    """The published points of a figure, by setting and width.

    Raises
    ------
    UserError
        If the paper's figure is not one that crossing sweeps make.
    """
    if figure not in FIGURES:
        raise UserError(f"paper:{figure}: no such figure; use {' or '.join(FIGURES)}")
    settings = {series: setting for setting, (name, series) in SERIES.items() if name == figure}
    with files(__name__).joinpath("figures.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["figure"].lower() == figure]
    found = {}
    for row in rows:
        point = Point(row["series"], int(row["m"]), float(row["value"]), int(row["n_trials"]))
        found[settings[point.series], point.width] = point
    return found
