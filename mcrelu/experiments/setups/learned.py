"""What networks learned on ``ex``: eleven of each configuration on one sample, and their median.

They are trained for the figure, at the best rates of the tables, with a seed of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from mcrelu.engines.minibatch.registry import SEMANTICS, get_engine
from mcrelu.experiments.setups.cell import SetupCell
from mcrelu.experiments.setups.draws import start_of
from mcrelu.experiments.setups.naming import Configuration, configuration_of
from mcrelu.problems.regression import Networks
from mcrelu.sweep.cell import Provenance
from mcrelu.types import Floats

DRAWING = "learned_on_ex"

DATA = "ex"
BIASES = ("zero", "kink-neg-unif")  # of the configurations that are shown
NETWORKS = 11
SEED = 5
REACH = 1.4  # x from -REACH to REACH
_ENGINE = "piecewise"
# What a figure may take: tables of others may say anything. The paper's visits 2^21 points.
_MOST_BYTES = 2**28
_MOST_VISITS = 2**25  # of points by steps


class Learned(NamedTuple):
    """The median network of a configuration, by its validation error after the last epoch."""

    configuration: Configuration
    x: Floats  # (k,) in the units of the data, as all that follows
    f: Floats  # (k,)
    points: tuple[Floats, Floats]  # x (N,) and y (N,) of the training sample, which all share


def shown_rows(best: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The configurations whose functions are drawn, of the rows with the best rates."""
    named = (row for row in best if row["data"] == DATA and row["bias_init"] in BIASES)
    return [row for row in named if _takes_little(row)]


def _takes_little(row: Mapping[str, Any]) -> bool:
    """Whether the networks of a configuration are trained in moments, if they can be at all."""
    least = {"width": 1, "batch": 1, "epochs": 1, "train_points": 2}
    if any(row[name] is None or row[name] < size for name, size in least.items()):
        return False
    cell = _cell_of(row)
    return cell.memory(NETWORKS) <= _MOST_BYTES and cell.steps * cell.batch <= _MOST_VISITS


def learned(row: Mapping[str, Any]) -> Learned:
    """Train the networks of a configuration."""
    cell = _cell_of(row)
    provenance = Provenance(SEED, "philox", NETWORKS, "")
    start = start_of(cell, provenance, np.arange(NETWORKS), same_data=True)
    engine = get_engine(_ENGINE)
    state = engine.advance(engine.init(start.problem, start.networks), cell.epochs)
    errors = engine.mean_squares(state, "valid")
    median = int(np.argsort(errors, kind="stable")[NETWORKS // 2])
    x_mean, x_deviation, y_mean, y_deviation = (part[median] for part in start.scales)
    x = np.linspace(-REACH, REACH, 561)
    f = _outputs(engine.networks(state), median, (x - x_mean) / x_deviation)
    train = start.problem.samples.train
    return Learned(
        configuration_of(row),
        x,
        f * y_deviation + y_mean,
        (train.x[median, :, 0] * x_deviation + x_mean, train.y[median] * y_deviation + y_mean),
    )


def _outputs(networks: Networks, k: int, x: Floats) -> Floats:
    hidden = np.maximum(0.0, x[:, None] * networks.a[k, 0] + networks.b[k])
    return np.asarray(hidden @ networks.w[k] + networks.c[k])


def _cell_of(row: Mapping[str, Any]) -> SetupCell:
    names = (
        "data", "parametrization", "optimizer", "bias_init", "bias_gain", "width", "batch",
        "learning_rate", "train_points", "epochs",
    )  # fmt: skip
    return SetupCell(
        **{name: row[name] for name in names},
        engine=_ENGINE,
        semantics=SEMANTICS[_ENGINE],
        validate_every=row["epochs"],
        common_random_numbers=True,
    )
