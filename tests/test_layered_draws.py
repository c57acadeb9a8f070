"""Draws and initialisation of layered networks."""

from __future__ import annotations

import numpy as np
import pytest

from mcrelu.init import he_layers
from mcrelu.rng import LayeredDraws, layered_draws

SIZES = (2, 40, 30, 1)


def draws(networks: int = 50, block: int = 0, seed: int = 1) -> LayeredDraws:
    return layered_draws(seed, 7, block, networks, SIZES, 33, 1600)


def flat(drawn: LayeredDraws) -> list[np.ndarray]:
    return [drawn.counts, *(part for layer in drawn.normals for part in layer)]


def test_shapes() -> None:
    drawn = draws()
    assert drawn.counts.shape == (50, 33)
    assert (drawn.counts.sum(axis=1) == 1600).all()
    shapes = [(layer.weight.shape, layer.bias.shape) for layer in drawn.normals]
    assert shapes == [
        ((50, 2, 40), (50, 40)), ((50, 40, 30), (50, 30)), ((50, 30, 1), (50, 1))
    ]  # fmt: skip


def test_the_first_networks_do_not_depend_on_how_many_there_are() -> None:
    for few, many in zip(flat(draws(3)), flat(draws(50)), strict=True):
        np.testing.assert_array_equal(few, many[:3])


@pytest.mark.parametrize("other", [draws(block=1), draws(seed=2)])
def test_blocks_and_seeds_differ(other: LayeredDraws) -> None:
    for one, two in zip(flat(draws()), flat(other), strict=True):
        assert not np.array_equal(one, two)


def test_arrays_have_streams_of_their_own() -> None:
    heads = [part.ravel()[:3].tolist() for part in flat(draws())[1:]]
    assert len({tuple(head) for head in heads}) == len(heads)


@pytest.mark.parametrize("random_bias", [False, True])
def test_he_variances(random_bias: bool) -> None:
    layers = he_layers(draws(2000).normals, random_bias)
    for layer, inputs in zip(layers, SIZES[:-1], strict=True):
        for part, expected in zip(layer, (2 / inputs, 2 / inputs * random_bias), strict=True):
            standard_error = expected * np.sqrt(2 / part.size)
            assert abs(part.var() - expected) <= 4 * standard_error
            assert abs(part.mean()) <= 4 * np.sqrt(expected / part.size)
