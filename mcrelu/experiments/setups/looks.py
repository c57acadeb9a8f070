"""What optimisers and biases look like: the same in all figures of the experiment."""

from __future__ import annotations

from typing import Any

from mcrelu.experiments.setups.paper import OPTIMIZERS
from mcrelu.figures.style import COLORS, MARKERS

_STYLES = ("-", (0, (4, 1.2)), (0, (1, 1)))


def optimizer_look(optimizer: str) -> dict[str, Any]:
    """Colour and marker of an optimiser."""
    k = list(OPTIMIZERS).index(optimizer)
    return {"color": COLORS[k], "marker": MARKERS[k]}


def line_look(k: int) -> dict[str, Any]:
    """Colour, marker and style of the k-th line: no two of the first eighteen are the same."""
    turn, place = divmod(k, len(COLORS))
    return {
        "color": COLORS[place],
        "marker": MARKERS[(place + turn) % len(MARKERS)],
        "linestyle": _STYLES[turn % len(_STYLES)],
    }
