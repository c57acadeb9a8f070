"""Initial biases against their definitions: laws by KS tests, everything else exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from setup_sweeps import setup_cells, setup_sweep

from mcrelu.bias_init import InnerLayer, has_gain, initial_biases, is_bias_init
from mcrelu.experiments.setups.draws import start_of
from mcrelu.types import Floats

FALSE_ALARM = 1e-4  # seeds are fixed: how unlucky a fresh seed would have to be
ROOT_3, ROOT_6 = np.sqrt(3.0), np.sqrt(6.0)
INPUTS, WIDTH, POINTS = 4, 50_000, 30

# Low and high end of the uniform laws; those of kinks in units of |a|.
UNIFORM = {
    "uniform": (-ROOT_3, ROOT_3),
    "pos-unif": (0.0, ROOT_3),
    "neg-unif": (-ROOT_3, 0.0),
    "unif": (-ROOT_6, ROOT_6),
    "unif-pos": (0.0, ROOT_6),
    "unif-neg": (-ROOT_6, 0.0),
    "pytorch": (-1.0 / np.sqrt(INPUTS), 1.0 / np.sqrt(INPUTS)),
}
KINKS = {"kink-unif": (-ROOT_3, ROOT_3), "kink-neg-unif": (-ROOT_3, 0.0)}
FREE = ("zero", "normal", *UNIFORM, *KINKS)
FROM_DATA = ("kink_uniform", "kink-neg-point", "mean", "he+1", "he+5")


def weights(width: int = WIDTH, inputs: int = INPUTS) -> Floats:
    """He's."""
    rng = np.random.default_rng(11)
    return np.asarray(np.sqrt(2.0 / inputs) * rng.standard_normal((inputs, width)))


def training_points(inputs: int = INPUTS) -> Floats:
    return np.random.default_rng(12).standard_normal((POINTS, inputs)) + 0.3


def layer_of(name: str, gain: float = 1.0, width: int = WIDTH, inputs: int = INPUTS) -> InnerLayer:
    generator = np.random.default_rng(13)
    return initial_biases(name, gain, generator, weights(width, inputs), training_points(inputs))


def outputs(layer: InnerLayer, inputs: int = INPUTS) -> Floats:
    """a_i x + b_i at the training points, (N, n)."""
    return np.asarray(training_points(inputs) @ layer.a + layer.b)


def p_uniform(values: Floats, low: float, high: float) -> float:
    return float(scipy.stats.kstest(values, "uniform", args=(low, high - low)).pvalue)


def errors_from(values: Floats, mean: float) -> float:
    """How many standard errors the mean of some values is away from what it should be."""
    return float(abs(values.mean() - mean) / (values.std(ddof=1) / np.sqrt(len(values))))


# ------------------------------------------------------------------------- without the data


@pytest.mark.parametrize("gain", [1.0, 0.25])
@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_biases(name: str, gain: float) -> None:
    low, high = UNIFORM[name]
    b = layer_of(name, gain).b
    assert p_uniform(b, gain * low, gain * high) > FALSE_ALARM
    more = 0.05 * (high - low)
    assert p_uniform(b, gain * (low - more), gain * (high + more)) < FALSE_ALARM  # would show


@pytest.mark.parametrize("gain", [1.0, 0.25])
def test_normal_biases(gain: float) -> None:
    b = layer_of("normal", gain).b
    assert scipy.stats.kstest(b, "norm", args=(0.0, gain)).pvalue > FALSE_ALARM
    assert scipy.stats.kstest(b, "norm", args=(0.0, 1.05 * gain)).pvalue < FALSE_ALARM


@pytest.mark.parametrize("gain", [1.0, 0.25])
@pytest.mark.parametrize("name", KINKS)
def test_kinks_are_at_uniform_distances(name: str, gain: float) -> None:
    """The set where a x + b = 0 is at |b| / |a| from the origin; that of uniform biases is not."""
    low, high = KINKS[name]
    layer = layer_of(name, gain)
    distance = layer.b / np.linalg.norm(layer.a, axis=0)
    assert p_uniform(distance, gain * low, gain * high) > FALSE_ALARM
    others = layer_of("neg-unif" if high == 0.0 else "uniform", gain)
    distance = others.b / np.linalg.norm(others.a, axis=0)
    assert p_uniform(distance, gain * low, gain * high) < FALSE_ALARM


