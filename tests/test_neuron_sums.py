"""Sums and extremes over neurons in one pass, against numpy's and exact ones."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcrelu import memory
from mcrelu.init import DrawnWeights, he
from mcrelu.problems.neuron_sums import LANES, neuron_sums
from mcrelu.problems.one_d import Weights
from mcrelu.rng import CounterNormals
from mcrelu.types import Floats

SEEDS = st.integers(0, 2**32 - 1)
quick = settings(deadline=None, derandomize=True, max_examples=60)


def network(seed: int, width: int, biased: bool, missing: int) -> Weights:
    """Three networks, of which the first has ``missing`` neurons with a = 0."""
    rng = np.random.default_rng(seed)
    a, b, w = rng.standard_normal((3, 3, width))
    a[0, :missing] = 0.0
    return Weights(a, b if biased else np.zeros_like(b), rng.standard_normal(3), w)


def exact(theta: Floats) -> Floats:
    """Theta theta^T by fractions: theta (3, k) -> (3, 3)."""
    rows = [[Fraction(float(value)) for value in row] for row in theta]
    return np.array(
        [[float(sum(x * y for x, y in zip(r, s, strict=True))) for s in rows] for r in rows]
    )


@given(
    seed=SEEDS,
    width=st.integers(1, 3 * LANES),
    biased=st.booleans(),
    missing=st.integers(0, 2),
)
@quick
def test_sums_and_ends_of_both_sides(seed: int, width: int, biased: bool, missing: int) -> None:
    net = network(seed, width, biased, missing)
    sums = neuron_sums(*net)
    np.testing.assert_array_equal(sums.c, net.c)
    for k in range(3):
        a, b, w = net.a[k], net.b[k], net.w[k]
        for side, own in enumerate((a > 0, a < 0)):
            theta = np.stack([a, b, w])[:, own]
            size = exact(np.abs(theta)).max(initial=1e-300)
            np.testing.assert_allclose(sums.sigma[k, side], exact(theta), atol=1e-14 * size)
            t = w[own] / a[own]
            ends = [t.min(initial=np.inf), t.max(initial=-np.inf)]
            assert sums.ends[k, side].tolist() == ends
        both = (a > 0).any() and (a < 0).any()
        assert sums.in_two_groups[k] == (both and (a != 0).all() and (b == 0).all())


@pytest.mark.parametrize("part", ["a", "b", "w"])
def test_nan_is_not_grouped_or_not_lost(part: str) -> None:
    net = network(0, 40, biased=False, missing=0)
    getattr(net, part)[1, 5] = np.nan
    sums = neuron_sums(*net)
    assert sums.in_two_groups[[0, 2]].all()
    assert np.isnan(sums.sigma[1]).any() or not sums.in_two_groups[1]


def test_tiny_input_weights_count() -> None:
    """Their squares underflow."""
    a = np.array([[1e-200, -1e-200, 1.0, -1.0]])
    sums = neuron_sums(a, np.zeros((1, 4)), np.zeros(1), np.ones((1, 4)))
    assert sums.in_two_groups.all()
    assert sums.ends[0, 0].tolist() == [1.0, 1e200]


def test_drawn_weights_are_summed_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    a, w = (CounterNormals(seed, 30, 21) for seed in np.random.SeedSequence(1).spawn(2))
    whole = DrawnWeights(he, a, w).rows(np.arange(30)).sums
    monkeypatch.setattr(memory, "NEURONS_AT_ONCE", 100)
    drawn = DrawnWeights(he, a, w)
    for got, expected in zip(drawn.sums, whole, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert drawn.sums is drawn.sums  # drawn once
