"""Comparison with results of the original program, network by network (golden files)."""

from __future__ import annotations

from pathlib import Path

from mcrelu.errors import UserError
from mcrelu.experiments.base import REGISTRY, Agreement, experiment
from mcrelu.verify.archive import read_arrays


def verify_file(path: Path) -> Agreement:
    """Repeat the run that a golden file describes, of any experiment, and compare.

    Raises
    ------
    UserError
        If the file is not a golden file, or is damaged.
    ResourceError
        If networks in R^d are to be trained and torch is not installed.
    """
    golden = read_arrays(path)
    for name in REGISTRY:
        agreement = experiment(name).verify(path, golden)
        if agreement is not None:
            return agreement
    raise UserError(f"{path}: is a golden file of no experiment; give another file")
