"""The curves of a star figure: what is drawn and tabulated, whichever way it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mcrelu.experiments.star.paper import PAPER, Setting
from mcrelu.experiments.star.tables import SETTING
from mcrelu.stats.intervals import CLOPPER_PEARSON, shown_interval

EVENT_NAMES = {
    "kink": "an activation pattern changed",
    "loss": "the loss fell below the affine threshold",
}


@dataclass(frozen=True)
class Fraction:
    """A fraction of networks with its 95 % interval, and what the paper has."""

    estimate: float
    low: float
    high: float
    interval: str  # which one: by its name in tables
    paper: float | None


@dataclass(frozen=True)
class Curve:
    """One setting over the widths, ascending."""

    setting: dict[str, Any]  # by the names in SETTING
    width: list[int]
    networks: list[int]
    fractions: dict[str, list[Fraction]]  # by event
    relative_loss: list[float | None]  # median over networks of final loss over threshold
    diverged: list[int]
    waiting: list[int]  # widths without results yet, ascending

    @property
    def name(self) -> str:
        """What tells the curve from others, as plain text."""
        setting = self.setting
        parts = [setting["data"]]
        if setting["depth"] != 1:
            parts.append(f"{setting['depth']} hidden layers")
        if setting["activation"] != "relu":
            parts.append(setting["activation"])
        if setting["random_bias"]:
            parts.append("random biases")
        return ", ".join([*parts, self.step])

    @property
    def formula(self) -> str:
        """The same for a legend, with its formula as mathematics."""
        pretty = self.name.replace("λ_max", r"\lambda_{\max}").replace("|θ|²", r"|\theta|^2")
        words, _, formula = pretty.partition("h = ")
        return f"{words}$h = {formula}$"

    @property
    def step(self) -> str:
        """The step size as a formula."""
        factor, rule = self.setting["step_factor"], self.setting["step_rule"]
        return f"h = {factor:g}/{'λ_max' if rule == 'inv_lambda_max' else '|θ|²'}"

    @property
    def has_few(self) -> bool:
        """Whether so few networks are in an event, or not in it, that Wilson's interval fails."""
        some = (one for part in self.fractions.values() for one in part)
        return any(one.interval == CLOPPER_PEARSON for one in some)

    @property
    def in_paper(self) -> bool:
        """Whether the paper has any of its points."""
        return any(one.paper is not None for part in self.fractions.values() for one in part)


def curves_of(cells: pa.Table) -> list[Curve]:
    """The curves in a table of cells; without results they have no widths but those waited for."""
    by_setting: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in sorted(cells.to_pylist(), key=lambda row: row["width"]):
        by_setting.setdefault(tuple(row[name] for name in SETTING), []).append(row)
    published = PAPER.estimates()

    def fraction(event: str, row: dict[str, Any]) -> Fraction:
        setting = Setting(event, *(row[name] for name in SETTING))
        paper = published.get((setting, row["width"]))
        interval = shown_interval(row[f"{event}_k"], row["networks"])
        return Fraction(
            estimate=row[f"{event}_estimate"],
            low=row[f"{event}_{interval}_low"],
            high=row[f"{event}_{interval}_high"],
            interval=interval,
            paper=paper and paper.estimate,
        )

    def curve(setting: tuple[Any, ...], every: list[dict[str, Any]]) -> Curve:
        rows = [row for row in every if row["networks"]]
        return Curve(
            setting=dict(zip(SETTING, setting, strict=True)),
            width=[row["width"] for row in rows],
            networks=[row["networks"] for row in rows],
            fractions={event: [fraction(event, row) for row in rows] for event in EVENT_NAMES},
            relative_loss=[row["relative_loss"] for row in rows],
            diverged=[row["diverged"] for row in rows],
            waiting=[row["width"] for row in every if not row["networks"]],
        )

    return [curve(setting, every) for setting, every in by_setting.items()]
