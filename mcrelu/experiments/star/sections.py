"""What the tables of a star sweep say, for people."""

from __future__ import annotations

from mcrelu.experiments.base import CELLS, Section, Tables
from mcrelu.experiments.star.curves import EVENT_NAMES, Curve, curves_of

DRAWING = "star"


def sections(tables: Tables) -> list[Section]:
    """A section per curve: fractions of networks, beside the published values."""
    if not any(tables[CELLS]["networks"].to_pylist()):
        return []
    return [_fractions(curve) for curve in curves_of(tables[CELLS])]


def _fractions(curve: Curve) -> Section:
    lost = ", ".join(
        f"{k} at n = {n}" for k, n in zip(curve.diverged, curve.width, strict=True) if k
    )
    return Section(
        title=curve.name,
        headings=_headings(curve),
        rows=_rows(curve),
        remarks=(f"Diverged: {lost}.",) if lost else (),
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
    return (*row, "infinite" if median is None else f"{median:.4g}")
