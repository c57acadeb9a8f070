"""How much sooner the sharper certificate is done: whole blocks, draws included, on one core.

``python -m benchmarks.certificates [--widths 16 256] [--rounds 5] [--json] [--figure 10000]``

Both forms of the sufficient criterion get the same networks, and every network must end in the same
way. The last line is the GD series of Figure 5, ``--figure`` networks at each of its widths.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.interleaved import Contestant, arguments, medians, ratio, show, take_turns
from mcrelu.engines.one_d.grouped import GroupedEngine
from mcrelu.experiments.crossing.block import draw_block, problem_of, train_block
from mcrelu.experiments.crossing.cell import CrossingCell
from mcrelu.experiments.crossing.spec import default_block_size
from mcrelu.experiments.crossing.train import Running
from mcrelu.memory import chunks
from mcrelu.problems.neuron_sums import scaled_sums
from mcrelu.problems.one_d import Outcome, StopReason
from mcrelu.sweep.cell import Block
from mcrelu.sweep.sweep import Sweep

FORMS = ("modewise", "sharp")
MOST_SECONDS = 20.0  # of the slower form, roughly: sharp takes some 0.4 us per network and width
FIGURE_5 = (16, 32, 64, 128, 256, 512, 1024, 2048)
FAR_WIDTH = 4096  # wider ones are checked every 10 000 steps, as in jobs/sweeps/fig5-wide.yaml


def main() -> None:
    parser = arguments(__doc__ or "", rounds=3)
    parser.set_defaults(widths=[16, 256, 2048, 65536])
    parser.add_argument("--figure", type=int, default=10_000)
    options = parser.parse_args()
    tables = {
        "GD until its end, us per network": [row_of(n, options.rounds) for n in options.widths],
        "modewise by part, us per network": [parts_of(n, options.rounds) for n in options.widths],
        "Figure 5, GD, core-seconds": [figure(options.figure)],
    }
    show(tables, options.json)


def sweep_of(width: int, form: str, networks: int) -> Sweep:
    """One cell of Figure 5's GD series."""
    far = width >= FAR_WIDTH
    return Sweep.of(
        {
            "version": 1,
            "experiment": "crossing",
            "seed": 20200212,
            "networks": networks,
            "cells": {"width": [width]},
            "stop": ["crossing", {"sufficient": {"form": form}}],
            "checks": {"interval": 10_000 if far else 1000, "maximum": 10_000 if far else 1000},
            "block_size": networks,
        }
    )


def block_of(width: int, form: str, networks: int) -> tuple[Block, Any]:
    """A block and the provenance of its streams; both forms draw the same networks."""
    sweep = sweep_of(width, form, networks)
    (cell,) = sweep.cells
    return sweep.block(cell, 0), sweep.provenance(cell)


def networks_of(width: int) -> int:
    """A block of the default size, or as many as the slower form trains in some seconds."""
    (cell,) = sweep_of(width, "modewise", networks=1).cells
    assert isinstance(cell, CrossingCell)
    return min(default_block_size(cell), max(100, int(MOST_SECONDS / (0.4e-6 * width))))


def row_of(width: int, rounds: int) -> dict[str, Any]:
    """One row of the table: agreement first, then times."""
    networks = networks_of(width)
    blocks = {form: block_of(width, form, networks) for form in FORMS}
    ends = {form: train_block(*blocks[form])[1] for form in FORMS}
    agree(ends["modewise"], ends["sharp"])
    contestants = [
        Contestant(form, lambda form=form: train_block(*blocks[form]), networks) for form in FORMS
    ]
    times = take_turns(contestants, rounds)
    microseconds = medians(times, 1e6)
    return {
        "n": width,
        "networks": networks,
        **{form: microseconds[form] for form in FORMS},
        "sharp / modewise": ratio(times, "sharp", "modewise"),
        "steps, modewise": f"{ends['modewise'].stop_iteration.mean():.0f}",
        "steps, sharp": f"{ends['sharp'].stop_iteration.mean():.0f}",
    }


def parts_of(width: int, rounds: int) -> dict[str, Any]:
    """Where the time of a block goes; what is left is training and the later checks."""
    block, provenance = block_of(width, "modewise", networks_of(width))
    cell, networks = block.cell, block.networks
    assert isinstance(cell, CrossingCell)
    draws = draw_block(block, provenance)
    pieces = list(chunks(networks, width))
    drawn = [(draws.a_normals.rows(k), draws.w_normals.rows(k)) for k in pieces[:1]]
    problem = problem_of(cell, draws)  # sums are kept from here on
    problem.weights.sums  # noqa: B018
    engine = GroupedEngine()

    def draw() -> None:
        for k in pieces:
            draws.a_normals.rows(k)
            draws.w_normals.rows(k)

    def add_up() -> None:
        for _ in pieces:
            scaled_sums(*drawn[0], 1.0, 1.0)

    def check_once() -> None:
        rows = np.arange(networks)
        state = engine.init(problem)
        Running(engine, problem, problem.p, state, rows, [(), ()]).judge(cell.criteria, early=True)

    contestants = [
        Contestant("draws", draw, networks),
        Contestant("sums", add_up, networks),
        Contestant("step size", lambda: problem_of(cell, draws), networks),
        Contestant("first check", check_once, networks),
        Contestant("all", lambda: train_block(block, provenance), networks),
    ]
    times = medians(take_turns(contestants, rounds), 1e6)
    times["step size"] -= times["draws"] + times["sums"]
    rest = times["all"] - sum(value for name, value in times.items() if name != "all")
    return {"n": width, "networks": networks, **times, "rest": rest}


def agree(one: Outcome, other: Outcome) -> None:
    """Fail where both forms decide a network, and differ."""
    decided = (one.status != StopReason.UNFINISHED) & (other.status != StopReason.UNFINISHED)
    if (one.status != other.status)[decided].any():
        raise SystemExit("the forms contradict each other")


def figure(networks: int) -> dict[str, Any]:
    """Time for all networks of the figure, block by block."""
    total, ends = 0.0, []
    for width in FIGURE_5:
        block = block_of(width, "modewise", networks)
        started = time.process_time()
        ends.append(train_block(*block)[1])
        total += time.process_time() - started
    status = np.concatenate([end.status for end in ends])
    return {
        "networks": len(status),
        "seconds": f"{total:.2f}",
        "us per network": f"{total / len(status) * 1e6:.1f}",
        "unfinished": int((status == StopReason.UNFINISHED).sum()),
    }


if __name__ == "__main__":
    main()
