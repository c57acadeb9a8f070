"""Random streams: what a block's draws depend on, and the original's streams recomputed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcrelu import rng
from mcrelu.rng import (
    Draws,
    LegacyMinibatches,
    Normals,
    PhiloxMinibatches,
    draws_of,
    legacy_batches,
    legacy_block_size,
    legacy_draws,
)
from mcrelu.types import Array

WIDTH, POINTS, SAMPLES = 5, 6, 25


def draws(seed: int = 1, stream: int = 2, block: int = 3, networks: int = 8) -> Draws:
    return draws_of(
        "philox",
        seed=seed,
        stream=stream,
        block=block,
        networks=networks,
        width=WIDTH,
        points=POINTS,
        samples=SAMPLES,
    )


def everything(normals: Normals) -> np.ndarray:
    return normals.rows(np.arange(normals.shape[0]))


def arrays(of: Draws) -> dict[str, np.ndarray]:
    """Every array of a block, minibatches of a window included; rows are networks."""
    networks = np.arange(len(of.counts))
    return {
        "counts": of.counts,
        "validation_counts": of.validation_counts,
        "a_normals": everything(of.a_normals),
        "w_normals": everything(of.w_normals),
        "minibatches": of.minibatches.draw(networks, 100, 12),
    }


# ------------------------------------------------------------------------------------ philox


@given(
    seed=st.integers(0, 2**64),
    stream=st.integers(0, 2**64),
    block=st.integers(0, 10**6),
    lengths=st.tuples(st.integers(1, 12), st.integers(1, 12)).map(sorted),
)
@settings(deadline=None, derandomize=True, max_examples=50)
def test_first_networks_do_not_depend_on_the_length_of_the_block(
    seed: int, stream: int, block: int, lengths: list[int]
) -> None:
    short, long = (arrays(draws(seed, stream, block, length)) for length in lengths)
    for key, rows in short.items():
        np.testing.assert_array_equal(rows, long[key][: lengths[0]], err_msg=key, strict=True)


def test_draws_by_an_independent_computation() -> None:
    """The streams are part of every result's meaning: a change of theirs must not go unnoticed."""
    got = draws(networks=4)
    children = np.random.SeedSequence(1, spawn_key=(2, 3)).spawn(5)
    train, validation, a, w = (np.random.Generator(np.random.Philox(s)) for s in children[:4])
    expected = {
        "counts": train.multinomial(SAMPLES, [1 / POINTS] * POINTS, size=4),
        "validation_counts": validation.multinomial(SAMPLES, [1 / POINTS] * POINTS, size=4),
        "a_normals": a.standard_normal((4, WIDTH)),
        "w_normals": w.standard_normal((4, WIDTH)),
        "minibatches": PhiloxMinibatches(children[4], got.counts).draw(np.arange(4), 100, 12),
    }
    for key, rows in arrays(got).items():
        np.testing.assert_array_equal(rows, expected[key], err_msg=key)


def test_block_alone_fixes_the_draws() -> None:
    """No hidden state: neither the global generator nor earlier blocks have a say."""
    first = arrays(draws())
    draws(block=4)
    for key, rows in arrays(draws()).items():
        np.testing.assert_array_equal(rows, first[key], strict=True)


OTHERS = [
    {"seed": 2},
    {"stream": 3},
    {"block": 4},
    {"stream": 3, "block": 2},  # the same two numbers, exchanged
    {"seed": 2, "stream": 1},
    {"stream": 2 + 2**32},
    {"stream": 2 + (3 << 32), "block": 0},  # the same 32-bit words
]


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_seeds_streams_and_blocks_differ_in_every_array(other: dict[str, int]) -> None:
    mine, theirs = arrays(draws()), arrays(draws(**other))
    for key in ("counts", "validation_counts", "a_normals", "w_normals", "minibatches"):
        assert (mine[key] != theirs[key]).any(), key


def test_arrays_of_a_block_are_independent_streams() -> None:
    one = draws(networks=200)
    assert (one.counts != one.validation_counts).any(axis=1).mean() > 0.9
    # Normal draws from one stream would be equal; independent ones correlate by 1 / sqrt(1000).
    a, w = everything(one.a_normals), everything(one.w_normals)
    r = np.corrcoef(a.ravel(), w.ravel())[0, 1]
    assert abs(r) < 5 / np.sqrt(a.size)


def test_shapes_and_laws() -> None:
    one = draws(networks=4000)
    assert one.counts.shape == one.validation_counts.shape == (4000, POINTS)
    assert one.a_normals.shape == one.w_normals.shape == (4000, WIDTH)
    assert (one.counts.sum(axis=1) == SAMPLES).all()
    assert (one.validation_counts.sum(axis=1) == SAMPLES).all()
    # Five standard errors of means over 4000 networks, false alarm below 1e-5.
    deviation = np.sqrt(SAMPLES / POINTS * (1 - 1 / POINTS) / 4000)
    assert (np.abs(one.counts.mean(axis=0) - SAMPLES / POINTS) < 5 * deviation).all()
    for normals in (everything(one.a_normals), everything(one.w_normals)):
        assert abs(normals.mean()) < 5 / np.sqrt(normals.size)
        assert abs((normals**2).mean() - 1) < 5 * np.sqrt(2 / normals.size)


