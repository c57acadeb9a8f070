"""Whether initialisations satisfy the theorem's conditions: ours against the original's way.

``python -m benchmarks.event_probability [--width 16384] [--networks 100]``

The original draws arrays of (networks, neurons), repeats the weights for both signs, and goes over
them condition by condition. Both sides judge draws of their own here, and the fractions that
satisfy each condition are shown beside each other.
"""

from __future__ import annotations

import argparse
import time
from math import sqrt

import numpy as np
from rich.console import Console
from rich.table import Table

from mcrelu.data import STANDARD_X, STANDARD_Y
from mcrelu.experiments.event.block import measure
from mcrelu.experiments.event.conditions import CONDITIONS, EPS, GAMMA, hold
from mcrelu.sweep.sweep import Sweep
from mcrelu.types import Bools, Floats

SIGNS = (1, -1)


def ours(width: int, networks: int) -> dict[str, Bools]:
    """Through a block of a sweep, draws included."""
    sweep = Sweep.of({
        "version": 1, "experiment": "event", "seed": 1, "networks": networks,
        "cells": {"width": [width], "rhs_factor": [1]}, "block_size": networks,
    })  # fmt: skip
    cell = sweep.cells[0]
    return hold(*measure(sweep.block(cell, 0), sweep.provenance(cell)), width, 1.0)


def original(width: int, networks: int) -> dict[str, Bools]:
    """All networks at once, with a copy of the weights for each sign."""
    rng = np.random.RandomState(1)
    n, samples = width, width**2
    p = rng.multinomial(samples, [1 / 6] * 6, size=networks) / samples
    a, w = sqrt(2.0) * rng.randn(networks, n), sqrt(2.0 / n) * rng.randn(networks, n)
    b = np.zeros_like(a)
    sums = []
    for sign in SIGNS:
        mask = np.repeat((sign * a > 0.0)[:, None, :], 3, axis=1)
        theta = np.where(mask, np.stack([a, b, w], axis=1), 0.0)
        sums.append(np.matmul(theta, theta.transpose(0, 2, 1)))
    sigma = np.stack(sums, axis=1)
    aa, ww, wa = sigma[..., 0, 0], sigma[..., 2, 2], sigma[..., 2, 0]
    moments, optima = zip(*(side_of(p, sign) for sign in SIGNS), strict=True)
    even = np.full((1, 6), 1 / 6)
    reference, best = zip(*(side_of(even, sign) for sign in SIGNS), strict=True)
    eigenvalues = np.concatenate([np.linalg.eigvalsh(one) for one in moments], axis=1)
    allowed = np.concatenate([np.linalg.eigvalsh(one) for one in reference], axis=1)
    shift = np.abs(np.concatenate(optima, axis=1) - np.concatenate(best, axis=1)).max(axis=(1, 2))
    return {
        "W2": np.abs(w).max(axis=1) <= n ** (EPS - 0.5),
        "W3": np.abs(a).max(axis=1) <= n**EPS,
        "W4": np.abs(a).min(axis=1) >= n ** (-1.0 - GAMMA),
        "W5": ((aa >= 0.5 * n) & (aa <= 2.0 * n)).all(axis=1),
        "W6": ((ww >= 0.5) & (ww <= 2.0)).all(axis=1),
        "W7": (np.abs(wa) <= n**EPS).all(axis=1),
        "D1": shift <= samples ** ((EPS - 1.0) / 2.0),
        "D2": (eigenvalues.min(axis=1) >= allowed.min() / 2.0)
        & (eigenvalues.max(axis=1) <= 2.0 * allowed.max()),
    }


def side_of(p: Floats, sign: int) -> tuple[Floats, Floats]:
    """M (m, 2, 2) and the optimal coefficients (m, 2, 1) of a side."""
    x, y = np.array(STANDARD_X), np.array(STANDARD_Y)
    own = sign * x > 0.0
    points = np.stack([x[own], np.ones(own.sum())])
    moments = np.einsum("mj,ij,kj->mik", p[:, own], points, points)
    return moments, np.linalg.pinv(moments) @ np.einsum("mj,ij,j->mi", p[:, own], points, y[own])[
        :, :, None
    ]


def main() -> None:
    """Time both on one core and print networks per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=2**14)
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    ours(64, 10)  # compile
    times: dict[str, list[float]] = {"ours": [], "original": []}
    held = {}
    for _ in range(arguments.rounds):
        for name, judge in (("ours", ours), ("original", original)):
            started = time.process_time()
            held[name] = judge(arguments.width, arguments.networks)
            times[name].append(time.process_time() - started)
    table = Table("", "us per network", *CONDITIONS)
    for name, spent in times.items():
        fractions = (f"{held[name][one].mean():.2f}" for one in CONDITIONS)
        table.add_row(name, f"{1e6 * min(spent) / arguments.networks:.0f}", *fractions)
    console = Console()
    console.print(table)
    console.print(f"original / ours: {min(times['original']) / min(times['ours']):.1f}")


if __name__ == "__main__":
    main()
