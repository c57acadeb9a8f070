"""What the tables of a star sweep say, for people."""

from __future__ import annotations

import numpy as np

from mcrelu.experiments.base import CELLS, Section, Tables
from mcrelu.experiments.star.curves import EVENT_NAMES, Curve, curves_of
from mcrelu.experiments.star.losses import LOSSES, Losses, losses_of
from mcrelu.stats.intervals import CHOICE

DRAWING = "star"


def sections(tables: Tables) -> list[Section]:
    """A section per curve: fractions of networks, beside the published values."""
    if not any(tables[CELLS]["networks"].to_pylist()):
        return []
    curves = curves_of(tables[CELLS])
    found = [_fractions(curve) for curve in curves]
    if losses := losses_of(tables):
        found.append(_losses(losses))
    return [*found, _endings(curves)]


def _losses(losses: list[Losses]) -> Section:
    """How far losses are from the threshold after the last epoch."""
    rows = tuple(
        (
            one.curve.name,
            str(one.width),
            str(one.epoch[-1]),
            *(_loss(one.excess[level][-1], "+.2g") for level in (10, 50, 90)),
        )
        for one in losses
    )
    headings = ("curve", "width", "epoch", "10 %", "median", "90 %")
    title = "Loss / threshold - 1 (percentiles of networks)"
    return Section(title, headings, rows, figure=LOSSES)


def _endings(curves: list[Curve]) -> Section:
    """How many networks of each cell were trained to their last epoch, and diverged."""
    rows = []
    for curve in curves:
        counts = dict.fromkeys(curve.waiting, (0, 0))
        both = zip(curve.networks, curve.diverged, strict=True)
        counts |= dict(zip(curve.width, both, strict=True))
        rows += [
            (curve.name, str(width), str(networks), str(networks - lost), str(lost))
            for width, (networks, lost) in sorted(counts.items())
        ]
    headings = ("curve", "width", "networks", "finite loss", "diverged")
    return Section("How training ended", headings, tuple(rows))


def _fractions(curve: Curve) -> Section:
    lost = ", ".join(
        f"{k} at n = {n}" for k, n in zip(curve.diverged, curve.width, strict=True) if k
    )
    return Section(
        title=curve.name,
        headings=_headings(curve),
        rows=_rows(curve),
        remarks=((f"Diverged: {lost}.",) if lost else ()) + ((CHOICE,) if curve.has_few else ()),
        figure=DRAWING,
    )


def _headings(curve: Curve) -> tuple[str, ...]:
    paper = ("paper (fig8)",) if curve.in_paper else ()
    return (
        "width", "networks", "kink change", "95 % interval", *paper, "loss crossing",
        "95 % interval", *paper, "median loss / threshold",
    )  # fmt: skip


def _rows(curve: Curve) -> tuple[tuple[str, ...], ...]:
    """A row per width, those without results too."""
    empty = ("",) * (len(_headings(curve)) - 2)
    found = {width: (str(width), "0", *empty) for width in curve.waiting}
    found |= {width: _row(curve, k) for k, width in enumerate(curve.width)}
    return tuple(row for _, row in sorted(found.items()))


def _row(curve: Curve, k: int) -> tuple[str, ...]:
    row = [str(curve.width[k]), str(curve.networks[k])]
    for event in EVENT_NAMES:
        one = curve.fractions[event][k]
        row += [f"{one.estimate:.3f}", f"{one.low:.3f} .. {one.high:.3f}"]
        if curve.in_paper:
            row.append("" if one.paper is None else f"{one.paper:.3f}")
    median = curve.relative_loss[k]
    return (*row, _loss(np.inf if median is None else median))


def _loss(relative: float, digits: str = ".4g") -> str:
    return f"{relative:{digits}}" if np.isfinite(relative) else "infinite"
