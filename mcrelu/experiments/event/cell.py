"""Cells of the event experiment: initialisations of one width, judged by one right-hand side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mcrelu.memory import NEURONS_AT_ONCE
from mcrelu.sweep.cell import Cell

ENGINE, SEMANTICS = "direct", 1  # nothing is trained


@dataclass(frozen=True)
class EventCell(Cell):
    """One parameter combination of an event sweep."""

    experiment: ClassVar[str] = "event"

    rhs_factor: float

    def drawn(self) -> dict[str, Any]:
        """The same networks are judged by every right-hand side."""
        return {"experiment": self.experiment, "width": self.width}

    def trained(self) -> dict[str, Any]:
        """What is judged, as nothing is trained."""
        return {**self.drawn(), "rhs_factor": self.rhs_factor}

    def parameters(self) -> dict[str, Any]:
        """Everything that the rows of the cell depend on, except seed and block size."""
        return {**self.trained(), "engine": self.engine, "semantics": self.semantics}

    def memory(self, networks: int) -> int:
        """What is drawn at once, some temporaries of it, and the rows."""
        at_once = min(networks * self.width, max(self.width, NEURONS_AT_ONCE))
        return (6 * at_once + 100 * networks) * np.dtype(np.float64).itemsize

    @property
    def cost(self) -> float:
        """Every neuron is drawn once."""
        return float(self.width)

    @property
    def label(self) -> str:
        """A few words that tell the cell from the others of a sweep."""
        return f"n={self.width} rhs_factor={self.rhs_factor:g}"
