"""How far the training of a block is: its state with its losses, as a checkpoint and back."""

from __future__ import annotations

from typing import NamedTuple

from mcrelu.problems.r_d import Info, Layer, State
from mcrelu.store.checkpoints import Checkpoint
from mcrelu.types import Floats


class Training(NamedTuple):
    """A training between two segments."""

    state: State
    losses: Floats  # (m, k) after every 1000th epoch so far

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Training:
        """The training that a checkpoint was made of."""
        arrays = checkpoint.arrays
        depth = sum(name.startswith("weight_") for name in arrays)
        state = State(
            epoch=checkpoint.epoch,
            layers=tuple(Layer(arrays[f"weight_{k}"], arrays[f"bias_{k}"]) for k in range(depth)),
            info=Info(arrays["first_kink_change"], arrays["first_loss_crossing"]),
        )
        return cls(state, arrays["losses"])

    def checkpoint(self) -> Checkpoint:
        """All that a later segment needs, as plain arrays."""
        arrays = {
            "first_kink_change": self.state.info.first_kink_change,
            "first_loss_crossing": self.state.info.first_loss_crossing,
            "losses": self.losses,
        }
        for k, layer in enumerate(self.state.layers):
            arrays[f"weight_{k}"], arrays[f"bias_{k}"] = layer
        return Checkpoint(self.state.epoch, arrays)
