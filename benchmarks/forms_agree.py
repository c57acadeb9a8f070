"""Whether all forms of the sufficient criterion say the same of the networks of Figures 5 and 6.

``python -m benchmarks.forms_agree [--networks 10000] [--widths 16 32]``

Every GD network is trained to its end with each of the three forms, on the same draws. A network
that two forms decide must end in the same way and, if it crosses, at the same step; exit 1 if not.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from typing import Any

import numpy as np

from benchmarks.interleaved import show
from mcrelu.experiments.crossing.block import train_block
from mcrelu.problems.one_d import Outcome, StopReason
from mcrelu.sweep.sweep import Sweep
from mcrelu.theory.criterion import Form

OFFSETS = (0.0, 0.01, 0.1)
WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=int, default=10_000)
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    rows = [
        row_of(width, offset, options.networks) for offset in OFFSETS for width in options.widths
    ]
    show({"networks by form": rows}, options.json)
    if any(row["contradictions"] for row in rows):
        raise SystemExit(1)


def row_of(width: int, offset: float, networks: int) -> dict[str, Any]:
    """Contradictions of a cell, and how many networks each form leaves undecided."""
    ends = {form: end_of(width, offset, networks, form) for form in Form}
    undecided = {
        f"undecided, {form}": int((end.status == StopReason.UNFINISHED).sum())
        for form, end in ends.items()
    }
    contradictions = sum(contradicted(*pair) for pair in combinations(ends.values(), 2))
    crossed = int((ends[Form.MODEWISE].status == StopReason.CROSSED).sum())
    columns = {"offset": offset, "n": width, "networks": networks, "crossed": crossed}
    return columns | undecided | {"contradictions": contradictions}


def end_of(width: int, offset: float, networks: int, form: Form) -> Outcome:
    """The outcome of the first networks of a cell."""
    sweep = Sweep.of(
        {
            "version": 1,
            "experiment": "crossing",
            "seed": 20200212,
            "networks": networks,
            "block_size": networks,
            "cells": {"width": [width], "offset": [offset]},
            "stop": ["crossing", {"sufficient": {"form": str(form)}}],
        }
    )
    (cell,) = sweep.cells
    return train_block(sweep.block(cell, 0), sweep.provenance(cell))[1]


def contradicted(one: Outcome, other: Outcome) -> int:
    """How many networks both decide, and differently."""
    decided = (one.status != StopReason.UNFINISHED) & (other.status != StopReason.UNFINISHED)
    crossed = decided & (one.status == StopReason.CROSSED)
    differs = decided & (one.status != other.status)
    differs |= crossed & (one.first_crossing != other.first_crossing)
    return int(np.count_nonzero(differs))


if __name__ == "__main__":
    main()
