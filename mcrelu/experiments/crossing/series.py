"""The series of a crossing figure: what is drawn, whichever way it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mcrelu.experiments.crossing.paper import PAPER, Setting
from mcrelu.experiments.crossing.tables import MOST_UNFINISHED, setting_of
from mcrelu.figures.ticks import all_of
from mcrelu.stats.powerlaw import PowerLaw

_INTERVAL_NAMES = {"wilson": "Wilson intervals", "sequence": "confidence sequences"}
_OPTIMIZERS = {"gd": "GD", "sgd": "SGD", "adam": "Adam"}


@dataclass(frozen=True)
class Series:
    """Estimates over widths at one setting, with what the paper says about it."""

    setting: Setting
    width: list[int]
    estimate: list[float]
    low: list[float]  # 95 % interval: Wilson's, or the sequence where the sample ended by it
    high: list[float]
    networks: list[int]
    crossed: list[float]  # fraction of networks that did cross
    unfinished: list[float]  # fraction that no criterion stopped
    law: PowerLaw | None
    paper_width: list[int]
    paper_estimate: list[float]
    waiting: list[int] = field(default_factory=list)  # widths without results yet, ascending

    @property
    def sound_law(self) -> PowerLaw | None:
        """The fitted law, if the estimates do follow one."""
        return self.law if self.law is not None and self.law.fits else None

    @property
    def so_far(self) -> str:
        """What a law is marked with while there are widths that it does not know."""
        return " so far" if self.waiting else ""

    @property
    def doubtful(self) -> list[int]:
        """Places of the widths where unfinished networks matter."""
        return [k for k, part in enumerate(self.unfinished) if part > MOST_UNFINISHED]

    @property
    def name(self) -> str:
        """The label as plain text."""
        return plain(self.label)

    @property
    def label(self) -> str:
        """What tells the series from others, in a legend."""
        return label_of(self.setting)


def plain(label: str) -> str:
    """A label without its LaTeX."""
    return label.replace("$", "").replace("\\Delta", "Δ").replace("\\alpha", "leaky slope")


def label_of(setting: Setting) -> str:
    """What tells a series from others, in a legend."""
    parts = [_OPTIMIZERS[setting.optimizer]]
    if "early_stopping" in setting.stop:
        parts.append("early stopping")
    if setting.step_rule != "inv_lambda_max":
        parts.append(f"$h = {setting.step_rule.replace('width', 'n')}$")
    if setting.init != "he":
        parts.append(f"{setting.init} variances")
    if setting.leaky_slope:
        parts.append(rf"$\alpha = {setting.leaky_slope:g}$")
    if setting.offset:
        parts.append(rf"$\Delta = {setting.offset:g}$")
    return ", ".join(parts)


def series_of(cells: pa.Table, laws: pa.Table) -> list[Series]:
    """The series in a table of cells and one of power laws, widths ascending.

    Those without results have no widths but those that are waited for.
    """
    by_setting: dict[Setting, list[dict[str, Any]]] = {}
    for row in sorted(cells.to_pylist(), key=lambda row: row["width"]):
        by_setting.setdefault(setting_of(row), []).append(row)
    fitted = {setting_of(row): row for row in laws.to_pylist()}
    published = _published()
    found = []
    for setting, every in by_setting.items():
        rows = [row for row in every if row["networks"]]
        paper = sorted(published.get(setting, {}).items())
        law = fitted.get(setting)
        found.append(
            Series(
                setting=setting,
                width=[row["width"] for row in rows],
                estimate=[row["estimate"] for row in rows],
                low=[row[f"{_interval(row)}_low"] for row in rows],
                high=[row[f"{_interval(row)}_high"] for row in rows],
                networks=[row["networks"] for row in rows],
                crossed=[row["k_low"] / row["networks"] for row in rows],
                unfinished=[row["unfinished"] / row["networks"] for row in rows],
                law=law and PowerLaw(*(law[field] for field in PowerLaw._fields)),
                paper_width=[width for width, _ in paper],
                paper_estimate=[estimate for _, estimate in paper],
                waiting=[row["width"] for row in every if not row["networks"]],
            )
        )
    return found


def all_widths(series: Sequence[Series]) -> list[int]:
    """The widths of all series and of the paper's points beside them, ascending."""
    return all_of((*one.width, *one.paper_width) for one in series)


def law_sentence(series: Series) -> str:
    """The fitted law in words, or why there is none."""
    law = series.law
    if law is None:
        return "Too few crossings for a power law."
    if not law.fits:
        return (
            f"No power law: the best, n^({-law.exponent:.3f}), misses the estimates by a deviance "
            f"of {law.deviance:.0f} at {law.points - 2} degrees of freedom."
        )
    so_far = f" So far of {law.points} widths." if series.waiting else ""
    return (
        f"P = {law.amplitude:.3f} n^({-law.exponent:.4f}), 95 % interval of the exponent "
        f"{law.exponent_low:.4f} .. {law.exponent_high:.4f}.{so_far}"
    )


def doubts(series: Series) -> str:
    """What to know of widths at which training was cut off; empty if there are none."""
    cut = [f"{series.unfinished[k]:.0%} at n = {series.width[k]}" for k in series.doubtful]
    if not cut:
        return ""
    return (
        f"Unfinished at the check cap: {', '.join(cut)}. They count as possibly crossed, and these "
        "widths are left out of the fit; raise checks.maximum."
    )


def paper_figure(setting: Setting) -> str | None:
    """``fig5`` or ``fig6`` where the paper has the setting."""
    place = PAPER.series.get(setting)
    return place and place[0]


def interval_names(cells: pa.Table) -> str:
    """What kinds of intervals the series of a table of cells have."""
    used = {_interval(row) for row in cells.to_pylist()}
    return " or ".join(name for kind, name in _INTERVAL_NAMES.items() if kind in used)


def _interval(row: dict[str, Any]) -> str:
    """Wilson's interval does not hold where a sample ended because it was narrow enough."""
    return "wilson" if row.get("relative_width_wanted") is None else "sequence"


def _published() -> dict[Setting, dict[int, float]]:
    found: dict[Setting, dict[int, float]] = {}
    for (setting, width), point in PAPER.estimates().items():
        found.setdefault(setting, {})[width] = point.estimate
    return found
