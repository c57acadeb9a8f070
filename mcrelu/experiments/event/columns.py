"""What the columns of the event experiment mean."""

from __future__ import annotations

from mcrelu.experiments.base import CELLS
from mcrelu.experiments.columns import NETWORK, Column, Columns, interval_columns
from mcrelu.experiments.event.conditions import CONDITIONS
from mcrelu.experiments.event.tables import COUNTED, JOINT

_WIDTH = Column("hidden neurons n")
_FACTOR = Column("factor R of the right-hand sides")
_SUMS = {"aa": "a²", "ww": "w²", "wa": "w a"}
_SIDES = {"right": "a > 0", "left": "a < 0"}

ROWS: Columns = {
    **NETWORK,
    "width": _WIDTH,
    "rhs_factor": _FACTOR,
    **{name: Column(f"whether condition {name} holds") for name in CONDITIONS},
    "max_w": Column("largest |w|"),
    "max_a": Column("largest |a|"),
    "min_a": Column("smallest |a|"),
    **{
        f"{name}_{side}": Column(f"Σ {what} over the neurons with {which}")
        for name, what in _SUMS.items()
        for side, which in _SIDES.items()
    },
    "shift": Column("largest difference of a coefficient of v_opt from v_ref"),
    "lowest": Column("smallest eigenvalue of M, of both sides"),
    "highest": Column("largest eigenvalue of M"),
}


def _which(name: str) -> str:
    return "all conditions hold" if name == JOINT else f"{name} holds"


def _fraction(name: str) -> dict[str, Column]:
    return {
        f"{name}_estimate": Column(f"fraction for which {_which(name)}"),
        **interval_columns(f"{name}_", f"`{name}_estimate`"),
    }


TABLES: dict[str, Columns] = {
    CELLS: {
        "cell": NETWORK["cell"],
        "width": _WIDTH,
        "rhs_factor": _FACTOR,
        "networks": Column("how many count"),
        **{name: Column(f"for which {_which(name)}", "networks") for name in COUNTED},
        **{key: column for name in COUNTED for key, column in _fraction(name).items()},
    }
}
