"""What the columns of the star experiment mean."""

from __future__ import annotations

from mcrelu.engines.r_d.protocol import LOSS_EVERY
from mcrelu.experiments.base import CELLS
from mcrelu.experiments.columns import NETWORK, Column, Columns, interval_columns
from mcrelu.experiments.star.tables import DECILES, PROGRESS

_WIDTH = Column("neurons of each hidden layer n")
_SETTING: Columns = {
    "data": Column("name of the point set, or number and digest of the user's own points"),
    "depth": Column("hidden layers"),
    "activation": Column("`relu`, `leaky_relu`, `tanh`, `gelu` or `silu`"),
    "step_rule": Column("`inv_lambda_max` of the tangent kernel, or `published`"),
    "step_factor": Column("factor of the step size"),
    "random_bias": Column("whether biases are drawn like the weights, or start at zero"),
}
_PRECISION = Column("`float64` or `float32`")
_ENGINE = Column("`grouped` or `torch`")
_EPOCHS = Column("trained for", "epochs")

ROWS: Columns = {
    **NETWORK,
    "width": _WIDTH,
    **_SETTING,
    "precision": _PRECISION,
    "engine": _ENGINE,
    "epochs": _EPOCHS,
    "first_kink_change": Column(
        "first epoch whose activation pattern on the data is not the initial one; null if all are",
        "epochs",
    ),
    "first_loss_crossing": Column(
        "first epoch with a loss below 0.999999 of the threshold; null if none was", "epochs"
    ),
    "threshold": Column("loss of the best function that is affine on every ray", "of y²"),
    "step_size": Column("step size that was taken, the factor included"),
    "linear_step_size": Column(
        "up to which a step changes the loss as its gradient predicts; null if no candidate does"
    ),
    "loss": Column("½ Σ p (f - y)² over the points after the last epoch", "of y²"),
    "losses": Column(f"the same after every {LOSS_EVERY}th epoch", "of y²"),
}

_EVENTS = {
    "kink": "whose activation pattern ever changed",
    "loss": "whose loss ever fell below the threshold",
}


def _fraction(event: str, which: str) -> dict[str, Column]:
    return {
        f"{event}_k": Column(which, "networks"),
        f"{event}_estimate": Column(f"fraction {which}"),
        **interval_columns(f"{event}_", f"`{event}_estimate`"),
    }


TABLES: dict[str, Columns] = {
    CELLS: {
        "cell": NETWORK["cell"],
        "width": _WIDTH,
        **_SETTING,
        "precision": _PRECISION,
        "engine": _ENGINE,
        "epochs": _EPOCHS,
        "networks": Column("that count: those of complete blocks", "networks"),
        **_fraction("kink", _EVENTS["kink"]),
        **_fraction("loss", _EVENTS["loss"]),
        "diverged": Column("whose last loss is not finite", "networks"),
        "relative_loss": Column("median of the last loss; null if infinite", "the threshold"),
    },
    PROGRESS: {
        "cell": NETWORK["cell"],
        "width": _WIDTH,
        **_SETTING,
        "epoch": Column(f"multiples of {LOSS_EVERY}", "epochs"),
        "networks": Column("that count: those of complete blocks", "networks"),
        "mean_loss": Column("mean loss; infinite if any is not finite", "of y²"),
        **{
            f"decile_{q}": Column(f"loss, {q}th percentile over networks", "the threshold")
            for q in DECILES
        },
        **{
            f"{event}_fraction": Column("fraction " + which.replace("ever ", "") + " by this epoch")
            for event, which in _EVENTS.items()
        },
    },
}
