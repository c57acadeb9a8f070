"""Shuffles: permutations that are functions of key, network and epoch, all of them as likely."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from math import factorial

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from mcrelu.philox import philox4x32
from mcrelu.shuffles import shuffle
from mcrelu.types import Ints

FALSE_ALARM = 1e-4  # seeds are fixed: how unlucky a fresh seed would have to be
KEY = (0x12345678, 0x9ABCDEF0)
WORDS = st.integers(0, 2**32 - 1)


def order_of(points: int, key: tuple[int, int] = KEY, network: int = 0, epoch: int = 0) -> Ints:
    order = np.full(points, -7)  # whatever was there before
    k0, k1 = (np.uint64(word) for word in key)
    shuffle(k0, k1, np.uint64(network), np.uint64(epoch), order)
    return order


def plain(points: int, key: tuple[int, int], network: int, epoch: int) -> list[int]:
    """Fisher and Yates in Python integers."""
    words: list[int] = []
    for block in range(points // 4 + 1):
        counter = (block, epoch, network % 2**32, network >> 32)
        words += map(int, philox4x32(*(np.uint64(word) for word in (*counter, *key))))
    order = list(range(points))
    for word, i in zip(words, range(points - 1, 0, -1), strict=False):
        k = word * (i + 1) // 2**32
        order[i], order[k] = order[k], order[i]
    return order


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    points=st.integers(1, 300),
    key=st.tuples(WORDS, WORDS),
    network=st.integers(0, 2**40),
    epoch=WORDS,
)
def test_equals_plain_python(points: int, key: tuple[int, int], network: int, epoch: int) -> None:
    order = order_of(points, key, network, epoch).tolist()
    assert sorted(order) == list(range(points))
    assert order == plain(points, key, network, epoch)


def test_key_network_and_epoch_all_matter() -> None:
    """Of both words of the key and of the network, too."""
    asked = [
        (KEY, 0, 0), (KEY, 1, 0), (KEY, 2**32, 0), (KEY, 0, 1), (KEY, 1, 1),
        ((KEY[0] + 1, KEY[1]), 0, 0), ((KEY[0], KEY[1] + 1), 0, 0), (KEY[::-1], 0, 0),
    ]  # fmt: skip
    assert len({tuple(order_of(50, *one)) for one in asked}) == len(asked)


def test_no_points_and_one_point_need_no_words() -> None:
    assert order_of(0).tolist() == []
    assert order_of(1).tolist() == [0]


# ------------------------------------------------------------------------------ uniformity


def enough(points: int) -> int:
    """Orders for a chi-square test that shows a bias of a few percent."""
    return max(5000, 100 * factorial(points))


def p_value(orders: list[tuple[int, ...]]) -> float:
    """Chi-square test of all permutations being as likely."""
    counts = Counter(orders)
    every = [counts[one] for one in permutations(range(len(orders[0])))]
    assert sum(every) == len(orders) > 20 * len(every)
    return float(scipy.stats.chisquare(every).pvalue)


def smallest_of_positions(orders: list[tuple[int, ...]]) -> float:
    """Chi-square of where each point stands, by Bonferroni over the points."""
    places = np.argsort(np.array(orders), axis=1)
    counts = [np.bincount(column, minlength=places.shape[1]) for column in places.T]
    return min(1.0, len(counts) * min(scipy.stats.chisquare(one).pvalue for one in counts))


def biased(points: int, number: int) -> list[tuple[int, ...]]:
    """Every place swapped with any other: N^N equal paths to N! permutations."""
    rng, found = np.random.default_rng(3), []
    for _ in range(number):
        order = list(range(points))
        for i in range(points):
            k = int(rng.integers(points))
            order[i], order[k] = order[k], order[i]
        found.append(tuple(order))
    return found


def many(points: int, number: int, over: str) -> list[tuple[int, ...]]:
    """Orders of many epochs, networks or keys, all else equal."""
    orders = (
        order_of(
            points,
            (KEY[0], k if over == "keys" else KEY[1]),
            network=k if over == "networks" else 0,
            epoch=k if over == "epochs" else 0,
        )
        for k in range(number)
    )
    return [tuple(order.tolist()) for order in orders]


@pytest.mark.parametrize("over", ["epochs", "networks", "keys"])
@pytest.mark.parametrize("points", [2, 3, 4, 5])
def test_all_permutations_are_as_likely(points: int, over: str) -> None:
    assert p_value(many(points, enough(points), over)) > FALSE_ALARM


@pytest.mark.parametrize("points", [7, 16, 30])
def test_every_point_stands_anywhere(points: int) -> None:
    assert smallest_of_positions(many(points, 10_000, "epochs")) > FALSE_ALARM


def test_successive_epochs_are_independent() -> None:
    """From one order to the next, all permutations are as likely."""
    orders = many(4, 5000, "epochs")
    steps = [
        tuple(np.argsort(one)[list(other)].tolist())
        for one, other in zip(orders[::2], orders[1::2], strict=True)
    ]
    assert p_value(steps) > FALSE_ALARM


@pytest.mark.parametrize("points", [3, 4, 5])
def test_a_biased_shuffle_would_show(points: int) -> None:
    assert p_value(biased(points, enough(points))) < FALSE_ALARM
    assert smallest_of_positions(biased(7, 10_000)) < FALSE_ALARM
