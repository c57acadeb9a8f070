"""What the tables of a crossing sweep say, for people."""

from __future__ import annotations

from math import isnan

import pyarrow as pa

from mcrelu.experiments.base import CELLS, Section, Tables
from mcrelu.experiments.crossing.decision_steps import (
    DECISION_STEPS,
    DecisionSteps,
    decision_steps_of,
)
from mcrelu.experiments.crossing.series import (
    Series,
    doubts,
    interval_sentences,
    label_of,
    law_sentence,
    paper_figure,
    plain,
    series_of,
)
from mcrelu.experiments.crossing.tables import CERTIFICATION, CROSSING, POWER_LAWS, setting_of
from mcrelu.stats.sequential import too_wide

DRAWING = "crossing"

_REASONS = (
    "crossed", "locally_converged", "early_stopped", "a_degenerate", "x_degenerate", "unfinished",
)  # fmt: skip


def sections(tables: Tables) -> list[Section]:
    """A section per series, how and when training ended, and how narrow intervals are if asked."""
    cells = tables[CELLS]
    if not any(cells["networks"].to_pylist()):
        return []
    found = [_estimates(one) for one in series_of(cells, tables[POWER_LAWS])]
    found.append(_endings(cells))
    if decided := decision_steps_of(cells):
        found.append(_decisions(decided))
    if any(wanted is not None for wanted in cells["relative_width_wanted"].to_pylist()):
        found.append(_relative_widths(cells))
    return found


def _estimates(series: Series) -> Section:
    """Estimates of a series with their intervals, beside the published values."""
    paper = paper_figure(series.setting)
    published = dict(zip(series.paper_width, series.paper_estimate, strict=True))
    found = dict.fromkeys(series.waiting, ("0", "", ""))
    for k, width in enumerate(series.width):
        interval = f"{series.low[k]:.4f} .. {series.high[k]:.4f}"
        found[width] = str(series.networks[k]), f"{series.estimate[k]:.4f}", interval
    rows = []
    for width, ours in sorted(found.items()):
        theirs = f"{published[width]:.4f}" if width in published else ""
        rows.append((str(width), *ours, *((theirs,) if paper else ())))
    headings = ("width", "networks", "estimate", "95 % interval")
    return Section(
        title=f"{series.name}: P(a kink may cross a data point)",
        headings=(*headings, f"paper ({paper})") if paper else headings,
        rows=tuple(rows),
        remarks=tuple(
            filter(None, (law_sentence(series), doubts(series), *interval_sentences(series)))
        ),
        figure=DRAWING,
    )


def _endings(cells: pa.Table) -> Section:
    """How many networks of each cell ended in which way."""
    reasons = [reason for reason in _REASONS if any(cells[reason].to_pylist())]
    names = ["width", "networks", *reasons]
    return Section(
        title="How training ended",
        headings=("series", *(name.replace("_", " ") for name in names)),
        rows=tuple(
            (plain(label_of(setting_of(row))), *(str(row[name]) for name in names))
            for row in cells.to_pylist()
        ),
    )


def _decisions(series: list[DecisionSteps]) -> Section:
    """At which steps networks were proved never to cross, and at which the others crossed."""
    kinds = {CERTIFICATION: (50, 95), CROSSING: (5, 50, 95)}
    shown_levels = [(kind, level) for kind, levels in kinds.items() for level in levels]
    rows = []
    for one in series:
        for k, width in enumerate(one.width):
            steps = (one.percentile(kind, level)[k] for kind, level in shown_levels)
            shown = ("" if isnan(step) else f"{step:.0f}" for step in steps)
            rows.append((one.name, str(width), *shown))
    return Section(
        title="Steps at which networks were certified, or crossed (percentiles among those)",
        headings=("series", "width", *(f"{kind} {level} %" for kind, level in shown_levels)),
        rows=tuple(rows),
        figure=DECISION_STEPS,
    )


def _relative_widths(cells: pa.Table) -> Section:
    """How narrow the confidence sequence of each cell is, beside what was asked for."""
    rows = []
    for row in cells.to_pylist():
        relative = row["relative_width"]
        rows.append((
            row["optimizer"],
            f"{row['offset']:g}",
            str(row["width"]),
            str(row["networks"]),
            "" if relative is None else f"{relative:.4f}",
            f"{row['relative_width_wanted']:g}",
            "TOO WIDE" if too_wide(row) else "reached",
        ))  # fmt: skip
    headings = ("optimizer", "offset", "width", "networks", "relative width", "wanted", "verdict")
    return Section("Relative width of the confidence sequences", headings, tuple(rows))
