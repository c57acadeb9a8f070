"""Cells of the setups experiment: one way to train two-layer networks on one distribution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import Any, ClassVar, Literal

from mcrelu.distributions import inputs_of
from mcrelu.problems.regression import Optimizer, Rule
from mcrelu.sweep.cell import Cell

Parametrization = Literal["he", "ntk"]

JUDGING_POINTS = 1024  # of the validation sample, and of the test sample

# What a step costs beside the products with the inputs, in such products: optimiser, sums.
_OVERHEAD_INPUTS = 4


@dataclass(frozen=True)
class SetupCell(Cell):
    """One parameter combination of a setups sweep."""

    experiment: ClassVar[str] = "setups"

    data: str  # as in distributions.py
    parametrization: Parametrization
    optimizer: Rule
    bias_init: str  # as in bias_init.py
    bias_gain: float
    batch: int
    learning_rate: float
    train_points: int
    epochs: int
    validate_every: int  # epochs
    common_random_numbers: bool

    def drawn(self) -> dict[str, Any]:
        """All ways to train share data, weights and shuffles, or none do."""
        if not self.common_random_numbers:
            return self.trained()
        return {
            "experiment": self.experiment,
            "data": self.data,
            "train_points": self.train_points,
            "width": self.width,
        }

    def trained(self) -> dict[str, Any]:
        """What is trained, as opposed to how it is computed."""
        return {
            "experiment": self.experiment,
            "data": self.data,
            "train_points": self.train_points,
            "width": self.width,
            "parametrization": self.parametrization,
            "optimizer": self.optimizer,
            "bias_init": self.bias_init,
            "bias_gain": self.bias_gain,
            "batch": self.batch,
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
            "validate_every": self.validate_every,
            "common_random_numbers": self.common_random_numbers,
        }

    def parameters(self) -> dict[str, Any]:
        """Everything that the rows of the cell depend on, except seed and block size."""
        return {**self.trained(), "engine": self.engine, "semantics": self.semantics}

    def at_rate(self, learning_rate: float) -> SetupCell:
        """The same with another rate."""
        return replace(self, learning_rate=learning_rate)

    @property
    def inputs(self) -> int:
        """Number of inputs d."""
        return inputs_of(self.data)

    @property
    def descent(self) -> Optimizer:
        """The optimiser, with the layers' factors of the NTK parametrisation."""
        if self.parametrization == "he":
            return Optimizer(self.optimizer, self.learning_rate)
        return Optimizer(
            self.optimizer, self.learning_rate, sqrt(2.0 / self.inputs), sqrt(2.0 / self.width)
        )

    @property
    def steps(self) -> int:
        """Steps of a training."""
        return self.epochs * (self.train_points // self.batch)

    def memory(self, networks: int) -> int:
        """Peak bytes that a block of so many networks needs: samples in two precisions, weights."""
        numbers = (self.train_points + 2 * JUDGING_POINTS) * (self.inputs + 1)
        parameters = (self.inputs + 2) * self.width
        return 8 * networks * (3 * numbers + 12 * parameters)

    @property
    def owns_device(self) -> bool:
        """Torch trains on the GPU if there is one."""
        return self.engine == "torch"

    @property
    def cost(self) -> float:
        """Rough cost of a network; a step of the piecewise engine costs the points alone."""
        per_point = 1.0 if self.engine == "piecewise" else 16.0 * (self.inputs + _OVERHEAD_INPUTS)
        return float(self.steps * self.batch * per_point)

    @property
    def alike(self) -> dict[str, Any]:
        """All rates and all biases cost the same, unless training diverges."""
        ignored = ("parametrization", "bias_init", "bias_gain", "learning_rate")
        return {key: value for key, value in self.parameters().items() if key not in ignored}

    @property
    def label(self) -> str:
        """A few words that tell the cell from the others of a sweep."""
        words = [self.data, self.parametrization, self.optimizer, self.bias_init]
        words += [f"gain={self.bias_gain:g}"] if self.bias_gain != 1.0 else []
        words += [f"n={self.width}", f"batch={self.batch}", f"rate={self.learning_rate:.4g}"]
        return " ".join(words)
