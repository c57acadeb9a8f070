"""The grouped engine in R^d against the torch engine on the star, and its widths.

``python -m benchmarks.grouped_vs_torch [--after EPOCHS] [--json]``
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

import numpy as np

from benchmarks.interleaved import Contestant, arguments, medians, ratio, show, take_turns
from mcrelu.data import point_weights, sample_size, star
from mcrelu.engines.r_d.grouped import GroupedEngine
from mcrelu.engines.r_d.protocol import Engine
from mcrelu.init import he_layers
from mcrelu.problems.r_d import Problem, State
from mcrelu.rng import layered_draws
from mcrelu.theory.ntk import lambda_max
from mcrelu.theory.rays import affine_threshold

RAYS = 11
SEED = 20200212
NETWORKS, EPOCHS = 4, 20_000
SLOW_WORK = 20_000_000  # points times neurons times epochs of a timed run of the other engine
MOST_NETWORKS, MOST_NEURONS = 64, 16_384  # at once there
AGREEMENT_NETWORKS, AGREEMENT_EPOCHS, TOLERANCE = 4, 200, 1e-9


def main() -> None:
    parser = arguments(__doc__ or "", rounds=7)
    parser.set_defaults(widths=[128, 512, 2048, 8192])
    parser.add_argument(
        "--after", type=int, default=10_000, help="epochs before the ones that are timed"
    )
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core for all
    torch = has_torch()
    if not torch:
        print("the torch engine cannot be imported: left out", file=sys.stderr)
    tables = {"grouped engine, us per network and epoch": widths_table(options)}
    if torch:
        tables["us per network and epoch"] = [
            versus_torch(width, options.after, options.rounds) for width in options.widths
        ]
    show(tables, options.json)


def has_torch() -> bool:
    """Whether the torch engine is there."""
    return all(
        importlib.util.find_spec(name) is not None
        for name in ("torch", "mcrelu.engines.r_d.torch_engine")
    )


def star_problem(networks: int, width: int) -> tuple[Problem, State]:
    """The networks of a star sweep with h = 1/lambda_max."""
    x, y = star(RAYS)
    sizes, samples = (x.shape[1], width, 1), sample_size(width)
    draws = layered_draws(SEED, 0, 0, networks, sizes, len(x), samples)
    layers, p = he_layers(draws.normals), point_weights(draws.counts)
    step_size = 1.0 / lambda_max(layers, x, p)
    return Problem(x, y, p, step_size, affine_threshold(x, y, p)), State.initial(layers)


def contestant(
    name: str, engine: Engine, width: int, networks: int, epochs: int, after: int
) -> Contestant:
    """A segment after some epochs, the same each time."""
    problem, state = star_problem(networks, width)
    state, _ = GroupedEngine().advance(problem, state, after)

    def segment() -> None:
        engine.advance(problem, state, epochs)

    return Contestant(name, segment, networks * epochs)


def widths_table(options: Any) -> list[dict[str, Any]]:
    """The grouped engine at all widths in turns, and each width's ratio to the first."""
    times = take_turns(
        [
            contestant(str(n), GroupedEngine(), n, NETWORKS, EPOCHS, options.after)
            for n in options.widths
        ],
        options.rounds,
    )
    first = str(options.widths[0])
    return [
        {"n": name, "us": us, f"n / {first}": ratio(times, name, first)}
        for name, us in medians(times, 1e6).items()
    ]


def versus_torch(width: int, after: int, rounds: int) -> dict[str, Any]:
    """Agreement first, then both engines in turns."""
    from mcrelu.engines.r_d.torch_engine import TorchEngine

    error = largest_difference(TorchEngine(), width)
    if not error < TOLERANCE:
        raise SystemExit(f"n={width}: engines differ by {error:.1e} (relative)")
    networks = max(1, min(MOST_NETWORKS, MOST_NEURONS // width))
    epochs = max(5, SLOW_WORK // (33 * networks * width))
    times = take_turns(
        [
            contestant("grouped", GroupedEngine(), width, NETWORKS, EPOCHS, after),
            contestant("torch", TorchEngine(), width, networks, epochs, after),
        ],
        rounds,
    )
    return {
        "n": width,
        "error": f"{error:.0e}",
        **medians(times, 1e6),
        "torch / grouped": ratio(times, "torch", "grouped"),
    }


def largest_difference(other: Engine, width: int) -> float:
    """Largest difference of the parameters on a small batch, relative to the largest."""
    problem, state = star_problem(AGREEMENT_NETWORKS, width)
    ours, theirs = (
        engine.advance(problem, state, AGREEMENT_EPOCHS)[0].layers
        for engine in (GroupedEngine(), other)
    )
    pairs = [
        (u, v) for one, two in zip(ours, theirs, strict=True) for u, v in zip(one, two, strict=True)
    ]
    return max(np.abs(u - v).max() for u, v in pairs) / max(np.abs(u).max() for u, _ in pairs)


if __name__ == "__main__":
    main()