@given(
    seed=st.integers(0, 2**32),
    networks=st.integers(1, 40),
    wanted=st.lists(st.lists(st.integers(0, 39), unique=True), max_size=6),
)
@settings(deadline=None, derandomize=True, max_examples=50)
def test_normals_drawn_again_in_any_order_are_the_same(
    seed: int, networks: int, wanted: list[list[int]]
) -> None:
    """In runs of three rows, forwards, backwards and again, what one call gives at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rng, "NEURONS_PER_RUN", 3 * WIDTH)
        normals = draws(seed, networks=networks).a_normals
    at_once = everything(draws(seed, networks=networks).a_normals)
    for rows in wanted:
        index = np.array(sorted(row for row in rows if row < networks), dtype=int)
        np.testing.assert_array_equal(normals.rows(index), at_once[index])


# ------------------------------------------------------------------------------------ legacy


@pytest.mark.parametrize(
    ("seed", "networks", "width"), [(0, 3, 4), (101, 20, 16), (2**30 - 1, 1, 7)]
)
def test_legacy_draws_in_the_documented_order(seed: int, networks: int, width: int) -> None:
    """Training counts, validation counts, a, w, then minibatches, from one generator."""
    got = legacy_draws(seed, networks, width, 6, width**2)
    state = np.random.RandomState(seed)
    np.testing.assert_array_equal(
        got.counts, state.multinomial(width**2, [1 / 6] * 6, size=networks)
    )
    np.testing.assert_array_equal(
        got.validation_counts, state.multinomial(width**2, [1 / 6] * 6, size=networks)
    )
    np.testing.assert_array_equal(
        everything(got.a_normals), state.randn(networks, 1, width).squeeze(axis=1)
    )
    np.testing.assert_array_equal(
        everything(got.w_normals), state.randn(networks, 1, width).squeeze(axis=1)
    )
    window = got.minibatches.draw(np.arange(networks), 0, 5)
    for i in range(networks):
        expected = state.multinomial(16, got.counts[i] / width**2, size=5)
        np.testing.assert_array_equal(window[i], expected.T)


def test_legacy_minibatches_run_over_windows_and_running_networks() -> None:
    p = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.0, 1.0, 0.0], [0.3, 0.3, 0.4]])
    source, state = LegacyMinibatches(np.random.RandomState(5), p), np.random.RandomState(5)
    for window, running in enumerate([[0, 1, 2, 3], [0, 2, 3], [3], [3]]):
        got = source.draw(np.array(running), 10 * window, 10)
        assert got.shape == (len(running), 3, 10)
        assert got.dtype == np.uint8
        for row, network in enumerate(running):
            expected = state.multinomial(16, p[network], size=10)
            np.testing.assert_array_equal(got[row], expected.T)


def test_legacy_minibatches_depend_on_who_still_runs() -> None:
    """Negative control: dropping a network shifts the stream of those after it."""
    p = np.full((3, 4), 0.25)
    all_run = LegacyMinibatches(np.random.RandomState(5), p).draw(np.array([0, 1, 2]), 0, 10)
    some_run = LegacyMinibatches(np.random.RandomState(5), p).draw(np.array([0, 2]), 0, 10)
    np.testing.assert_array_equal(some_run[0], all_run[0])
    np.testing.assert_array_equal(some_run[1], all_run[1])
    assert (some_run[1] != all_run[2]).any()


# Reference section 1: min(2^max(16 - k, 3), 10000) networks per batch of width 2^k.
BATCH_SIZES = {16: 4096, 32: 2048, 64: 1024, 128: 512, 256: 256, 512: 128, 1024: 64, 2048: 32}


def test_legacy_batch_sizes() -> None:
    assert {width: legacy_block_size(width) for width in BATCH_SIZES} == BATCH_SIZES
    # Beyond the published widths: the bounds of the rule.
    assert legacy_block_size(4) == 10_000
    assert legacy_block_size(2**13) == legacy_block_size(2**15) == 8


def test_legacy_batches_make_ten_thousand_networks_of_every_width() -> None:
    batches = list(legacy_batches())
    assert list(dict.fromkeys(batch.width for batch in batches)) == list(BATCH_SIZES)
    numbers = Counter(batch.width for batch in batches)
    for width, size in BATCH_SIZES.items():
        own = [batch.networks for batch in batches if batch.width == width]
        assert numbers[width] == -(-10_000 // size)
        assert own[:-1] == [size] * (len(own) - 1)
        assert sum(own) == 10_000
        assert 0 < own[-1] <= size
    assert numbers == {16: 3, 32: 5, 64: 10, 128: 20, 256: 40, 512: 79, 1024: 157, 2048: 313}


def seeds_recomputed(number: int, discarded: int = 1000) -> list[int]:
    state = np.random.RandomState(1234567890)
    state.standard_normal(discarded)
    return state.randint(0, 2**30, size=number).tolist()


def test_legacy_seeds_by_an_independent_computation() -> None:
    """All batches take their seeds from one stream, in order, whatever their width."""
    seeds = [batch.seed for batch in legacy_batches()]
    assert len(seeds) == 627
    assert seeds == seeds_recomputed(627)
    assert seeds != seeds_recomputed(627, discarded=0)
    assert len(set(seeds)) == 627


def test_legacy_seeds_of_another_master_seed_differ() -> None:
    seeds = [batch.seed for batch in legacy_batches()]
    others = [batch.seed for batch in legacy_batches(1)]
    assert not set(seeds) & set(others)


def global_state() -> Array:
    state = np.random.get_state(legacy=True)
    assert isinstance(state, tuple)
    return np.array(state[1])


def test_streams_leave_the_global_generator_alone() -> None:
    before = global_state()
    draws()
    legacy_draws(1, 2, 3, 6, 9)
    list(legacy_batches())
    np.testing.assert_array_equal(global_state(), before)
