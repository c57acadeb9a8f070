"""What the tables of a star sweep say, for people."""

from __future__ import annotations

from mcrelu.experiments.base import CELLS, Section, Tables
from mcrelu.experiments.star.curves import EVENT_NAMES, Curve, curves_of
from mcrelu.stats.intervals import CHOICE

DRAWING = "star"


def sections(tables: Tables) -> list[Section]:
    """A section per curve: fractions of networks, beside the published values."""
    return [_fractions(curve) for curve in curves_of(tables[CELLS])]


def _fractions(curve: Curve) -> Section:
    lost = ", ".join(
        f"{k} at n = {n}" for k, n in zip(curve.diverged, curve.width, strict=True) if k
    )
    return Section(
        title=curve.name,
        headings=_headings(curve),
        rows=tuple(_row(curve, k) for k in range(len(curve.width))),
        remarks=((f"Diverged: {lost}.",) if lost else ()) + ((CHOICE,) if curve.has_few else ()),
        figure=DRAWING,
    )


def _headings(curve: Curve) -> tuple[str, ...]:
    paper = ("paper (fig8)",) if curve.in_paper else ()
    return (
        "width", "networks", "kink change", "95 % interval", *paper, "loss crossing",
        "95 % interval", *paper, "median loss / threshold",
    )  # fmt: skip


def _row(curve: Curve, k: int) -> tuple[str, ...]:
    row = [str(curve.width[k]), str(curve.networks[k])]
    for event in EVENT_NAMES:
        one = curve.fractions[event][k]
        row += [f"{one.estimate:.3f}", f"{one.low:.3f} .. {one.high:.3f}"]
        if curve.in_paper:
            row.append("" if one.paper is None else f"{one.paper:.3f}")
    median = curve.relative_loss[k]
    return (*row, "infinite" if median is None else f"{median:.4g}")
