"""The star figure: how often training left the affine regime, over the width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcrelu.errors import UserError
from mcrelu.experiments.base import CELLS, Drawing, Tables
from mcrelu.experiments.star.curves import EVENT_NAMES, Curve, curves_of
from mcrelu.experiments.star.looks import curve_look
from mcrelu.experiments.star.loss_figure import loss_figure
from mcrelu.experiments.star.losses import LOSSES, losses_of
from mcrelu.experiments.star.sections import DRAWING
from mcrelu.figures.captions import joined, networks_per_point
from mcrelu.figures.panels import dodges, legend_once, width_axis
from mcrelu.figures.style import COLUMN_WIDTH, GREY, PAGE_WIDTH
from mcrelu.figures.ticks import all_of


def drawings(tables: Tables) -> list[Drawing]:
    """The star figure, and losses where the table of progress is there.

    None if no block is complete yet.
    """
    curves = [one for one in curves_of(tables[CELLS]) if one.width]
    if not curves:
        return []
    counts = networks_per_point(count for curve in curves for count in curve.networks)
    aside = "curves are drawn side by side" if any(_dodges_of(curves)) else None
    few = " or Clopper-Pearson" if any(curve.has_few for curve in curves) else ""
    caption = joined((counts, f"bars are 95 % Wilson{few} intervals", aside))
    found = [Drawing(DRAWING, star_figure(curves), caption=caption)]
    if losses := losses_of(tables):
        counts = counts.replace("point", "line")
        bands = "bands are between deciles, the outermost from 10 to 90 %"
        found.append(Drawing(LOSSES, loss_figure(losses), caption=joined((counts, bands))))
    return found


def star_figure(curves: Sequence[Curve]) -> Figure:
    """Fractions of networks with 95 % intervals, one panel per event, with the paper's points."""
    figure = Figure(figsize=(PAGE_WIDTH, 0.75 * COLUMN_WIDTH), layout="constrained")
    panels = figure.subplots(1, len(EVENT_NAMES), sharey=True)
    for axes, event in zip(panels, EVENT_NAMES, strict=True):
        _draw_event(axes, curves, event)
    panels[0].set_ylabel("fraction of networks")
    legend_once(figure, "lower", 3, first=[curve.formula for curve in curves])
    return figure


def plot(tables: Tables, axes: Axes, event: str = "kink") -> None:
    """One panel of the star figure on other axes; ``event`` is kink or loss."""
    if event not in EVENT_NAMES:
        raise UserError(f"event = {event!r}: must be {' or '.join(EVENT_NAMES)}")
    _draw_event(axes, [one for one in curves_of(tables[CELLS]) if one.width], event)
    axes.set_ylabel("fraction of networks")
    axes.legend()


def _draw_event(axes: Axes, curves: Sequence[Curve], event: str) -> None:
    for k, (curve, dodge) in enumerate(zip(curves, _dodges_of(curves), strict=True)):
        _draw(axes, curve, event, 2.0**dodge, curve_look(k, len(curves)))
    _draw_paper(axes, curves, event)
    _label(axes, curves, event)


def _dodges_of(curves: Sequence[Curve]) -> list[float]:
    widths = [curve.width for curve in curves]
    return dodges(widths, all_of(widths))


def _draw(axes: Axes, curve: Curve, event: str, dodge: float, look: Mapping[str, Any]) -> None:
    width, fractions = dodge * np.array(curve.width), curve.fractions[event]
    estimate = np.array([one.estimate for one in fractions])
    below = estimate - [one.low for one in fractions]
    above = [one.high for one in fractions] - estimate
    axes.errorbar(
        width, estimate, [below, above], **look, capsize=1.5, elinewidth=0.8, zorder=3,
        label=curve.formula,
    )  # fmt: skip


def _draw_paper(axes: Axes, curves: Sequence[Curve], event: str) -> None:
    """The published points once: they are the same whatever step they are held against."""
    points = {
        width: one.paper
        for curve in curves
        for width, one in zip(curve.width, curve.fractions[event], strict=True)
        if one.paper is not None
    }
    if points:
        axes.plot(
            list(points), list(points.values()), linestyle="none", marker="o", markersize=6.5,
            markerfacecolor="none", markeredgecolor=GREY, label="paper", zorder=4,
        )  # fmt: skip


def _label(axes: Axes, curves: Sequence[Curve], event: str) -> None:
    widths = all_of(curve.width for curve in curves)
    width_axis(axes, widths, "width $n$ (neurons per hidden layer)")
    axes.set_ylim(-0.04, 1.04)
    axes.set_title(EVENT_NAMES[event], fontsize=8)
