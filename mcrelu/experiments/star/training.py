"""How far the training of a block is: the descent with its losses, as a checkpoint and back."""

from __future__ import annotations

from typing import NamedTuple

from mcrelu.problems.r_d import Descent, Layer
from mcrelu.store.checkpoints import Checkpoint
from mcrelu.types import Floats


class Training(NamedTuple):
    """A training between two legs."""

    state: Descent
    losses: Floats  # (m, k) after every 1000th epoch so far

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Training:
        """The training that a checkpoint was made of."""
        arrays = checkpoint.arrays
        depth = sum(name.startswith("weight_") for name in arrays)
        state = Descent(
            epoch=checkpoint.epoch,
            layers=tuple(Layer(arrays[f"weight_{k}"], arrays[f"bias_{k}"]) for k in range(depth)),
            first_kink_change=arrays["first_kink_change"],
            first_loss_crossing=arrays["first_loss_crossing"],
        )
        return cls(state, arrays["losses"])

    def checkpoint(self) -> Checkpoint:
        """All that a later leg needs, as plain arrays."""
        arrays = {
            "first_kink_change": self.state.first_kink_change,
            "first_loss_crossing": self.state.first_loss_crossing,
            "losses": self.losses,
        }
        for k, layer in enumerate(self.state.layers):
            arrays[f"weight_{k}"], arrays[f"bias_{k}"] = layer
        return Checkpoint(self.state.epoch, arrays)
