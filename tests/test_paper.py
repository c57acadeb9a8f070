"""Our own streams against the paper's Figure 5."""

from __future__ import annotations

from pathlib import Path

import pytest

import mcrelu
from mcrelu.experiments.crossing.paper import PAPER
from mcrelu.experiments.crossing.tables import points as points_of
from mcrelu.stats.comparison import compare

SWEEPS = Path(__file__).parent.parent / "jobs" / "sweeps"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("fig5-gd", [16, 32, 64, 128]),
        ("fig5-gd-es", [16, 32]),
        ("fig5-sgd-es", [16, 32]),
    ],
)
def test_a_thousand_networks_agree_with_figure_5(
    name: str, widths: list[int], tmp_path: Path
) -> None:
    settings = ["networks=1000", f"cells.width={widths}"]
    sweep = mcrelu.Sweep.from_yaml(SWEEPS / f"{name}.yaml", settings)
    comparison = mcrelu.run(sweep, tmp_path, executor="serial").compare("paper:fig5")
    assert comparison["width"].to_pylist() == widths
    assert all(comparison["agrees"].to_pylist())


@pytest.mark.slow
def test_the_comparison_tells_offset_0_from_the_paper_s_offset_0_1(tmp_path: Path) -> None:
    """Negative control: the wrong series of the paper is refused with as many networks."""
    settings = ["networks=1000", "cells.width=[128]"]
    sweep = mcrelu.Sweep.from_yaml(SWEEPS / "fig5-gd.yaml", settings)
    counts = points_of(mcrelu.run(sweep, tmp_path, executor="serial").table())
    mislabelled = {
        (setting._replace(offset=0.1), width): count for (setting, width), count in counts.items()
    }
    comparison = compare(mislabelled, PAPER.points("fig6"))
    assert comparison["agrees"].to_pylist() == [False]
