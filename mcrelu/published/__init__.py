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


class StarSetting(NamedTuple):
    """What distinguishes the series of star sweeps; the paper's Figure 8 has two."""

    event: str  # "kink": a pattern changed; "loss": the loss fell below the threshold
    data: str
    depth: int
    activation: str
    step_rule: str
    step_factor: float
    random_bias: bool


AnySetting = Setting | StarSetting
Key = tuple[AnySetting, int]  # setting and width


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
SERIES: dict[AnySetting, tuple[str, str]] = {
    Setting(0.0, "gd", "he", "inv_lambda_max", _SUFFICIENT): ("fig5", "GD"),
    Setting(0.0, "gd", "he", "inv_lambda_max", _EARLY): ("fig5", "GD,ES"),
    Setting(0.0, "sgd", "he", "inv_lambda_max", _EARLY): ("fig5", "SGD,ES"),
    Setting(0.0, "sgd", "he", "0.01/width", _EARLY): ("fig5", "SGD,ES,h=0.01/m"),
    Setting(0.01, "gd", "he", "inv_lambda_max", _SUFFICIENT): ("fig6", "D=0.01"),
    Setting(0.1, "gd", "he", "inv_lambda_max", _SUFFICIENT): ("fig6", "D=0.1"),
}
# The code behind Figure 8 applied each step twice, and its step was not the one that the paper
# states (docs/method.md), so its points are held against every combination of both.
_FIG8_STEPS = [(rule, factor) for rule in ("inv_lambda_max", "published") for factor in (1.0, 2.0)]
_FIG8_SERIES = {"kink": "kink", "loss": "mse"}
SERIES |= {
    StarSetting(event, "star-11", 1, "relu", rule, factor, random_bias=False): ("fig8", series)
    for event, series in _FIG8_SERIES.items()
    for rule, factor in _FIG8_STEPS
}
FIGURES = ("fig5", "fig6", "fig8")


def all_points() -> dict[Key, Point]:
    """The published points of all figures, by setting and width."""
    return {key: point for figure in FIGURES for key, point in points(figure).items()}


def points(figure: str) -> dict[Key, Point]:
    """The published points of a figure, by setting and width.

    Raises
    ------
    UserError
        If there is no such figure of the paper here.
    """
    if figure not in FIGURES:
        raise UserError(f"paper:{figure}: no such figure; use {' or '.join(FIGURES)}")
    with files(__name__).joinpath("figures.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["figure"].lower() == figure]
    found = {}
    for row in rows:
        point = Point(row["series"], int(row["m"]), float(row["value"]), int(row["n_trials"]))
        for setting, place in SERIES.items():
            if place == (figure, point.series):
                found[setting, point.width] = point
    return found
