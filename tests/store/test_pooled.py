"""Several outputs read as one: which of their cells are one, and what then holds for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_sweeps import run_serially, sweep

from mcrelu.errors import UserError
from mcrelu.experiments.base import CELLS
from mcrelu.experiments.crossing.series import series_of
from mcrelu.experiments.crossing.tables import POWER_LAWS
from mcrelu.stats.sequential import confidence_sequence
from mcrelu.store.output import Output
from mcrelu.store.pooled import PooledReader


def run(folder: Path, seed: int, **changes: object) -> Output:
    return run_serially(folder / str(seed), sweep(seed=seed, **changes))


def test_rows_are_those_of_one_output_after_the_other(tmp_path: Path) -> None:
    first, second = run(tmp_path, 1), run(tmp_path, 2, cells={"width": [4, 8]})
    reader = PooledReader([first, second])
    assert [cell.parameters["width"] for cell in reader.cells] == [4, 8]
    rows = [list(reader.sample(cell, ["max_kink"])) for cell in reader.cells]
    both = np.concatenate([block["max_kink"].to_numpy() for block in rows[0]])
    parts = [one.networks(first.cells[0])["max_kink"].to_numpy() for one in (first, second)]
    assert both.tolist() == np.concatenate(parts).tolist()
    assert sum(block.num_rows for block in rows[1]) == 25


def test_percentiles_are_those_of_all_networks(tmp_path: Path) -> None:
    """They do not follow from the percentiles of the outputs."""
    outputs = [run(tmp_path, seed, networks=60) for seed in (1, 2)]
    reader = PooledReader(outputs)
    (row,) = reader.experiment.tables(reader)[CELLS].to_pylist()
    cell = reader.cells[0]
    steps = np.concatenate(
        [one.networks(cell)["first_crossing"].drop_null().to_numpy() for one in outputs]
    )
    exact = np.quantile(steps, 0.5, method="inverted_cdf")
    assert row["crossing_step_50"] == pytest.approx(exact, rel=0.011)


def test_a_sample_that_ended_by_its_width_makes_the_sequence_the_interval(tmp_path: Path) -> None:
    """It holds for the sum, which ends at a stopping time; Wilson's interval does not."""
    fixed = run(tmp_path, 1)
    ended = run(tmp_path, 2, stop={"relative_width": 1.5}, networks=200)
    reader = PooledReader([fixed, ended])
    (cell,) = reader.cells
    assert reader.relative_width(cell) == 1.5
    tables = reader.experiment.tables(reader)
    (one,) = series_of(tables[CELLS], tables[POWER_LAWS])
    low, high = confidence_sequence(one.k[0], one.networks[0])
    assert one.networks[0] > 25
    assert (one.low[0], one.high[0]) == pytest.approx((float(low), float(high)))


def test_a_point_of_other_checks_is_refused(tmp_path: Path) -> None:
    outputs = [run(tmp_path, 1), run(tmp_path, 2, checks={"interval": 7, "maximum": 9})]
    reader = PooledReader(outputs)
    cells = reader.experiment.tables(reader)[CELLS]
    with pytest.raises(UserError, match=r"width 4 is in .*1 and, with other checks, in .*2; give"):
        reader.refuse_ambiguous_points(cells)
