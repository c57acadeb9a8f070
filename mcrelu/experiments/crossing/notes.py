"""What to know of a cell of a crossing sweep before it runs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mcrelu.experiments.crossing.cell import CrossingCell
from mcrelu.experiments.crossing.stopping import Sufficient
from mcrelu.theory.sigma import point_sides

# Of the networks that cross one in twenty does so after more than this times n steps
# (docs/method.md 1), and certificates of the forms sharp and published take as long.
LATE = 100

NEGLIGIBLE = 1e-3  # an intercept, in units of the range of the targets


def notes_on(cell: CrossingCell) -> Iterator[str]:
    """A sentence for each condition that is not met, and what follows."""
    yield from _few_points(cell)
    yield from _lines_miss_the_origin(cell)
    yield from _checks_end_early(cell)


def _few_points(cell: CrossingCell) -> Iterator[str]:
    """The theory has two distinct points on either side, so that M is regular."""
    sides = point_sides(np.unique(cell.point_set().x)).sum(axis=1)
    for side, count in zip(("right", "left"), sides, strict=True):
        if count < 2:
            shown = "no point" if count == 0 else "one distinct point"
            follows = "so nothing is proved"
            if any(isinstance(criterion, Sufficient) for criterion in cell.criteria):
                follows += (
                    ": networks that do not cross before the first check end as x_degenerate, "
                    "and count as possibly crossed"
                )
            yield f"data has {shown} {side} of zero; the theory needs two on either side, {follows}"


def _lines_miss_the_origin(cell: CrossingCell) -> Iterator[str]:
    """In the theorem biases have next to nothing to learn; the offsets of Figure 6 break that."""
    if cell.points is None:
        return
    x, y = cell.point_set()
    sides = [(x[side], y[side]) for side in point_sides(x)]
    if any(len(np.unique(own)) < 2 for own, _ in sides):
        return
    right, left = (float(np.polyfit(own, targets, 1)[1]) for own, targets in sides)
    if max(abs(right), abs(left)) > NEGLIGIBLE * np.ptp(y):
        yield (
            f"the best lines right and left of zero have intercepts {right:.3g} and {left:.3g}: "
            "networks learn those by moving kinks, so crossings may get more frequent with the "
            "width; move the data so that both lines meet at (0, 0) for the setting of the theorem"
        )


def _checks_end_early(cell: CrossingCell) -> Iterator[str]:
    if cell.rarely_crosses and cell.checks.last < LATE * cell.width:
        yield (
            f"checks end at step {cell.checks.last}, and at width {cell.width} about one in twenty "
            f"of the networks that cross takes more than {LATE} n = {LATE * cell.width} steps; "
            "raise checks.maximum, or they stay unfinished and count as possibly crossed"
        )
