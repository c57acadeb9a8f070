"""Comparison with results of the original program, network by network (golden files)."""

from __future__ import annotations

from pathlib import Path

from mcrelu.experiments.crossing.verify import Agreement, verify_crossing
from mcrelu.experiments.star.verify import LayeredAgreement, verify_layered
from mcrelu.verify.archive import read_arrays

AnyAgreement = Agreement | LayeredAgreement


def verify_file(path: Path) -> AnyAgreement:
    """Repeat the run that a golden file describes, of either experiment, and compare.

    Raises
    ------
    UserError
        If the file is not a golden file, or is damaged.
    ResourceError
        If networks in R^d are to be trained and torch is not installed.
    """
    golden = read_arrays(path)
    if "init_0" in golden or "hidden" in golden:
        return verify_layered(path, golden)
    return verify_crossing(path, golden)
