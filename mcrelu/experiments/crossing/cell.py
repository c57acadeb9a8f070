"""Cells of the crossing experiment: two-layer networks in one dimension, until they stop."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mcrelu.data import SQUARED, STANDARD_X, OwnPoints, SampleRule, standard_points
from mcrelu.engines.one_d.registry import ENGINES
from mcrelu.experiments.crossing.keras_training import KERAS, MEMORY
from mcrelu.experiments.crossing.stopping import Criterion, Crossing, EarlyStopping, Sufficient
from mcrelu.experiments.crossing.train import Checks
from mcrelu.philox import MINIBATCH
from mcrelu.sweep.cell import Cell
from mcrelu.types import PointSet

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


class Scales(NamedTuple):
    """Factors of the standard deviations of input weights a and output weights w."""

    input: float = 1.0
    output: float = 1.0


PLAIN = Scales()


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
    points: OwnPoints | None = None  # in place of the six
    samples: SampleRule = SQUARED
    minibatch: int = MINIBATCH
    scales: Scales = PLAIN

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
        if self.engine == KERAS:  # which draws networks of its own
            values["engine"] = KERAS
        return values | self._unlike_the_paper()

    def _unlike_the_paper(self) -> dict[str, Any]:
        """What sweeps of the paper's setting do not have, so that their cells keep their ids."""
        values: dict[str, Any] = {}
        if self.points is not None:
            values["data"] = {"points": len(self.points.x), "digest": self.points.digest}
        if self.samples != SQUARED:
            values["samples"] = asdict(self.samples)
        if self.minibatch != MINIBATCH and self.optimizer != "gd":
            values["minibatch"] = self.minibatch
        if self.scales != PLAIN:
            values["scales"] = list(self.scales)
        return values

    def point_set(self) -> PointSet:
        """The points that networks are trained on."""
        if self.points is None:
            return standard_points(self.offset)
        return self.points.with_offset(self.offset)

    @property
    def distinct(self) -> int:
        """Number of points D."""
        return len(STANDARD_X) if self.points is None else len(self.points.x)

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
        if self.engine == KERAS:
            return MEMORY
        crossing = networks
        if self.rarely_crosses:
            crossing = min(networks, 1 + int(MOST_CROSSING * networks / self.width**0.5))
        own = ENGINES[self.engine].memory(networks, self.width, self.optimizer, crossing)
        window = 0 if self.optimizer == "gd" else networks * self.distinct * self.checks.interval
        outputs = 8 * networks * self.distinct * np.dtype(np.float64).itemsize
        return own + window + outputs

    @property
    def rarely_crosses(self) -> bool:
        """Whether few wide networks ever cross: the setting of the paper's theorem."""
        plain = self.init == "he" and self.step_rule == StepRule() and self.optimizer == "gd"
        return plain and self.offset == 0.0 and not self._unlike_the_paper()

    @property
    def cost(self) -> float:
        """Wide networks have more expensive steps, or, in groups, as many more of them to do."""
        return float(self.width)

    @property
    def label(self) -> str:
        """A few words that tell the cell from the others of a sweep."""
        leak = f" leaky_slope={self.leaky_slope:g}" if self.leaky_slope else ""
        scales = (
            "" if self.scales == PLAIN else f" scales={self.scales.input:g},{self.scales.output:g}"
        )
        more = leak + scales
        return f"{self.optimizer} n={self.width} offset={self.offset:g} {self.init}{more}"


def describe_checks(checks: Checks) -> list[Any]:
    """Interval, maximum and, where there are any, the early steps."""
    early = [list(checks.early)] if checks.early else []
    return [checks.interval, checks.maximum, *early]


def describe(criterion: Criterion) -> dict[str, Any]:
    """A criterion as it stands in a spec: its name and its options."""
    name = next(name for name, kind in CRITERIA.items() if isinstance(criterion, kind))
    return {name: dict(vars(criterion))}
