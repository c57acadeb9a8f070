"""The rule that ends a cell's sample, and what it does to intervals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from mcrelu.stats.intervals import Interval, wilson
from mcrelu.stats.sequential import Sample, confidence_sequence, stopping_bias

BLOCKS = [(k, 100) for k in (30, 40, 35, 36, 33, 38, 31, 40)]


def test_the_relative_width_is_that_of_the_confidence_sequence() -> None:
    low, high = confidence_sequence(30, 100)
    assert Sample(1, 30, 100).relative_width == pytest.approx(float(high - low) / 0.3)


@pytest.mark.parametrize("sample", [Sample(), Sample(1, 0, 1000)])
def test_an_estimate_of_zero_is_never_narrow_enough(sample: Sample) -> None:
    assert sample.relative_width == math.inf
    assert not sample.reaches(2.0)


@pytest.mark.parametrize("blocks", range(1, len(BLOCKS)))
def test_a_sample_ends_with_the_first_block_that_makes_it_narrow_enough(blocks: int) -> None:
    k, n = (sum(column) for column in zip(*BLOCKS[:blocks], strict=True))
    target = Sample(blocks, k, n).relative_width
    assert Sample().grown(BLOCKS, target) == Sample(blocks, k, n)
    assert Sample().grown(BLOCKS, math.nextafter(target, 0)).blocks != blocks


def test_a_sample_ends_at_the_first_such_block_even_if_later_ones_are_too_wide() -> None:
    """A lucky first half, then nothing: the width over the estimate grows again."""
    blocks = [(90, 100), (0, 100), (0, 100)]
    target = Sample(1, 90, 100).relative_width
    assert Sample(3, 90, 300).relative_width > target
    assert Sample().grown(blocks, target) == Sample(1, 90, 100)


def test_growing_in_steps_is_growing_at_once() -> None:
    at_once = Sample().grown(BLOCKS, 0.5)
    in_steps = Sample()
    for count in BLOCKS:
        in_steps = in_steps.grown([count], 0.5)
    assert in_steps == at_once
    assert 1 < at_once.blocks < len(BLOCKS)


def test_blocks_behind_the_end_are_not_looked_at() -> None:
    end = Sample().grown(BLOCKS, 0.5).blocks
    drawn = iter(BLOCKS)
    Sample().grown(drawn, 0.5)
    assert len(BLOCKS) - len(list(drawn)) <= end + 1


def test_without_a_target_all_blocks_are_taken() -> None:
    assert Sample().grown(BLOCKS, None).n == 800


@pytest.mark.parametrize("p", [0.02, 0.2, 0.7])
def test_projections_come_true(p: float) -> None:
    """Up to the logarithm in the sequence's width, which they leave out."""
    now = Sample(k=int(p * 20_000), n=20_000)
    target = now.relative_width / 3
    need = now.projected(target)
    then = Sample(k=int(p * need), n=int(need))
    assert need == pytest.approx(9 * 20_000)
    assert then.relative_width == pytest.approx(target, rel=0.15)


def test_a_projection_from_no_crossing_is_cautious() -> None:
    assert Sample(k=0, n=1000).projected(0.1) == pytest.approx(100_000)
    assert Sample(k=0, n=10**5).projected(0.1) < Sample(k=2, n=10**5).projected(0.1)


def missed(interval: Callable[..., Interval], p: float, block: int, target: float) -> float:
    """Exact probability that an interval misses p where it first is narrow enough.

    The law of k among the samples that go on, block by block.
    """
    step = binom.pmf(np.arange(block + 1), block, p)
    going_on, wrong, n = np.ones(1), 0.0, 0
    while going_on.sum() > 1e-5:
        going_on, n = np.convolve(going_on, step), n + block
        k = np.flatnonzero(going_on > 1e-12)
        low, high = interval(k, np.full(len(k), n))
        ends = (k > 0) & ((high - low) * n <= target * k)
        wrong += float(going_on[k[ends & ((p < low) | (high < p))]].sum())
        going_on[k[ends]] = 0.0
    return wrong


OPTIONAL = [(0.36, 10, 0.9), (0.36, 5, 1.2), (0.1, 10, 1.5), (0.1, 1, 2.0)]


@pytest.mark.parametrize(("p", "block", "target"), OPTIONAL)
def test_the_sequence_covers_its_level_where_the_sample_ends_by_it(
    p: float, block: int, target: float
) -> None:
    assert missed(confidence_sequence, p, block, target) <= 0.05


@pytest.mark.parametrize(("p", "block", "target"), OPTIONAL[1:])
def test_wilson_s_interval_does_not(p: float, block: int, target: float) -> None:
    """Negative control: the same rule with an interval for one time."""
    assert missed(wilson, p, block, target) > 0.06


def test_simulated_samples_hold_the_truth() -> None:
    """The rule itself, on blocks of drawn networks; 0.95 less three standard errors of 300 runs."""
    p, runs = 0.2, 300
    drawn = np.random.default_rng(20200212).binomial(50, p, (runs, 200))
    held = []
    for run in drawn:
        sample = Sample().grown(((int(k), 50) for k in run), 0.5)
        assert sample.reaches(0.5)
        low, high = confidence_sequence(sample.k, sample.n)
        held.append(low <= p <= high)
    assert np.mean(held) >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs)


def ended_samples(p: float, target: float, size: int, runs: int) -> list[Sample]:
    """Samples of blocks of ``size`` networks, each up to the end of the first narrow enough."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(runs):
        sample = Sample()
        while not sample.reaches(target):
            sample = sample.grown([(int(rng.binomial(size, p)), size)], None)
        found.append(sample)
    return found


@pytest.mark.parametrize("target", [1.0, 2.0])
def test_the_bias_of_estimates_whose_samples_ended_early(target: float) -> None:
    """Up to about 1/k; and none, by Wald's identity, where the counts of many are added."""
    p, runs = 0.3, 1000
    samples = ended_samples(p, target, size=10, runs=runs)
    estimates = np.array([one.k / one.n for one in samples]) / p
    error = estimates.std() / np.sqrt(runs)
    expected = np.mean([stopping_bias(one.k) for one in samples])
    assert estimates.mean() - 1.0 > 5 * error  # there is one
    assert estimates.mean() - 1.0 == pytest.approx(expected, rel=0.5)
    together = sum(one.k for one in samples) / sum(one.n for one in samples) / p
    assert together == pytest.approx(1.0, abs=3 * error)
