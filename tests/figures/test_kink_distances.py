"""Distances of kinks from the origin, against integrals and samples."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import chi, kstest

from mcrelu.bias_init import initial_biases
from mcrelu.experiments.setups.kink_distances import (
    FARTHEST,
    INDEPENDENT,
    UNIFORM,
    distance_cdf,
    inputs_shown,
    uniform_cdf,
)
from mcrelu.types import Floats

KINKS = 20_000
ALPHA = 1e-4  # the seed is fixed: what passes today passes always


def sampled(init: str, inputs: int) -> Floats:
    """Distances of kinks of a layer as networks have it."""
    generator = np.random.default_rng([20200212, inputs])
    a = np.sqrt(2.0 / inputs) * generator.standard_normal((inputs, KINKS))
    layer = initial_biases(init, 1.0, generator, a, np.zeros((1, inputs)))
    return np.asarray(np.abs(layer.b) / np.linalg.norm(layer.a, axis=0))


@pytest.mark.parametrize("inputs", [1, 2, 3, 8, 64, 1024])
@pytest.mark.parametrize("t", [1e-3, 0.5, 1.0, np.sqrt(3.0), 2.5, 50.0])
def test_is_the_integral_over_the_chi_distribution(inputs: int, t: float) -> None:
    c = np.sqrt(3.0 * inputs) / t
    low, high = chi.ppf([1e-16, 1.0 - 1e-16], inputs)
    parts = sorted({low, min(max(c, low), high), high})
    integral = sum(
        integrate.quad(lambda r: min(1.0, r / c) * chi.pdf(r, inputs), *ends, epsabs=1e-12)[0]
        for ends in pairwise(parts)
    )
    assert distance_cdf(np.array(t), inputs) == pytest.approx(integral, abs=1e-9)


@pytest.mark.parametrize("inputs", [1, 2, 7, 64])
def test_layers_have_these_distances(inputs: int) -> None:
    independent = sampled(INDEPENDENT, inputs)
    assert kstest(independent, lambda t: distance_cdf(t, inputs)).pvalue > ALPHA
    assert kstest(sampled(UNIFORM, inputs), uniform_cdf).pvalue > ALPHA


@pytest.mark.parametrize("inputs", [1, 2, 7])
def test_samples_tell_wrong_distributions(inputs: int) -> None:
    independent = sampled(INDEPENDENT, inputs)
    assert kstest(independent, lambda t: distance_cdf(t, 2 * inputs)).pvalue < ALPHA
    assert kstest(independent, uniform_cdf).pvalue < ALPHA
    assert kstest(sampled(UNIFORM, inputs), lambda t: distance_cdf(t, inputs)).pvalue < ALPHA


def test_ends() -> None:
    t = np.array([0.0, 1e12])
    for inputs in (1, 5, 1024):
        assert distance_cdf(t, inputs) == pytest.approx([0.0, 1.0])
    assert uniform_cdf(np.array([0.0, FARTHEST / 4, FARTHEST, 9.0])).tolist() == [
        0.0,
        0.25,
        1.0,
        1.0,
    ]


def test_many_inputs_make_it_uniform() -> None:
    t = np.linspace(0.0, 3.0, 50)
    far = [np.abs(distance_cdf(t, d) - uniform_cdf(t)).max() for d in (1, 8, 64, 512)]
    assert far == sorted(far, reverse=True)
    assert far[-1] < 0.02


def test_shown_for_either_initialisation() -> None:
    def row(init: str, inputs: int, gain: float = 1.0) -> dict[str, object]:
        return {"bias_init": init, "bias_gain": gain, "inputs": inputs}

    powers = [1, 2, 4, 8, 16, 32, 64]
    assert inputs_shown([row(INDEPENDENT, 2), row("zero", 3)]) == sorted([*powers, 3])
    assert inputs_shown([row(UNIFORM, 128)]) == [*powers, 128]
    assert inputs_shown([row("zero", 2), row(INDEPENDENT, 2, gain=0.5)]) == []
    assert inputs_shown([]) == []
