"""Random streams: where every draw of a block comes from.

Three modes. With ``philox4x32`` and ``philox`` each array of a block has a stream of its own, drawn
row by row, so the first k networks of a block do not depend on how many it has. They differ in the
normals: those of ``philox4x32`` are our own (mcrelu/normals.py), fast, and any row can be drawn by
itself; those of ``philox`` are numpy's. ``legacy`` repeats the streams of the original program
(docs/method.md 1), for comparison network by network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from mcrelu.normals import normal_rows
from mcrelu.philox import MINIBATCH, minibatch_counts
from mcrelu.problems.r_d import Layer, Layers
from mcrelu.types import Counts, Floats, Ints

NEURONS_PER_RUN = 2**14  # a run is drawn again for one of its networks: cheap, yet not too many

PROBE_NORMALS = 2**15  # reaches the rare branches of the ziggurat, its tail among them
PROBE_SAMPLES = (4, 2**8, 2**24)  # binomials by inversion and by rejection

LEGACY_MASTER_SEED = 1234567890
LEGACY_NETWORKS = 10_000
LEGACY_WIDTHS = tuple(2**k for k in range(4, 12))


class MinibatchStream(Protocol):
    """Source of the minibatches of SGD and Adam."""

    def draw(self, networks: Ints, first_step: int, steps: int) -> Counts:
        """How often each point stands in the minibatches of a window, (len(networks), D, steps).

        ``networks`` are row numbers in the block, ascending; ``first_step`` counts from 0.
        """


class Normals(Protocol):
    """Standard normals of m networks of width n."""

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""

    def rows(self, index: Ints) -> Floats:
        """Those of some networks, rows ascending, (len(index), n)."""


class Draws(NamedTuple):
    """Everything random about the networks of a block."""

    counts: Ints  # (m, D) training sample, rows sum to N
    validation_counts: Ints  # (m, D)
    a_normals: Normals
    w_normals: Normals
    minibatches: MinibatchStream


def draws_of(
    rng: str,
    *,
    seed: int,
    stream: int,
    block: int,
    networks: int,
    width: int,
    points: int,
    samples: int | None,
    minibatch: int = MINIBATCH,
) -> Draws:
    """The draws of a block, a function of (rng, seed, stream of the cell, block) alone.

    ``rng`` is "philox4x32" or "philox"; ``samples`` is N, the size of the training and of the
    validation sample, or None for samples that have each point once.
    """
    kinds: dict[str, Callable[[np.random.SeedSequence, int, int], Normals]]
    kinds = {"philox4x32": CounterNormals, "philox": RedrawnNormals}
    normals = kinds[rng]
    root = np.random.SeedSequence(seed, spawn_key=(stream, block))
    train, validation, a, w, batches = root.spawn(5)

    def sample(child: np.random.SeedSequence) -> Ints:
        if samples is None:
            return np.ones((networks, points), dtype=np.int64)
        uniform = np.full(points, 1.0 / points)
        generator = np.random.Generator(np.random.Philox(child))
        return generator.multinomial(samples, uniform, size=networks)

    counts = sample(train)
    return Draws(
        counts=counts,
        validation_counts=sample(validation),
        a_normals=normals(a, networks, width),
        w_normals=normals(w, networks, width),
        minibatches=PhiloxMinibatches(batches, counts, minibatch),
    )


@cache
def stream_version() -> str:
    """A fingerprint of what numpy makes of a seed, 16 hexadecimal digits.

    numpy promises no streams across versions (NEP 19), so a version of them is part of what a block
    is. The fingerprint is of draws rather than of numpy's version, since most versions change
    nothing; draws are rounded, since the last bit may depend on the CPU's exp and log.
    """
    root = np.random.SeedSequence(1, spawn_key=(2, 3))
    normal, uniform, counts = (np.random.Generator(np.random.Philox(s)) for s in root.spawn(3))
    total = hashlib.blake2b(digest_size=8)
    total.update(np.round(normal.standard_normal(PROBE_NORMALS) * 2.0**20).astype("<i8").tobytes())
    total.update(np.round(uniform.uniform(1.0, 2.0, 64) * 2.0**20).astype("<i8").tobytes())
    for samples in PROBE_SAMPLES:
        drawn = counts.multinomial(samples, np.full(6, 1.0 / 6.0), size=64)
        total.update(drawn.astype("<i8").tobytes())
    return total.hexdigest()


class LayeredDraws(NamedTuple):
    """Everything random about a block of networks with inputs in R^d."""

    counts: Ints  # (m, D) training sample, rows sum to N
    normals: Layers  # standard normals in the shapes of the parameters


def layered_draws(
    seed: int,
    stream: int,
    block: int,
    networks: int,
    sizes: Sequence[int],
    points: int,
    samples: int,
) -> LayeredDraws:
    """The draws of a block of layered networks, a function of (seed, stream, block) alone.

    ``sizes`` are the numbers of inputs, of neurons of each hidden layer, and of outputs (1);
    ``samples`` is N. Biases have streams of their own, so weights are the same without them.
    """
    root = np.random.SeedSequence(seed, spawn_key=(stream, block))
    sample, *children = (np.random.Philox(child) for child in root.spawn(2 * len(sizes) - 1))
    normals = [np.random.Generator(child) for child in children]
    return LayeredDraws(
        counts=np.random.Generator(sample).multinomial(
            samples, np.full(points, 1.0 / points), size=networks
        ),
        normals=tuple(
            Layer(
                weight.standard_normal((networks, *shape)),
                bias.standard_normal((networks, shape[1])),
            )
            for weight, bias, shape in zip(
                normals[::2], normals[1::2], pairwise(sizes), strict=True
            )
        ),
    )


class CounterNormals:
    """Normals that are functions of their number: row k has those from k n on."""

    def __init__(self, seed: np.random.SeedSequence, networks: int, width: int) -> None:
        self._key = seed.generate_state(2, np.uint32).astype(np.uint64)
        self.shape = (networks, width)

    def rows(self, index: Ints) -> Floats:
        """Those of some networks, rows ascending, (len(index), n)."""
        normals = np.empty((len(index), self.shape[1]))
        normal_rows(self._key[0], self._key[1], index, normals)
        return normals


class RedrawnNormals:
    """One stream, drawn in runs of rows; any run can be drawn again, so only the last is kept."""

    def __init__(self, seed: np.random.SeedSequence, networks: int, width: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(seed))
        self._size = max(1, NEURONS_PER_RUN // width)
        self._states = [self._generator.bit_generator.state]  # before each run that was reached
        self._last = (-1, np.empty((0, width)))
        self.shape = (networks, width)

    def rows(self, index: Ints) -> Floats:
        """Those of some networks, rows ascending, (len(index), n)."""
        runs = index // self._size
        parts = [self._run(k)[index[runs == k] - k * self._size] for k in np.unique(runs)]
        return np.concatenate([np.empty((0, self.shape[1])), *parts])

    def _run(self, k: int) -> Floats:
        if self._last[0] != k:
            while len(self._states) <= k:
                self._draw(len(self._states) - 1)
            self._last = (k, self._draw(k))
        return self._last[1]

    def _draw(self, k: int) -> Floats:
        m, n = self.shape
        self._generator.bit_generator.state = self._states[k]
        normals = self._generator.standard_normal((min(self._size, m - k * self._size), n))
        if len(self._states) == k + 1:
            self._states.append(self._generator.bit_generator.state)
        return normals


class HeldNormals:
    """Normals that are in memory."""

    def __init__(self, normals: Floats) -> None:
        self._normals = normals
        self.shape = normals.shape

    def rows(self, index: Ints) -> Floats:
        """Those of some networks, (len(index), n)."""
        return np.asarray(self._normals[index])


class PhiloxMinibatches:
    """Counter-based minibatches: any window of any network can be drawn at any time."""

    def __init__(self, seed: np.random.SeedSequence, counts: Ints, size: int = MINIBATCH) -> None:
        self._size = size
        self._key = seed.generate_state(2, np.uint32).astype(np.uint64)
        cumulative = counts.cumsum(axis=1)
        # Exact where N is a power of two, within 2^-32 otherwise.
        self._limits = (cumulative / cumulative[:, -1:] * 2.0**32).astype(np.uint64)

    def draw(self, networks: Ints, first_step: int, steps: int) -> Counts:
        """Counts of one window, (len(networks), D, steps)."""
        k0, k1 = self._key
        window = np.empty((len(networks), self._limits.shape[1], steps), dtype=np.uint8)
        for row, network in enumerate(networks):
            limits = self._limits[network]
            minibatch_counts(
                k0, k1, np.uint64(network), limits, self._size, first_step, window[row]
            )
        return window


def legacy_draws(seed: int, networks: int, width: int, points: int, samples: int) -> Draws:
    """The draws of one batch of the original program, which seeded the legacy generator."""
    state = np.random.RandomState(seed)
    uniform = [1.0 / points] * points
    counts = state.multinomial(samples, uniform, size=networks)
    validation_counts = state.multinomial(samples, uniform, size=networks)
    a_normals = HeldNormals(state.randn(networks, 1, width)[:, 0])
    w_normals = HeldNormals(state.randn(networks, 1, width)[:, 0])
    minibatches = LegacyMinibatches(state, counts / samples)
    return Draws(counts, validation_counts, a_normals, w_normals, minibatches)


class LegacyMinibatches:
    """The original's minibatches: one sequential stream over windows and running networks."""

    def __init__(self, state: np.random.RandomState, p: Floats) -> None:
        self._state = state
        self._p = p

    def draw(self, networks: Ints, first_step: int, steps: int) -> Counts:
        """Counts of the next window; must be called for windows in order."""
        window = [self._state.multinomial(MINIBATCH, self._p[i], size=steps) for i in networks]
        return np.stack(window).transpose(0, 2, 1).astype(np.uint8)


class LegacyBatch(NamedTuple):
    """One of the original's batches."""

    width: int
    networks: int
    seed: int


def legacy_batches(master_seed: int = LEGACY_MASTER_SEED) -> Iterator[LegacyBatch]:
    """The batches of the original's run in its order, with their seeds."""
    state = np.random.RandomState(master_seed)
    state.randn(1000)
    for width in LEGACY_WIDTHS:
        size = legacy_block_size(width)
        for first in range(0, LEGACY_NETWORKS, size):
            networks = min(size, LEGACY_NETWORKS - first)
            yield LegacyBatch(width, networks, int(state.randint(2**30)))


def legacy_block_size(width: int) -> int:
    """Networks per batch of the original, 2^max(16 - log2 n, 3), at most 10000."""
    return int(min(2 ** max(16 - int(np.log2(width)), 3), LEGACY_NETWORKS))
