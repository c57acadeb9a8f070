"""Whether networks that the form ``modewise`` certifies ever cross, over many kinds of problems.

``python -m benchmarks.soundness [--networks 100000] [--steps 1000000] [--minutes 60]``

Networks are certified at steps 0, 1, 10, .. by ``modewise`` and trained on until a kink crosses,
the form ``sharp`` certifies them too (as it does wherever ``published`` is a proof and does), or
the steps are over. Ends with an error if any network crosses.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

import numpy as np

from mcrelu.data import standard_points
from mcrelu.engines.one_d.group_state import State
from mcrelu.engines.one_d.grouped import GroupedEngine
from mcrelu.init import INITIALIZERS
from mcrelu.problems.one_d import Problem, Weights
from mcrelu.theory.certificate import certified
from mcrelu.theory.criterion import Form
from mcrelu.theory.sigma import data_moments, inv_lambda_max, u_hat
from mcrelu.types import Bools, Floats, PointSet

BATCH = 500
LARGEST_BIASED = 64  # width of networks whose neurons are all loose, one by one, from the start
CERTIFY_AT = (0, 1, 10, 100, 1000, 10_000)
GROWTH = 1.5  # of the steps from one check of the form sharp to the next
ENGINE = GroupedEngine()


class Setting(NamedTuple):
    """What the networks of a batch have in common."""

    width: int
    scale: float  # of the targets, before the offset
    offset: float
    initializer: str
    leaky_slope: float
    sample: str  # "full": n^2 draws; "small": some points get none; "near": some get hardly any
    biased: bool  # kinks start anywhere inside, not all at zero

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Setting:
        """Any combination; small offsets are more frequent, since large ones make kinks cross."""
        biased = rng.random() < 0.2
        return cls(
            width=int(2 ** rng.integers(1, 7 if biased else 12)),
            scale=float(rng.choice([1.0, 10.0 ** rng.uniform(-2, 0)])),
            offset=float(rng.choice([0.0, 5.0 * rng.random() ** 4])),
            initializer=str(rng.choice(["he", "swapped"])),
            leaky_slope=float(rng.choice([0.0, rng.uniform(0.0, 0.99)])),
            sample=str(rng.choice(["full", "full", "small", "near"])),
            biased=bool(biased),
        )


@dataclass
class Tally:
    """What came of the networks so far."""

    drawn: int = 0
    certified: Counter[int] = field(default_factory=Counter)  # by step
    kinds: Counter[str] = field(default_factory=Counter)  # certified, by what is unusual
    trained_for: list[int] = field(default_factory=list)  # steps after the certificate
    crossed: list[str] = field(default_factory=list)
    confirmed: int = 0  # by the form sharp
    crossed_uncertified: int = 0  # while certificates were issued: what there was to be wrong about

    def show(self, seconds: float) -> None:
        """Print all of it."""
        total = self.certified.total()
        print(f"{self.drawn} networks in {seconds:.0f} s; {total} certified")
        for step, count in sorted(self.certified.items()):
            print(f"  at step {step}: {count}")
        for kind, count in sorted(self.kinds.items()):
            print(f"  {kind}: {count}")
        print(f"{self.crossed_uncertified} others crossed by step {CERTIFY_AT[-1]}")
        if self.trained_for:
            steps = np.array(self.trained_for)
            print(
                f"trained on for {steps.sum():.3g} steps in all, {np.median(steps):.0f} (median), "
                f"{steps.max()} (most); {self.confirmed} until `sharp` certified them too"
            )
        print(f"{len(self.crossed)} certified networks crossed", *self.crossed[:20], sep="\n  ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=1_000_000, help="after the certificate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--minutes", type=float, default=np.inf, help="after which none are drawn")
    options = parser.parse_args()
    tally, start = Tally(), perf_counter()
    for k, size in enumerate(sizes(options.networks, options.batch)):
        if perf_counter() - start > 60.0 * options.minutes:
            break
        rng = np.random.default_rng([options.seed, k])
        setting = Setting.draw(rng)
        certify_and_train(setting, drawn(setting, size, rng), options.steps, tally)
    tally.show(perf_counter() - start)
    if tally.crossed:
        raise SystemExit(1)


def sizes(networks: int, batch: int) -> Iterator[int]:
    """Networks batch by batch."""
    for first in range(0, networks, batch):
        yield min(batch, networks - first)


def drawn(setting: Setting, networks: int, rng: np.random.Generator) -> Problem:
    """Networks of a setting with step sizes of 0.1 to 1.99 / lambda_max."""
    x, y = standard_points()
    points, shape = PointSet(x, setting.scale * y + setting.offset), (networks, setting.width)
    normals = rng.standard_normal(shape), rng.standard_normal(shape)
    weights = INITIALIZERS[setting.initializer](*normals)
    if setting.biased:
        weights = with_kinks_inside(weights, rng)
    p = sample_weights(setting, networks, rng)
    factor = rng.uniform(0.1, 1.99, networks)
    step_size = factor * inv_lambda_max(weights, points, p, setting.leaky_slope)
    return Problem(points, p, weights, step_size, "gd", setting.leaky_slope)


def with_kinks_inside(weights: Weights, rng: np.random.Generator) -> Weights:
    """Kinks and output biases spread by a different scale for each network."""
    m, n = weights.shape
    spread = 10.0 ** rng.uniform(-3, 0, (m, 1))
    b = weights.a * spread * rng.uniform(-1, 1, (m, n))
    return weights._replace(b=b, c=spread[:, 0] * rng.standard_normal(m))


def sample_weights(setting: Setting, networks: int, rng: np.random.Generator) -> Floats:
    """Weights of the six points."""
    draws = 8 if setting.sample == "small" else max(setting.width**2, 16)
    p = rng.multinomial(draws, np.full(6, 1 / 6), size=networks) / draws
    if setting.sample == "near":
        p = p * 10.0 ** rng.uniform(-6, 0, p.shape)
        p /= p.sum(axis=1, keepdims=True)
    return p


def certify_and_train(setting: Setting, problem: Problem, steps: int, tally: Tally) -> None:
    """All networks of one setting."""
    state, done = ENGINE.init(problem), 0
    tally.drawn += len(problem.p)
    for step in CERTIFY_AT:
        state, done = ENGINE.advance(state, step - done), step
        inside = ENGINE.info(state).first_crossing == 0
        tally.crossed_uncertified += int((~inside).sum())
        state = ENGINE.keep(state, inside)
        if not len(state.rows):
            return
        certified = certified_by(Form.MODEWISE, state)
        count = int(certified.sum())
        if count:
            tally.certified[step] += count
            for kind in kinds(setting):
                tally.kinds[kind] += count
            train_on(setting, ENGINE.keep(state, certified), steps, tally)
        state = ENGINE.keep(state, ~certified)
        if not len(state.rows):
            return


def kinds(setting: Setting) -> Iterator[str]:
    """What is unusual about a setting."""
    yield f"width {setting.width:4d}"
    if setting.scale < 1.0:
        yield "with smaller targets"
    if setting.offset:
        yield "with an offset"
    if setting.leaky_slope:
        yield "with a leaky slope"
    if setting.biased:
        yield "with kinks that start anywhere"
    if setting.initializer == "swapped":
        yield "with swapped variances"
    if setting.sample != "full":
        yield f"with {setting.sample} samples"


def train_on(setting: Setting, state: State, steps: int, tally: Tally) -> None:
    """Train certified networks until something is decided."""
    first, done, gap = state.steps, 0, 10
    while len(state.rows) and done < steps:
        gap = min(gap, steps - done)
        state, done = ENGINE.advance(state, gap), done + gap
        crossing = ENGINE.info(state).first_crossing
        for row in np.flatnonzero(crossing):
            where = f"network {state.rows[row]}, certified at {first}, crossed at {crossing[row]}"
            tally.crossed.append(f"{setting}: {where}")
        open_ = crossing == 0
        confirmed = certified_by(Form.SHARP, state) & open_
        tally.confirmed += int(confirmed.sum())
        decided = confirmed | ~open_
        tally.trained_for += [done] * int(decided.sum())
        state = ENGINE.keep(state, ~decided)
        gap = max(gap, int((GROWTH - 1.0) * done))
    tally.trained_for += [done] * len(state.rows)


def certified_by(form: Form, state: State) -> Bools:
    """What a form of the criterion says, (m,)."""
    return certified(
        form,
        ENGINE.moments(state),
        data_moments(state.points, state.p),
        u_hat(state.points, state.p, ENGINE.outputs(state)),
        state.step_size,
        state.leak,
        lambda mask: ENGINE.outermost(state, np.flatnonzero(mask)),
    )


if __name__ == "__main__":
    main()
