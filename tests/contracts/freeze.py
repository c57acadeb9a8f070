"""``python tests/contracts/freeze.py NAME``: an output of an experiment's example, kept for ever.

To be run when the format of outputs changes: what was frozen before stays, and every later version
must read it. The folder gets the version of the rows into its name.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import mcrelu
from mcrelu.experiments.base import experiment
from mcrelu.store.timings import TIMINGS
from mcrelu.sweep.sweep import Sweep

FROZEN = Path(__file__).parent.parent / "frozen"
KEPT = ("spec.yaml", "cells.json", "shards", "manifest", "tables")


def freeze(name: str) -> Path:
    """Run the example of an experiment into a folder of its own; what nobody reads is removed."""
    one = experiment(name)
    folder = FROZEN / f"{name}-{one.schema_version}"
    mcrelu.run(Sweep.of(dict(one.example)), folder, executor="serial")
    for path in folder.iterdir():
        if path.name not in KEPT:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (folder / "tables").glob(f"{TIMINGS}.*"):
        path.unlink()
    return folder


if __name__ == "__main__":
    print(freeze(sys.argv[1]))
