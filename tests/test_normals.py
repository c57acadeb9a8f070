"""Our own normals: against the transform in plain Python, their law, and any part by itself."""

from __future__ import annotations

from math import cos, log, pi, sin, sqrt

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from mcrelu.normals import LANES, TILE, standard_normals
from mcrelu.philox import philox4x32, philox_words
from mcrelu.rng import CounterNormals
from mcrelu.types import Floats

quick = settings(deadline=None, derandomize=True, max_examples=60)
KEYS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
FALSE_ALARM = 1e-4  # of the tests of the law; the seeds are fixed


def normals(key: tuple[int, int], first: int, count: int) -> Floats:
    out = np.full(count, np.nan)
    standard_normals(np.uint64(key[0]), np.uint64(key[1]), first, out)
    return out


def plain(key: tuple[int, int], number: int) -> tuple[float, float]:
    """One normal by the textbook, and its radius: which block, which words, radius and angle."""
    tile, place = divmod(number, TILE)
    row, lane = divmod(place, LANES)
    block = tile * LANES + lane
    counter = (block % 2**32, block // 2**32, 0, 0)
    words = [int(word) for word in philox4x32(*(np.uint64(v) for v in (*counter, *key)))]
    u, v = words[2 * (row // 2)], words[2 * (row // 2) + 1]
    radius = sqrt(-2.0 * log((u + 0.5) / 2.0**32))
    # Quarter q of a turn and the fraction f of one: the angle is q pi / 2 + f pi / 2 - pi / 4
    quarter, fraction = divmod(v, 2**30)
    angle = (quarter - 0.5 + (fraction + 0.5) / 2.0**30) * pi / 2.0
    return radius * (cos(angle) if row % 2 == 0 else sin(angle)), radius


@given(key=KEYS, first=st.integers(0, 2**40), count=st.integers(1, 300))
@quick
def test_the_transform_of_the_words(key: tuple[int, int], first: int, count: int) -> None:
    expected, radius = np.array([plain(key, first + k) for k in range(count)]).T
    # The squared radius, 2 (32 log 2 - log u), is exact to some roundings of 44, so the smaller the
    # radius the larger its error.
    allowed = 1e-14 + 1e-14 / radius
    assert (np.abs(normals(key, first, count) - expected) < allowed).all()


@given(key=KEYS, block=st.integers(0, 2**60), count=st.integers(1, 40))
@quick
def test_words_in_lockstep_are_those_one_by_one(
    key: tuple[int, int], block: int, count: int
) -> None:
    k0, k1 = (np.uint64(k) for k in key)
    words = np.empty((4, count), dtype=np.uint64)
    philox_words(words, k0, k1, np.uint64(block))
    for k in range(count):
        high, low = divmod(block + k, 2**32)
        counter = (np.uint64(low), np.uint64(high), np.uint64(0), np.uint64(0))
        assert words[:, k].tolist() == [int(word) for word in philox4x32(*counter, k0, k1)]


@given(key=KEYS, first=st.integers(0, 1000), count=st.integers(1, 400), cut=st.integers(0, 400))
@quick
def test_a_part_is_that_part(key: tuple[int, int], first: int, count: int, cut: int) -> None:
    whole, cut = normals(key, first, count), min(cut, count - 1)
    np.testing.assert_array_equal(normals(key, first + cut, count - cut), whole[cut:])


def test_frozen() -> None:
    """Streams are part of what a block is: these may never change, on any machine."""
    got = [value.hex() for value in normals((1, 2), 10**6, 4)]
    assert got == FROZEN


FROZEN = [
    "0x1.e62e89155b730p-3",
    "-0x1.a8d528692d920p+0",
    "0x1.1b4dbfe2ca761p-3",
    "-0x1.0fe48ad3427a2p-1",
]


@pytest.mark.parametrize("key", [(0, 0), (123, 456)])
def test_they_are_standard_normal(key: tuple[int, int]) -> None:
    sample = normals(key, 0, 2**20)
    assert scipy.stats.kstest(sample, "norm").pvalue > FALSE_ALARM
    # Tails, by the number beyond 4
    beyond = int((np.abs(sample) > 4.0).sum())
    assert scipy.stats.binomtest(beyond, len(sample), 2 * scipy.stats.norm.sf(4.0)).pvalue > (
        FALSE_ALARM
    )


def test_a_biased_sample_is_found() -> None:
    """Negative control of the test above."""
    sample = 1.01 * normals((0, 0), 0, 2**20)
    assert scipy.stats.kstest(sample, "norm").pvalue < FALSE_ALARM


@pytest.mark.parametrize("lag", [1, 2, LANES, 2 * LANES, TILE])
def test_neighbours_do_not_correlate(lag: int) -> None:
    """Nor do their squares: two normals of a pair share a radius."""
    sample = normals((5, 6), 0, 2**20)
    for values in (sample, sample**2):
        r = np.corrcoef(values[:-lag], values[lag:])[0, 1]
        assert abs(r) < 5.0 / np.sqrt(len(sample))


def test_keys_have_streams_of_their_own() -> None:
    base = normals((7, 8), 0, 2**16)
    for other in ((8, 8), (7, 9), (8, 7)):
        r = np.corrcoef(base, normals(other, 0, 2**16))[0, 1]
        assert abs(r) < 5.0 / 2**8


@given(
    width=st.integers(1, 300),
    wanted=st.lists(st.integers(0, 19), unique=True).map(sorted),
)
@quick
def test_rows_in_any_choice_are_the_same(width: int, wanted: list[int]) -> None:
    drawn = CounterNormals(np.random.SeedSequence(3), 20, width)
    whole = drawn.rows(np.arange(20))
    assert whole.shape == drawn.shape == (20, width)
    index = np.array(wanted, dtype=int)
    np.testing.assert_array_equal(drawn.rows(index), whole[index])
    more = CounterNormals(np.random.SeedSequence(3), 50, width)
    np.testing.assert_array_equal(more.rows(np.arange(20)), whole)