def test_bounds_of_pytorch_are_by_the_number_of_inputs() -> None:
    for inputs in (1, 9):
        b = layer_of("pytorch", inputs=inputs).b
        assert p_uniform(b, -1 / np.sqrt(inputs), 1 / np.sqrt(inputs)) > FALSE_ALARM


def test_unif_reaches_as_far_as_three_times_the_variance_of_outputs_says() -> None:
    """A x of unit variance has outputs of variance 2; uniform on (-r, r) has r^2 / 3."""
    b = layer_of("unif").b
    assert errors_from(b**2, 2.0) < 5
    assert errors_from(layer_of("uniform").b ** 2, 1.0) < 5


def test_zero_is_zero() -> None:
    assert not layer_of("zero", 2.0).b.any()


@pytest.mark.parametrize("name", FREE)
def test_gains_multiply_and_weights_stay(name: str) -> None:
    plain, scaled = layer_of(name, 1.0), layer_of(name, 0.5)
    assert np.array_equal(scaled.b, 0.5 * plain.b)
    assert np.array_equal(plain.a, weights())
    assert has_gain(name) == bool(plain.b.any())


@pytest.mark.parametrize("name", [*FREE[1:], *FROM_DATA])
def test_biases_of_neurons_differ(name: str) -> None:
    assert len(np.unique(layer_of(name, width=100).b)) == 100


# ------------------------------------------------------------------------- from the data


@pytest.mark.parametrize("name", FROM_DATA)
def test_gains_make_no_difference_to_biases_from_data(name: str) -> None:
    assert not has_gain(name)
    one, other = layer_of(name, 1.0), layer_of(name, 3.0)
    assert np.array_equal(one.b, other.b)
    assert np.array_equal(one.a, other.a)


def at_points(layer: InnerLayer, inputs: int = INPUTS) -> Floats:
    """How far each neuron's output is from zero at the nearest training point."""
    return np.asarray(np.abs(outputs(layer, inputs)).min(axis=0))


@pytest.mark.parametrize("name", ["kink-neg-point", "he+1"])
def test_kinks_on_training_points(name: str) -> None:
    """Of every neuron, and each point is as likely; for comparison, those of he+2 are not."""
    layer = layer_of(name)
    assert at_points(layer).max() < 1e-14 * np.abs(layer.b).max() * INPUTS
    counts = np.bincount(np.abs(outputs(layer)).argmin(axis=0), minlength=POINTS)
    assert scipy.stats.chisquare(counts).pvalue > FALSE_ALARM
    assert np.median(at_points(layer_of("he+2"))) > 1e-3


def test_biases_at_points_are_negative_and_their_weights_turned_around() -> None:
    layer = layer_of("kink-neg-point")
    assert layer.b.max() <= 0.0
    turned = (layer.a != weights()).any(axis=0)
    assert np.array_equal(layer.a, np.where(turned, -weights(), weights()))
    # Those whose output was negative at the point; of he+1, which turns none, biases have any sign.
    chosen = np.abs(outputs(layer)).argmin(axis=0)
    before = (training_points() @ weights())[chosen, np.arange(WIDTH)]
    assert np.array_equal(turned, before < 0.0)
    assert 0.3 < turned.mean() < 0.7
    assert layer_of("he+1").b.max() > 0.0
    assert np.array_equal(layer_of("he+1").a, weights())


def test_points_on_the_right_of_the_origin_switch_neurons_on() -> None:
    """In one dimension: a kink at x_k > 0 opens to the right, one at x_k < 0 to the left."""
    layer = layer_of("kink-neg-point", width=200, inputs=1)
    kinks = -layer.b / layer.a[0]
    assert np.abs(kinks[:, None] - training_points(1)[:, 0]).min(axis=1).max() < 1e-12
    assert np.array_equal(np.sign(kinks), np.sign(layer.a[0]))


def relative(layer: InnerLayer) -> Floats:
    """-b of each neuron, less the mean of its outputs a x, in units of their deviation."""
    z = training_points() @ layer.a
    return np.asarray((-layer.b - z.mean(axis=0)) / z.std(axis=0))


