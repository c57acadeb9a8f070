"""The series of a crossing figure: what is drawn, whichever way it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from mcrelu.data import SQUARED, SampleRule
from mcrelu.experiments.crossing.paper import PAPER, STANDARD, Setting
from mcrelu.experiments.crossing.tables import MOST_UNFINISHED, setting_of
from mcrelu.figures.ticks import all_of
from mcrelu.philox import MINIBATCH
from mcrelu.stats.intervals import (
    CHOICE,
    CLOPPER_PEARSON,
    SEQUENCE,
    WILSON,
    shown_interval,
)
from mcrelu.stats.powerlaw import PowerLaw, obstacle
from mcrelu.stats.sequential import SMALL_BIAS, stopping_bias

_INTERVAL_NAMES = {
    WILSON: "Wilson intervals",
    CLOPPER_PEARSON: "Clopper-Pearson intervals",
    SEQUENCE: "confidence sequences",
}
_OPTIMIZERS = {"gd": "GD", "sgd": "SGD", "adam": "Adam"}


@dataclass(frozen=True)
class Series:
    """Estimates over widths at one setting, with what the paper says about it."""

    setting: Setting
    width: list[int]
    estimate: list[float]
    low: list[float]  # 95 % interval
    high: list[float]
    interval: list[str]  # which one: by its name in tables
    k: list[int]  # networks that may cross, of ``networks``
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
    parts = [_OPTIMIZERS.get(setting.optimizer, setting.optimizer)]
    if "early_stopping" in setting.stop:
        parts.append("early stopping")
    if setting.step_rule != "inv_lambda_max":
        parts.append(f"$h = {setting.step_rule.replace('width', 'n')}$")
    if setting.init != "he":
        parts.append(f"{setting.init} variances")
    if setting.leaky_slope:
        parts.append(rf"$\alpha = {setting.leaky_slope:g}$")
    parts += _unlike_the_paper(setting)
    if setting.offset:
        parts.append(rf"$\Delta = {setting.offset:g}$")
    return ", ".join(parts)


def _unlike_the_paper(setting: Setting) -> list[str]:
    """What sets a sweep of the user's own apart."""
    parts = []
    if setting.data != STANDARD:
        parts.append(setting.data)
    if setting.samples != str(SQUARED):
        each = SampleRule(each=True)
        parts.append(setting.samples if setting.samples == str(each) else f"N = {setting.samples}")
    if setting.minibatch != MINIBATCH:
        parts.append(f"minibatches of {setting.minibatch}")
    for name, scale in (("a", setting.input_scale), ("w", setting.output_scale)):
        if scale != 1.0:
            parts.append(f"${name}$ scaled by {scale:g}")
    return parts


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
        shown = [_interval(row) for row in rows]
        found.append(
            Series(
                setting=setting,
                width=[row["width"] for row in rows],
                estimate=[row["estimate"] for row in rows],
                low=[row[f"{name}_low"] for row, name in zip(rows, shown, strict=True)],
                high=[row[f"{name}_high"] for row, name in zip(rows, shown, strict=True)],
                interval=shown,
                k=[row["k_high"] for row in rows],
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
        return f"No power law: {_obstacle(series)}."
    fit = _fit(law)
    if not law.fits:
        return f"No power law: the best, n^({-law.exponent:.3f}), misses the estimates ({fit})."
    so_far = f" So far of {law.points} widths." if series.waiting else ""
    return (
        f"P = {law.amplitude:.3g} n^({-law.exponent:.4f}), 95 % interval of the exponent "
        f"{-law.exponent_high:.4f} .. {-law.exponent_low:.4f} ({fit}).{so_far}"
    )


def _fit(law: PowerLaw) -> str:
    """How well a law fits."""
    if law.p_value is None:
        return "it goes through both points, so nothing tests it"
    degrees = "degree" if law.freedom == 1 else "degrees"
    return (
        f"deviance {law.deviance:.1f} at {law.freedom} {degrees} of freedom, p = {law.p_value:.2g}"
    )


def _obstacle(series: Series) -> str | None:
    """Why there is no law of the widths that may be fitted."""
    places = [k for k in range(len(series.width)) if k not in series.doubtful]
    columns = (series.width, series.k, series.networks)
    return obstacle(*(np.array([column[k] for k in places]) for column in columns))


def doubts(series: Series) -> str:
    """What to know of widths at which training was cut off; empty if there are none."""
    cut = [f"{series.unfinished[k]:.0%} at n = {series.width[k]}" for k in series.doubtful]
    if not cut:
        return ""
    return (
        f"Unfinished at the check cap: {', '.join(cut)}. They count as possibly crossed, and these "
        "widths are left out of the fit; raise checks.maximum."
    )


def interval_sentences(series: Series) -> list[str]:
    """What to know of the intervals and of estimates whose samples ended by theirs."""
    found = [CHOICE] if CLOPPER_PEARSON in series.interval else []
    ended = [k for k, name in zip(series.k, series.interval, strict=True) if name == SEQUENCE]
    bias = stopping_bias(min((k for k in ended if k), default=0))
    if bias > SMALL_BIAS:
        found.append(
            "Samples that end where they are narrow enough tend to give too large estimates, here "
            f"by up to about {bias:.0%}; ask for a smaller relative_width, or for a fixed number "
            "of networks."
        )
    return found


def paper_figure(setting: Setting) -> str | None:
    """``fig5`` or ``fig6`` where the paper has the setting."""
    place = PAPER.series.get(setting)
    return place and place[0]


def interval_names(cells: pa.Table) -> str:
    """What kinds of intervals the series of a table of cells have."""
    used = {_interval(row) for row in cells.to_pylist()}
    return " or ".join(name for kind, name in _INTERVAL_NAMES.items() if kind in used)


def _interval(row: dict[str, Any]) -> str:
    """Only the sequence holds where a sample ended because it was narrow enough."""
    if row.get("relative_width_wanted") is not None:
        return SEQUENCE
    return shown_interval(row["k_high"], row["networks"])


def _published() -> dict[Setting, dict[int, float]]:
    found: dict[Setting, dict[int, float]] = {}
    for (setting, width), point in PAPER.estimates().items():
        found.setdefault(setting, {})[width] = point.estimate
    return found
