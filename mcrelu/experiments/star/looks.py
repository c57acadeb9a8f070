"""What curves look like: the same in all figures of the experiment."""

from __future__ import annotations

from typing import Any

from mcrelu.figures.style import COLORS, MARKERS

_STYLES = ("-", (0, (4, 1.2)), (0, (1, 1)), (0, (5, 1, 1, 1)))
_THIN, _STEP = 0.9, 0.4  # points: each curve is thicker than those that are drawn over it


def curve_look(k: int, curves: int) -> dict[str, Any]:
    """Colour, marker, style and width of the k-th of some curves, drawn in their order."""
    return {
        "color": COLORS[k % len(COLORS)],
        "marker": MARKERS[k % len(MARKERS)],
        "linestyle": _STYLES[k % len(_STYLES)],
        "linewidth": _THIN + _STEP * min(curves - 1 - k, 3),
    }
