"""Table L.1 of the paper, and which cells its entries belong to."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from mcrelu.experiments.base import Mean, Point
from mcrelu.experiments.published import published_rows, require_figure

TABLE = "tableL1"
NETWORKS = 100
WIDTH, BATCH = 512, 256

# What it reports as test RMSE is the validation RMSE that its code stored in its place
# (docs/method.md 5), so its entries are held against both of ours, by the name of our column.
MEASURES = {"test": "best_test_rmse", "validation": "best_valid_rmse"}


class Setting(NamedTuple):
    """What distinguishes a curve over the number of inputs from others."""

    measure: str  # "test" or "validation"
    distribution: str  # without its number of inputs
    parametrization: str
    optimizer: str
    bias_init: str
    bias_gain: float
    width: int
    batch: int


PARAMETRIZATIONS = {"he": "He", "ntk": "NTK"}
OPTIMIZERS = {"sgd": "SGD", "momentum": "SGDM", "adam": "Adam"}
BIAS_INITS = {
    "zero": "Zero",
    "pytorch": "PyTorch",
    "unif": "U(1)",
    "unif-pos": "U+(1)",
    "unif-neg": "U-(1)",
    "kink-neg-unif": "Uk-(1)",
    "kink-neg-point": "Xk-",
    "he+5": "He+5",
}


class TableL1:
    """The published mean RMSEs, at the best learning rate of each configuration."""

    figures = (TABLE,)

    def points(self, figure: str | None = None) -> dict[Point, Mean]:
        """All entries, for each measure."""
        require_figure(figure, self.figures)
        ours = {
            (theirs_p, theirs_o, theirs_b): (p, o, b)
            for p, theirs_p in PARAMETRIZATIONS.items()
            for o, theirs_o in OPTIMIZERS.items()
            for b, theirs_b in BIAS_INITS.items()
        }
        found: dict[Point, Mean] = {}
        for row in published_rows(__package__):
            names = ours[row["param"], row["opt"], row["bias_init"]]
            distribution, inputs = _distribution(row["dataset"])
            # It divides the deviation by sqrt(m - 1).
            error = float(row["se_x1e4"]) / 1e4 * sqrt((NETWORKS - 1) / NETWORKS)
            for measure in MEASURES:
                setting = Setting(measure, distribution, *names, 1.0, WIDTH, BATCH)
                found[setting, inputs] = Mean(float(row["rmse_x1e4"]) / 1e4, error, NETWORKS)
        return found


def _distribution(name: str) -> tuple[str, int]:
    """``P_ex`` and ``P_d`` as we call them."""
    part = name.removeprefix("P_")
    return ("ex", 1) if part == "ex" else ("radial", int(part))


PAPER = TableL1()
