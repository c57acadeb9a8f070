"""Quantiles of steps from a histogram, against those of the sorted steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcrelu.stats.step_histogram import BINS_PER_OCTAVE, StepHistogram

quick = settings(deadline=None, derandomize=True, max_examples=100)
STEPS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=60)
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def histogram(*parts: list[int]) -> StepHistogram:
    made = StepHistogram()
    for part in parts:
        made.add(np.array(part, dtype=np.uint32))
    return made


@given(first=STEPS, second=STEPS)
@quick
def test_quantiles_within_a_bin(first: list[int], second: list[int]) -> None:
    steps = np.sort(np.array(first + second))
    made = histogram(first, second)
    for level in LEVELS:
        exact = steps[int(np.ceil(level * len(steps))) - 1]
        got = made.quantile(level)
        assert got is not None
        assert got in steps
        assert exact / 2 ** (1.001 / BINS_PER_OCTAVE) <= got <= exact


@pytest.mark.parametrize("level", LEVELS)
def test_steps_of_checks_are_exact(level: int) -> None:
    checks = [0] * 30 + [1] * 30 + [10] * 20 + [100] * 10 + [1000] * 9 + [2000]
    expected = sorted(checks)[int(np.ceil(level * 100)) - 1]
    assert histogram(checks).quantile(level) == expected


def test_of_none_there_is_none() -> None:
    assert StepHistogram().quantile(0.5) is None
    assert histogram([], [7]).quantile(0.5) == 7
