"""What the columns of the setups experiment mean."""

from __future__ import annotations

from mcrelu.experiments.base import CELLS
from mcrelu.experiments.columns import NETWORK, Column, Columns
from mcrelu.experiments.setups.tables import BEST

_DATA = Column("distribution of the data, such as `ex` or `radial-4`")
_PARAMETRIZATION = Column("`he` or `ntk`")
_OPTIMIZER = Column("`sgd`, `momentum` or `adam`")
_BIAS_INIT = Column("how biases are drawn")
_BIAS_GAIN = Column("factor of the biases, where they do not depend on the data")
_WIDTH = Column("hidden neurons n")
_BATCH = Column("points per step", "points")
_RATE = Column("learning rate")
_ENGINE = Column("`piecewise`, `fused` or `torch`")
_OF_Y = "of y as drawn"

_METRICS = {
    "last_train_rmse": "RMSE on the training sample after the last epoch",
    "last_valid_rmse": "RMSE on the validation sample after the last epoch",
    "last_test_rmse": "RMSE on the test sample after the last epoch",
    "best_valid_rmse": "least RMSE on the validation sample, of all validations",
    "best_test_rmse": "RMSE on the test sample at that validation",
}

ROWS: Columns = {
    **NETWORK,
    "data": _DATA,
    "parametrization": _PARAMETRIZATION,
    "optimizer": _OPTIMIZER,
    "bias_init": _BIAS_INIT,
    "bias_gain": _BIAS_GAIN,
    "width": _WIDTH,
    "batch": _BATCH,
    "learning_rate": _RATE,
    "engine": _ENGINE,
    **{
        name: Column(f"{meaning}; null where training diverged", _OF_Y)
        for name, meaning in _METRICS.items()
    },
    "best_epoch": Column("of the validation with the least error; null if there is none", "epochs"),
    "diverged_by": Column(
        "epoch of the first validation whose error is not finite; null if there is none", "epochs"
    ),
    "bayes_rmse": Column("root mean square of the noise of the test sample", _OF_Y),
    "target_deviation": Column("standard deviation of y in the training sample", _OF_Y),
}

_CELL: Columns = {
    "cell": NETWORK["cell"],
    "data": _DATA,
    "parametrization": _PARAMETRIZATION,
    "optimizer": _OPTIMIZER,
    "bias_init": _BIAS_INIT,
    "bias_gain": _BIAS_GAIN,
    "width": _WIDTH,
    "batch": _BATCH,
    "inputs": Column("number of inputs d"),
    "learning_rate": _RATE,
    "engine": _ENGINE,
    "epochs": Column("trained for", "epochs"),
    "train_points": Column("size of the training sample", "points"),
    "networks": Column("that count: those of complete blocks", "networks"),
    "diverged": Column("whose training diverged", "networks"),
    **{
        name + end: Column(what, _OF_Y)
        for name in _METRICS
        for end, what in (
            ("", f"mean over networks of their `{name}`; null if any diverged"),
            ("_se", "its standard error; null with one network"),
        )
    },
    "bayes_rmse": Column("root mean square over networks of theirs; null if any diverged", _OF_Y),
}

TABLES: dict[str, Columns] = {
    CELLS: _CELL,
    BEST: {
        **_CELL,
        "rates_tried": Column("learning rates of the group with results", "rates"),
        "on_edge": Column("whether the best rate is the first or last of these"),
    },
}
