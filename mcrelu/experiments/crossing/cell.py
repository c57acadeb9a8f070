"""Cells of the crossing experiment: two-layer networks in one dimension, until they stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mcrelu.data import STANDARD_X
from mcrelu.engines.one_d.registry import ENGINES
from mcrelu.experiments.crossing.stopping import Criterion, Crossing, EarlyStopping, Sufficient
from mcrelu.experiments.crossing.train import Checks
from mcrelu.sweep.cell import Cell

# P(crossing) is 1.4 / sqrt(n) in the paper's setting (docs/results); this over sqrt(n) is ample
MOST_CROSSING = 2.0

CRITERIA: dict[str, type[Criterion]] = {
    "crossing": Crossing,
    "early_stopping": EarlyStopping,
    "sufficient": Sufficient,
}


@dataclass(frozen=True)
class StepRule:
    """Step size 1/lambda_max(A_ref M), or ``over_width``/n where that is given."""

    over_width: float | None = None

    def __str__(self) -> str:
        return "inv_lambda_max" if self.over_width is None else f"{self.over_width:g}/width"


@dataclass(frozen=True)
class CrossingCell(Cell):
    """One parameter combination of a crossing sweep."""

    experiment: ClassVar[str] = "crossing"

    offset: float
    optimizer: str
    init: str
    step_rule: StepRule
    criteria: tuple[Criterion, ...]
    checks: Checks
    leaky_slope: float = 0.0

    def drawn(self) -> dict[str, Any]:
        """The same networks are drawn whichever engine trains and whichever criteria stop them."""
        return self.trained()

    def trained(self) -> dict[str, Any]:
        """What is trained, as opposed to how it is computed and when it stops."""
        values = {
            "experiment": self.experiment,
            "width": self.width,
            "offset": float(self.offset),
            "optimizer": self.optimizer,
            "init": self.init,
            "step_size": self.step_rule.over_width,
        }
        if self.leaky_slope:  # not where it is 0: cells of ReLU networks keep their identities
            values["leaky_slope"] = self.leaky_slope
        return values

    def parameters(self) -> dict[str, Any]:
        """Everything that the rows of the cell depend on, except seed and block size."""
        return {
            **self.trained(),
            "stop": [describe(criterion) for criterion in self.criteria],
            "checks": describe_checks(self.checks),
            "engine": self.engine,
            "semantics": self.semantics,
        }

    def memory(self, networks: int) -> int:
        """Peak bytes that a block of so many networks needs."""
        crossing = networks
        if self.rarely_crosses:
            crossing = min(networks, 1 + int(MOST_CROSSING * networks / self.width**0.5))
        own = ENGINES[self.engine].memory(networks, self.width, self.optimizer, crossing)
        window = 0 if self.optimizer == "gd" else networks * len(STANDARD_X) * self.checks.interval
        return own + window

    @property
    def rarely_crosses(self) -> bool:
        """Whether few wide networks ever cross: the setting of the paper's theorem."""
        plain = self.init == "he" and self.step_rule == StepRule() and self.optimizer == "gd"
        return plain and self.offset == 0.0

    @property
    def cost(self) -> float:
        """Wide networks have more expensive steps, or, in groups, as many more of them to do."""
        return float(self.width)

    @property
    def label(self) -> str:
        """A few words that tell the cell from the others of a sweep."""
        leak = f" leaky_slope={self.leaky_slope:g}" if self.leaky_slope else ""
        return f"{self.optimizer} n={self.width} offset={self.offset:g} {self.init}{leak}"


def describe_checks(checks: Checks) -> list[Any]:
    """Interval, maximum and, where there are any, the early steps."""
    early = [list(checks.early)] if checks.early else []
    return [checks.interval, checks.maximum, *early]


def describe(criterion: Criterion) -> dict[str, Any]:
    """A criterion as it stands in a spec: its name and its options."""
    name = next(name for name, kind in CRITERIA.items() if isinstance(criterion, kind))
    return {name: dict(vars(criterion))}
