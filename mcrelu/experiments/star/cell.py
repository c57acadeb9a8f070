"""Cells of the star experiment: networks in R^d, trained for a number of epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from mcrelu.data import OwnPoints, inputs_of
from mcrelu.engines.r_d.protocol import block_memory
from mcrelu.problems.r_d import Activation, Precision
from mcrelu.sweep.cell import Cell, digest

StepSize = Literal["inv_lambda_max", "published"]

# Drawing a neuron, its part of the step size included, costs as much as so many epochs in groups.
DRAWING_EPOCHS = 10


@dataclass(frozen=True)
class StarCell(Cell):
    """One parameter combination of a star sweep."""

    experiment: ClassVar[str] = "star"

    data: str  # name of the point set, as in data.point_set, or of the points below
    depth: int  # hidden layers, of ``width`` neurons each
    activation: Activation
    step_size: StepSize
    step_factor: float
    random_bias: bool
    precision: Precision
    epochs: int
    checkpoint_every: int  # epochs
    points: OwnPoints | None = None

    def drawn(self) -> dict[str, Any]:
        """Networks are the same at every step size and for all activations."""
        return {
            "experiment": self.experiment,
            "data": self.data,
            "width": self.width,
            "depth": self.depth,
            "random_bias": self.random_bias,
            **({} if self.points is None else {"data_digest": self.points.digest}),
        }

    def trained(self) -> dict[str, Any]:
        """What is trained, as opposed to how it is computed and for how long."""
        return {
            **self.drawn(),
            "activation": self.activation,
            "step_size": self.step_size,
            "step_factor": self.step_factor,
        }

    def parameters(self) -> dict[str, Any]:
        """Everything that the rows of the cell depend on, except seed, block size and epochs."""
        return {
            **self.trained(),
            "precision": self.precision,
            "engine": self.engine,
            "semantics": self.semantics,
        }

    def extent(self) -> dict[str, int]:
        """More epochs continue what is there."""
        return {"epochs": self.epochs}

    @property
    def data_stream(self) -> int:
        """The part of the seed from which random points come; all cells on the data share them."""
        return int(digest({"data": self.data}), 16)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of inputs, of neurons of each hidden layer, and of outputs."""
        inputs = inputs_of(self.data) if self.points is None else len(self.points.x[0])
        return (inputs, *[self.width] * self.depth, 1)

    def memory(self, networks: int) -> int:
        """Peak bytes that a block of so many networks needs."""
        return block_memory(networks, self.sizes)

    @property
    def owns_device(self) -> bool:
        """Torch trains on the GPU if there is one."""
        return self.engine == "torch"

    @property
    def cost(self) -> float:
        """In epochs of a group: those cost the same at any width, drawing and layers do not."""
        if self.engine == "grouped":
            return float(self.epochs + DRAWING_EPOCHS * self.width)
        return float(self.width * self.width ** (self.depth > 1))

    @property
    def label(self) -> str:
        """A few words that tell the cell from the others of a sweep."""
        words = [self.data, f"n={self.width}", f"depth={self.depth}"]
        words += [self.activation] if self.activation != "relu" else []
        words += ["published step"] if self.step_size == "published" else []
        words += [f"factor={self.step_factor:g}"]
        words += ["random bias"] if self.random_bias else []
        return " ".join(words)
