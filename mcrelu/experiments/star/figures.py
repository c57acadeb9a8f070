"""The star figure: how often training left the affine regime, over the width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mcrelu.experiments.base import CELLS, Drawing, Tables
from mcrelu.experiments.star.curves import EVENT_NAMES, Curve, curves_of
from mcrelu.experiments.star.sections import DRAWING
from mcrelu.figures.captions import joined, networks_per_point
from mcrelu.figures.panels import width_axis
from mcrelu.figures.style import COLORS, COLUMN_WIDTH, GREY, MARKERS, PAGE_WIDTH
from mcrelu.figures.ticks import all_of


def drawings(tables: Tables) -> list[Drawing]:
    """The star figure; none if no block is complete yet."""
    curves = [one for one in curves_of(tables[CELLS]) if one.width]
    if not curves:
        return []
    counts = networks_per_point(count for curve in curves for count in curve.networks)
    caption = joined((counts, "bars are 95 % Wilson intervals"))
    return [Drawing(DRAWING, star_figure(curves), caption=caption)]


def star_figure(curves: Sequence[Curve]) -> Figure:
    """Fractions of networks with 95 % intervals, one panel per event, with the paper's points."""
    figure = Figure(figsize=(PAGE_WIDTH, 0.75 * COLUMN_WIDTH), layout="constrained")
    panels = figure.subplots(1, len(EVENT_NAMES), sharey=True)
    for axes, event in zip(panels, EVENT_NAMES, strict=True):
        for k, curve in enumerate(curves):
            _draw(axes, curve, event, COLORS[k % len(COLORS)], MARKERS[k % len(MARKERS)])
        _draw_paper(axes, curves, event)
        _label(axes, curves, event)
    panels[0].set_ylabel("fraction of networks")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 3))
    return figure


def _draw(axes: Axes, curve: Curve, event: str, color: str, marker: str) -> None:
    width, fractions = np.array(curve.width), curve.fractions[event]
    estimate = np.array([one.estimate for one in fractions])
    below = estimate - [one.low for one in fractions]
    above = [one.high for one in fractions] - estimate
    axes.errorbar(
        width, estimate, [below, above], color=color, marker=marker, linewidth=0.9,
        capsize=1.5, elinewidth=0.8, zorder=3, label=_math(curve.name),
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


def _math(name: str) -> str:
    """The formulas of a name as mathematics."""
    pretty = name.replace("λ_max", r"\lambda_{\max}").replace("|θ|²", r"|\theta|^2")
    words, equals, formula = pretty.partition("h = ")
    return f"{words}$h = {formula}$" if equals else pretty
