"""Philox against its published vectors and in plain Python; minibatches against their exact law."""

from __future__ import annotations

from itertools import product
from math import factorial, prod

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from mcrelu.philox import MINIBATCH, minibatch_counts, philox4x32
from mcrelu.rng import PhiloxMinibatches
from mcrelu.types import Array, Counts, Ints

WORDS = st.integers(0, 2**32 - 1)
quick = settings(deadline=None, derandomize=True, max_examples=100)

# Chi-square and z tests reject at this level. Seeds are fixed, so a test that passes once passes
# always; the level says how unlucky a fresh seed would have to be.
FALSE_ALARM = 1e-4

# Random123, kat_vectors: "philox4x32 10", counter, key, result.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def kernel(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(word) for word in philox4x32(*(np.uint64(v) for v in (*counter, *key))))


def plain(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Philox4x32-10 in Python integers (Salmon et al., section 3.3)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN_ANSWERS)
def test_known_answers(
    counter: tuple[int, ...], key: tuple[int, ...], result: tuple[int, ...]
) -> None:
    assert kernel(counter, key) == result
    assert plain(counter, key) == result


@given(st.tuples(*[WORDS] * 4), st.tuples(*[WORDS] * 2))
@quick
def test_equals_plain_python(counter: tuple[int, ...], key: tuple[int, ...]) -> None:
    assert kernel(counter, key) == plain(counter, key)


# ------------------------------------------------------------------------------ minibatches


def stream(seed: int, counts: list[list[int]]) -> PhiloxMinibatches:
    return PhiloxMinibatches(np.random.SeedSequence(seed), np.array(counts))


def draw_all(source: PhiloxMinibatches, networks: int, steps: int, first: int = 0) -> Counts:
    return source.draw(np.arange(networks), first, steps)


