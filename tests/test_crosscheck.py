"""The engines against an independent program: Keras."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from mcrelu.cli import cli
from mcrelu.crosscheck import crosscheck, independent
from mcrelu.errors import ExitCode, SpecError, UserError
from mcrelu.experiments.crossing import keras_training
from mcrelu.experiments.crossing.block import draw_block, network_seeds, problem_of
from mcrelu.experiments.crossing.cell import CrossingCell
from mcrelu.problems.one_d import StopReason, Weights
from mcrelu.sweep.sweep import Sweep

SPEC: dict[str, Any] = {
    "version": 1,
    "experiment": "crossing",
    "seed": 20200212,
    "networks": 4000,
    "cells": {"width": [16], "optimizer": ["sgd"]},
    "stop": ["crossing", {"early_stopping": {"patience": 5}}],
    "checks": {"interval": 50},  # training is short, so that Keras is done in a minute
}
NETWORKS = 40

# Keras's tensors know an older form of numpy's protocol.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

needs_keras = pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not installed")


def by_keras(**changes: Any) -> Sweep:
    return Sweep.of(SPEC | {"engine": "keras"} | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells": {"width": [4], "optimizer": ["gd"]}}, r"optimizer = \['gd'\].* \['sgd'\] only"),
        ({"cells": {"width": [4], "optimizer": ["sgd"], "init": ["swapped"]}}, "init = "),
        ({"stop": ["crossing"]}, "stops by .crossing, early_stopping."),
        ({"rng": "legacy", "cells": {"width": [16], "optimizer": ["sgd"]}}, "rng = legacy"),
    ],
)
def test_what_keras_does_not_train_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        by_keras(**changes)


def test_other_experiments_have_no_independent_program() -> None:
    star = Sweep.from_yaml("jobs/sweeps/star-deep.yaml")
    with pytest.raises(UserError, match="no independent program"):
        independent(star, 10)


def test_keras_has_networks_of_its_own() -> None:
    """So that comparisons take the two samples for independent."""
    (ours,), (theirs,) = Sweep.of(SPEC).cells, by_keras().cells
    assert isinstance(ours, CrossingCell)
    assert isinstance(theirs, CrossingCell)
    assert ours.stream != theirs.stream
    assert ours.trained() != theirs.trained()
    assert ours.label == theirs.label


def test_a_network_does_not_depend_on_how_many_there_are() -> None:
    sweep = by_keras(networks=3)
    block, fewer = (next(by_keras(networks=k).all_blocks()) for k in (3, 2))
    provenance = sweep.provenance(block.cell)
    seeds = network_seeds(block, provenance)
    states = [seed.generate_state(4).tolist() for seed in seeds]
    again = [seed.generate_state(4).tolist() for seed in network_seeds(fewer, provenance)]
    assert states[:2] == again
    assert states[0] != states[1]


@pytest.mark.slow
@needs_keras
def test_the_step_size_is_that_of_the_engines() -> None:
    """One over the largest eigenvalue of a kernel made of torch's gradients."""
    sweep = Sweep.of(SPEC | {"networks": 3})
    (cell,) = sweep.cells
    assert isinstance(cell, CrossingCell)
    block = next(sweep.all_blocks())
    draws = draw_block(block, sweep.provenance(cell))
    problem = problem_of(cell, draws)
    weights = problem.weights.rows(np.arange(3))
    for k in range(3):
        model = keras_training._model(keras_training._keras(), cell, 1, 2)
        set_weights(model, weights.rows(np.array([k])))
        x = np.repeat(problem.points.x, draws.counts[k])[:, None]
        found = keras_training._step_size(model, keras_training.Sample(x, x), cell)
        assert found == pytest.approx(problem.step_size[k], rel=1e-5)  # in single precision


def set_weights(model: Any, weights: Weights) -> None:
    a, b, c, w = weights
    model.set_weights([a, b[0], w.T, c])


@pytest.mark.slow
@needs_keras
def test_initial_weights_have_the_variances_of_he() -> None:
    (cell,) = Sweep.of(SPEC | {"cells": {"width": [4096], "optimizer": ["sgd"]}}).cells
    assert isinstance(cell, CrossingCell)
    a, b, w, c = keras_training._model(keras_training._keras(), cell, 1, 2).get_weights()
    spread = 4.0 / np.sqrt(2.0 * 4096)  # four standard errors of a standard deviation
    assert a.std() / np.sqrt(2.0) == pytest.approx(1.0, abs=spread)
    assert w.std() / np.sqrt(2.0 / 4096) == pytest.approx(1.0, abs=spread)
    assert not b.any()
    assert not c.any()


@pytest.mark.slow
@needs_keras
def test_keras_agrees_with_the_engines(tmp_path: Path) -> None:
    found = crosscheck(Sweep.of(SPEC), str(tmp_path), NETWORKS, "serial")
    assert found.exit_code is ExitCode.DONE
    assert found.comparison is not None
    assert found.theirs is not None
    (row,) = found.comparison.to_pylist()
    assert row["test"] == "Fisher"
    assert row["other_networks"] == NETWORKS
    assert 0.02 < row["estimate"] < 0.98
    statuses = set(found.theirs.networks()["status"].to_pylist())
    assert statuses == {StopReason.CROSSED, StopReason.EARLY_STOPPED}


@pytest.mark.slow
@needs_keras
def test_a_wrong_learning_rate_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if one forgot that Keras's loss has no factor 1/2."""
    monkeypatch.setattr(keras_training, "RATE_OF_STEP", 1.0)
    found = crosscheck(Sweep.of(SPEC), str(tmp_path), NETWORKS, "serial")
    assert found.exit_code is ExitCode.DISAGREEMENT


def test_the_command_refuses_in_one_line() -> None:
    result = CliRunner().invoke(cli, ["crosscheck", "jobs/sweeps/star-deep.yaml"])
    assert isinstance(result.exception, UserError)
