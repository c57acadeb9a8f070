"""Numbers that the paper published: read from the table of a room, by what they are estimates of.

Read off the vector graphics of Holzmueller and Steinwart, "Training Two-Layer ReLU Networks with
Gradient Descent is Inconsistent", JMLR 23(181), 2022. The paper writes m for the width.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple, Protocol

from mcrelu.errors import UserError
from mcrelu.experiments.base import Count, Estimate, Point


class PublishedEstimate(NamedTuple):
    """One published estimate."""

    figure: str
    estimate: float
    networks: int

    @property
    def counts(self) -> Count:
        """The counts behind it."""
        return Count(round(self.estimate * self.networks), self.networks)


class Published(Protocol):
    """What of an experiment was published."""

    @property
    def figures(self) -> tuple[str, ...]:
        """The figures and tables that have it."""

    def points(self, figure: str | None = None) -> Mapping[Point, Estimate]:
        """The estimates in one of them, or in all.

        Raises
        ------
        UserError
            If there is no such figure.
        """


@dataclass(frozen=True)
class Paper:
    """The published curves of an experiment."""

    package: str  # that holds published.csv
    series: Mapping[Any, tuple[str, str]]  # figure and series of the paper, by setting
    figures: tuple[str, ...]

    def estimates(self, figure: str | None = None) -> dict[Point, PublishedEstimate]:
        """The published estimates of a figure, or of all, by setting and width.

        Raises
        ------
        UserError
            If there is no such figure.
        """
        require_figure(figure, self.figures)
        wanted = self.figures if figure is None else (figure,)
        found = {}
        for row in self._rows():
            place = row["figure"].lower(), row["series"]
            for setting, where in self.series.items():
                if where == place and place[0] in wanted:
                    estimate = float(row["value"])
                    found[setting, int(row["m"])] = PublishedEstimate(
                        place[0], estimate, int(row["n_trials"])
                    )
        return found

    def points(self, figure: str | None = None) -> dict[Point, Count]:
        """:meth:`estimates` as counts."""
        return {point: one.counts for point, one in self.estimates(figure).items()}

    def _rows(self) -> list[dict[str, str]]:
        return published_rows(self.package)


def published_rows(package: str) -> list[dict[str, str]]:
    """The lines of a room's published.csv, by column."""
    with files(package).joinpath("published.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def require_figure(figure: str | None, known: tuple[str, ...]) -> None:
    """Raise UserError where a figure or table of the paper is asked for that there is not."""
    if figure is not None and figure not in known:
        names = " or ".join(known) or "none: the paper has nothing to compare with"
        raise UserError(f"paper:{figure}: no such figure or table for this experiment; use {names}")