def plain_counts(seed: int, counts: list[int], network: int, step: int) -> list[int]:
    """A minibatch in Python integers: counter (step low, step high, network, quarter)."""
    key = tuple(int(word) for word in np.random.SeedSequence(seed).generate_state(2, np.uint32))
    drawn = [0] * len(counts)
    for quarter in range(4):
        for word in plain((step % 2**32, step // 2**32, network, quarter), key):
            drawn[point_of(word, counts)] += 1
    return drawn


def point_of(word: int, counts: list[int]) -> int:
    """The first point whose cumulative weight exceeds word / 2^32."""
    total = 0
    for j, count in enumerate(counts):
        total += count
        if word * sum(counts) < total * 2**32:
            return j
    raise AssertionError


# Sums that are powers of two, for which the limits are exact in floating point.
SAMPLES = [[8, 0, 3, 2, 1, 2], [0, 0, 0, 0, 0, 16], [1, 3, 2, 5, 4, 1]]


@pytest.mark.parametrize("first", [0, 12345, 2**32 - 5])
def test_minibatches_equal_plain_python(first: int) -> None:
    drawn = draw_all(stream(3, SAMPLES), 3, 10, first)
    for network, sample in enumerate(SAMPLES):
        for k in range(10):
            expected = plain_counts(3, sample, network, first + k)
            assert drawn[network, :, k].tolist() == expected


def test_a_word_on_the_limit_belongs_to_the_next_point() -> None:
    """A chance of 2^-32, made certain by limits that are the drawn words themselves."""
    key = (7, 9)
    first, second = np.uint64(key[0]), np.uint64(key[1])
    words = [word for quarter in range(4) for word in plain((5, 0, 2, quarter), key)]
    for word in words:
        counts = np.empty((2, 1), dtype=np.uint8)
        limits = np.array([word, 2**32], dtype=np.uint64)
        minibatch_counts(first, second, np.uint64(2), limits, 16, 5, counts)
        assert counts[0, 0] == sum(other < word for other in words)


def test_limits_are_the_cumulative_weights() -> None:
    """Of 2^32 words each point gets its share, to the word where N is a power of two."""
    limits = stream(0, [[1, 0, 4, 3], [0, 8, 0, 0]])._limits
    quarter = 2**30
    assert limits.tolist() == [
        [quarter // 2, quarter // 2, 5 * quarter // 2, 4 * quarter],
        [0, 4 * quarter, 4 * quarter, 4 * quarter],
    ]


@given(
    seed=WORDS,
    counts=st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any),
    first=st.integers(0, 2**40),
)
@quick
def test_every_minibatch_has_sixteen_points_of_the_sample(
    seed: int, counts: list[int], first: int
) -> None:
    drawn = draw_all(stream(seed, [counts]), 1, 20, first)
    assert drawn.dtype == np.uint8
    assert drawn.shape == (1, len(counts), 20)
    assert (drawn.sum(axis=1) == MINIBATCH).all()
    assert (drawn[0][np.array(counts) == 0] == 0).all()


def exact_law(p: list[float]) -> dict[tuple[int, ...], float]:
    """Probability of every outcome of Multinomial(16, p)."""
    outcomes = (
        (*head, MINIBATCH - sum(head))
        for head in product(range(MINIBATCH + 1), repeat=len(p) - 1)
        if sum(head) <= MINIBATCH
    )
    return {
        k: factorial(MINIBATCH)
        / prod(factorial(v) for v in k)
        * prod(q**v for q, v in zip(p, k, strict=True))
        for k in outcomes
    }


def p_value(drawn: Array, p: list[float]) -> float:
    """Chi-square test of drawn (D, steps) against Multinomial(16, p), jointly over all points.

    Outcomes of which fewer than ten are expected are merged into one.
    """
    law, steps = exact_law(p), drawn.shape[1]
    seen = {
        tuple(k): int(count)
        for k, count in zip(*np.unique(drawn.T, axis=0, return_counts=True), strict=True)
    }
    likely = [k for k, probability in law.items() if probability * steps >= 10]
    expected = np.array([law[k] * steps for k in likely])
    observed = np.array([seen.get(k, 0) for k in likely])
    expected = np.append(expected, steps - expected.sum())
    observed = np.append(observed, steps - observed.sum())
    statistic = ((observed - expected) ** 2 / expected).sum()
    return float(scipy.stats.chi2.sf(statistic, len(expected) - 1))


LAWS = [[4, 8, 4], [1, 6, 9], [3, 3, 3], [7, 2, 1]]


@pytest.mark.parametrize("counts", LAWS)
@pytest.mark.parametrize("seed", [1, 2])
def test_follow_the_multinomial_law(counts: list[int], seed: int) -> None:
    drawn = draw_all(stream(seed, [counts]), 1, 40_000)[0]
    assert p_value(drawn, [c / sum(counts) for c in counts]) > FALSE_ALARM


def test_follow_the_law_across_networks() -> None:
    """One step of many networks, where the third counter word counts."""
    drawn = draw_all(stream(5, [[4, 8, 4]] * 20_000), 20_000, 1)[:, :, 0].T
    assert p_value(drawn, [0.25, 0.5, 0.25]) > FALSE_ALARM


@pytest.mark.parametrize("wrong", [[0.26, 0.49, 0.25], [0.25, 0.49, 0.26]])
def test_the_test_tells_a_wrong_law(wrong: list[float]) -> None:
    """Negative control: weights off by 0.01 are found."""
    drawn = draw_all(stream(1, [[4, 8, 4]]), 1, 40_000)[0]
    assert p_value(drawn, wrong) < FALSE_ALARM / 100


def test_the_test_tells_too_little_scatter() -> None:
    """Negative control: the right means of two minibatches of 8 used twice are found."""
    halves = np.random.default_rng(0).multinomial(8, [0.25, 0.5, 0.25], size=40_000).T
    assert p_value(2 * halves, [0.25, 0.5, 0.25]) < FALSE_ALARM / 100


def correlation(one: Counts, other: Counts) -> float:
    """In units of its standard error."""
    r = np.corrcoef(one.astype(float).ravel(), other.astype(float).ravel())[0, 1]
    return float(r * np.sqrt(one.size))


def test_steps_and_networks_are_uncorrelated() -> None:
    drawn = draw_all(stream(9, [[4, 8, 4]] * 20), 20, 5000)[:, 0]
    bound = scipy.stats.norm.isf(FALSE_ALARM / 2)
    assert abs(correlation(drawn[:, 1:], drawn[:, :-1])) < bound
    assert abs(correlation(drawn[1:], drawn[:-1])) < bound
    assert correlation(drawn, drawn) > bound


# ---------------------------------------------------------------------------------- windows

NETWORKS, TOTAL = 7, 60


def source() -> PhiloxMinibatches:
    counts = np.random.default_rng(1).multinomial(64, [1 / 6] * 6, size=NETWORKS)
    return PhiloxMinibatches(np.random.SeedSequence(11), counts)


@given(
    cuts=st.lists(st.integers(1, TOTAL - 1), unique=True, max_size=5).map(sorted),
    networks=st.sets(st.integers(0, NETWORKS - 1), min_size=1).map(sorted),
    offset=st.sampled_from([0, 999, 2**32 - TOTAL // 2]),
)
@quick
def test_windows_are_the_same_however_they_are_cut(
    cuts: list[int], networks: list[int], offset: int
) -> None:
    whole = draw_all(source(), NETWORKS, TOTAL, offset)
    asked: Ints = np.array(networks)
    pieces = [
        source().draw(asked, offset + first, last - first)
        for first, last in zip([0, *cuts], [*cuts, TOTAL], strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=2), whole[asked])


def test_drawing_has_no_memory() -> None:
    once = source()
    late = once.draw(np.array([4]), 500, 10)
    once.draw(np.array([0, 1]), 0, 30)
    np.testing.assert_array_equal(once.draw(np.array([4]), 500, 10), late)


def test_steps_networks_and_keys_differ() -> None:
    """Negative control of the window tests: other steps, networks and keys draw otherwise."""
    same = [[16, 16, 16, 16]] * 2
    drawn = draw_all(stream(1, same), 2, 30)
    assert (drawn[0] != drawn[1]).any()
    assert (drawn[0] != draw_all(stream(1, same), 2, 30, first=1)[0]).any()
    assert (drawn[0] != draw_all(stream(1, same), 2, 30, first=2**32)[0]).any()
    assert (drawn[0] != draw_all(stream(2, same), 2, 30)[0]).any()
