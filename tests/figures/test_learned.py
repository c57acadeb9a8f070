"""What networks learned on ``ex``: the median is trained as said, and drawn as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from minibatch_problems import mean_squares, outputs, train
from setup_sweeps import setup_cells, setup_sweep

from mcrelu.experiments.setups.draws import start_of
from mcrelu.experiments.setups.learned import NETWORKS, SEED, learned, shown_rows
from mcrelu.experiments.setups.learned_figure import learned_figure
from mcrelu.figures.style import look
from mcrelu.problems.regression import Networks
from mcrelu.sweep.cell import Provenance


def row(**changes: Any) -> dict[str, Any]:
    return {
        "data": "ex", "parametrization": "ntk", "optimizer": "adam", "bias_init": "zero",
        "bias_gain": 1.0, "width": 16, "batch": 8, "learning_rate": 0.02, "train_points": 32,
        "epochs": 30,
    } | changes  # fmt: skip


def test_the_median_network_is_drawn_in_the_units_of_the_data() -> None:
    """Against the plain method, for the network in the middle by validation error."""
    found = learned(row())
    lists = {
        "parametrization": ["ntk"], "width": [16], "learning_rate": [0.02], "batch": [8],
    }  # fmt: skip
    sweep = setup_sweep(lists=lists, epochs=30, validate_every=30, train_points=32)
    (cell,) = setup_cells(sweep)
    start = start_of(cell, Provenance(SEED, "philox", 1, ""), np.arange(NETWORKS), same_data=True)
    after = train(start.problem, start.networks, 30)
    errors = mean_squares(after, start.problem.samples.valid)
    k = int(np.argsort(errors)[NETWORKS // 2])
    one = Networks(*(part[k : k + 1] for part in after))
    scales = start.scales
    x = (found.x - scales.x_mean[k]) / scales.x_deviation[k]
    f = outputs(one, x[None, :, None])[0] * scales.y_deviation[k] + scales.y_mean[k]
    assert np.abs(found.f - f).max() < 1e-9
    assert np.sort(errors)[NETWORKS // 2 + 1] > errors[k]  # so another network would show


def test_all_have_the_same_data_and_other_weights() -> None:
    (cell,) = setup_cells(setup_sweep())
    start = start_of(cell, Provenance(SEED, "philox", 1, ""), np.arange(3), same_data=True)
    own = start_of(cell, Provenance(SEED, "philox", 1, ""), np.arange(3))
    train_x = start.problem.samples.train.x
    assert (train_x == train_x[0]).all()
    assert np.array_equal(train_x[0], own.problem.samples.train.x[0])
    assert not np.array_equal(train_x[1], own.problem.samples.train.x[1])
    assert np.array_equal(start.networks.a, own.networks.a)


def test_zero_and_uniform_kinks_on_ex_are_shown() -> None:
    rows = [row(), row(data="radial-1"), row(bias_init="unif"), row(bias_init="kink-neg-unif")]
    assert shown_rows(rows) == [rows[0], rows[3]]


def test_a_panel_per_parametrization_and_biases_a_line_per_optimizer() -> None:
    rows = [
        row(parametrization=p, optimizer=o, bias_init=b, epochs=2)
        for p in ("he", "ntk")
        for b in ("zero", "kink-neg-unif")
        for o in ("sgd", "adam")
    ]
    with look():
        figure = learned_figure([learned(one) for one in rows])
    assert len(figure.axes) == 4
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == ["data", "SGD", "Adam"]
        assert np.size(axes.lines[0].get_xdata()) == 32
    assert figure.axes[0].get_title().startswith("He, zero")
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "$x$", "$x$"]


@pytest.mark.parametrize("rate", [0.02, 0.03])
def test_the_function_is_that_of_the_best_rate(rate: float) -> None:
    assert np.array_equal(
        learned(row(learning_rate=rate)).f, learned(row()).f
    ) == (rate == 0.02)  # fmt: skip