@pytest.mark.parametrize("terms", [1, 2, 5, 40])
def test_convex_combinations_have_the_variance_of_their_weights(terms: int) -> None:
    """Normalised exponential weights have E sum w^2 = 2 / (k + 1); points are drawn independently.

    Negative control: the equal weights of a mean have 1 / k.
    """
    layer = layer_of(f"he+{terms}")
    z = training_points() @ layer.a
    assert np.array_equal(layer.a, weights())
    slack = 1e-12 * np.abs(z).max(axis=0)
    assert (z.min(axis=0) - slack <= -layer.b).all()
    assert (-layer.b <= z.max(axis=0) + slack).all()
    assert errors_from(relative(layer), 0.0) < 5
    assert errors_from(relative(layer) ** 2, 2.0 / (terms + 1)) < 5
    assert terms == 1 or errors_from(relative(layer) ** 2, 1.0 / terms) > 5


def test_convex_combinations_of_neurons_are_independent() -> None:
    found = relative(layer_of("he+5"))
    assert errors_from(found[1:] * found[:-1], 0.0) < 5


def test_kinks_are_uniform_between_the_least_and_the_largest_output() -> None:
    layer = layer_of("kink_uniform")
    z = training_points() @ layer.a
    low, high = z.min(axis=0), z.max(axis=0)
    assert p_uniform((-layer.b - low) / (high - low), 0.0, 1.0) > FALSE_ALARM
    combined = -layer_of("he+2").b
    assert p_uniform((combined - low) / (high - low), 0.0, 1.0) < FALSE_ALARM  # would show
    assert np.array_equal(layer.a, weights())


def test_the_mean_centres_every_neuron() -> None:
    layer = layer_of("mean")
    assert np.abs(outputs(layer).mean(axis=0)).max() < 1e-13
    assert np.abs((training_points() @ weights()).mean(axis=0)).max() > 0.1
    assert np.array_equal(layer.a, weights())


# ----------------------------------------------------------------------------- networks


def start_with(name: str, parametrization: str, **changes: Any) -> Any:
    lists = {"bias_init": [name], "parametrization": [parametrization], "data": ["radial-2"]}
    sweep = setup_sweep(lists=lists, **changes)
    (cell,) = setup_cells(sweep)
    return start_of(cell, sweep.provenance(cell), np.arange(3))


@pytest.mark.parametrize("name", [*FREE, *FROM_DATA])
def test_he_and_ntk_networks_are_the_same_function(name: str) -> None:
    """Their factors sqrt(2/d) and sqrt(2/n) and He's deviations are equal."""
    he, ntk = start_with(name, "he"), start_with(name, "ntk")
    for one, other in zip(he.networks, ntk.networks, strict=True):
        assert np.array_equal(one, other)
    assert not he.networks.c.any()
    factors = [
        (start.problem.optimizer.inner_factor, start.problem.optimizer.outer_factor)
        for start in (he, ntk)
    ]
    assert factors == [(1.0, 1.0), (1.0, 0.5)]  # of 2 inputs and 8 neurons


def test_weights_are_those_of_he() -> None:
    (cell,) = setup_cells(setup_sweep(lists={"width": [5000], "data": ["radial-2"]}))
    nets = start_of(cell, setup_sweep().provenance(cell), np.arange(4)).networks
    assert scipy.stats.kstest(nets.a.ravel(), "norm", args=(0, 1.0)).pvalue > FALSE_ALARM
    deviation = np.sqrt(2 / 5000)
    assert scipy.stats.kstest(nets.w.ravel(), "norm", args=(0, deviation)).pvalue > FALSE_ALARM
    assert scipy.stats.kstest(nets.w.ravel(), "norm", args=(0, 1.1 * deviation)).pvalue < 1e-4
    assert abs(np.corrcoef(nets.a[:, 0].ravel(), nets.w.ravel())[0, 1]) < 5 / np.sqrt(20_000)


# ------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", [*FREE, *FROM_DATA, "he+100"])
def test_names(name: str) -> None:
    assert is_bias_init(name)


@pytest.mark.parametrize(
    "name",
    ["", "Zero", "he", "he+", "he+0", "he+05", "he-5", "he+5 ", "he+5\n", "he+12345", "he+1.5",
     "kink-uniform", "kink_unif", "unif-1", "point"],
)  # fmt: skip
def test_other_names_are_refused(name: str) -> None:
    assert not is_bias_init(name)
    assert not has_gain(name)
    with pytest.raises(KeyError):
        layer_of(name, width=2)
