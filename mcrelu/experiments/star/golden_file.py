"""What a golden file of networks in R^d holds, with its shapes checked."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mcrelu.errors import UserError
from mcrelu.problems.r_d import Layer, Layers
from mcrelu.types import Floats, Ints
from mcrelu.verify.archive import Arrays, Checked

WEIGHT_SUM_TOLERANCE = 1e-4  # of rows of weights in single precision


class LayeredFile(NamedTuple):
    """One run of the original: m networks with their data, in double precision."""

    x: Floats  # (D, d)
    y: Floats  # (D,)
    p: Floats  # (m, D)
    layers: Layers  # initial
    epochs: int
    step_size: Floats  # (m,) before it is applied twice
    linear_step_size: Floats  # (m,)
    threshold: Floats  # (m,)
    first_kink_change: Ints  # (m,) epochs, NEVER where there is none
    first_loss_crossing: Ints  # (m,)
    final_loss: Floats  # (m,)

    @classmethod
    def of(cls, path: Path, golden: Arrays) -> LayeredFile:
        """The file's arrays under our names.

        Raises
        ------
        UserError
            If one is missing, has another shape than the others imply, or holds no numbers.
        """
        checked = Checked(path, golden)
        hidden = checked.whole("hidden", (None,))
        points, inputs = checked.floats("x", (None, None)).shape
        networks = len(checked.floats("sample_weights", (None, points)))
        sizes = [inputs, *(int(width) for width in hidden), 1]
        layers = tuple(
            Layer(
                checked.floats(f"init_{2 * number}", (networks, *shape)),
                checked.floats(f"init_{2 * number + 1}", (networks, shape[1])),
            )
            for number, shape in enumerate(pairwise(sizes))
        )
        file = cls(
            x=checked.floats("x", (points, inputs)),
            y=checked.floats("y", (points,)),
            p=checked.floats("sample_weights", (networks, points)),
            layers=layers,
            epochs=int(checked.whole("epochs", ())),
            step_size=checked.floats("lrs", (networks,)),
            linear_step_size=checked.floats("lin_lrs", (networks,)),
            threshold=checked.floats("lin_thresholds", (networks,)),
            first_kink_change=checked.whole("kink_first_crossed", (networks,)),
            first_loss_crossing=checked.whole("mse_first_crossed", (networks,)),
            final_loss=checked.floats("final_mse", (networks,)),
        )
        if file.epochs < 1 or not np.allclose(file.p.sum(axis=1), 1.0, atol=WEIGHT_SUM_TOLERANCE):
            raise UserError(
                f"{path}: epochs is below 1, or rows of sample_weights do not sum to 1; "
                "the file is damaged, give another copy"
            )
        return file
