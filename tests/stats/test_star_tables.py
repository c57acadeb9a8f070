"""Tables of star sweeps, from rows that were made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from small_sweeps import output as claimed
from small_sweeps import sweep as crossing_sweep
from star_sweeps import star_sweep

from mcrelu.errors import UserError
from mcrelu.experiments.base import Count
from mcrelu.experiments.star.paper import PAPER, Setting
from mcrelu.experiments.star.rows import star_rows
from mcrelu.experiments.star.tables import DECILES, points, summary, tables
from mcrelu.problems.r_d import NEVER, Info, Problem, State
from mcrelu.stats.comparison import compare
from mcrelu.stats.intervals import clopper_pearson, wilson
from mcrelu.store.output import Output
from mcrelu.store.pooled import PooledReader
from mcrelu.store.reduce import cell_table, reduce, written_tables
from mcrelu.store.shards import publish_shard, shard_of
from mcrelu.sweep.sweep import Sweep

SWEEP = star_sweep(epochs=2000, cells={"width": [6], "data": ["star-3"]}, networks=4, block_size=2)
KINKS = np.array([[5, NEVER], [1500, 2]])  # first epochs, by block
CROSSINGS = np.array([[NEVER, NEVER], [1001, 2000]])
LOSSES = np.array([[[4.0, 2.0], [1.0, np.nan]], [[3.0, 1.0], [2.0, 0.5]]])  # (block, network, time)
THRESHOLD = 2.0
NONE = np.zeros(0)


def filled(folder: Path, blocks: int = 2, sweep: Sweep = SWEEP) -> Output:
    output = claimed(folder, sweep)
    output.take()
    for block in list(sweep.all_blocks())[:blocks]:
        k = block.index
        state = State(2000, (), Info(KINKS[k], CROSSINGS[k]))
        problem = Problem(NONE, NONE, NONE, np.full(2, 0.1), np.full(2, THRESHOLD))
        rows = star_rows(block, problem, np.full(2, 0.3), state, LOSSES[k, :, -1], LOSSES[k])
        publish_shard(output.files, block, shard_of(block, sweep.provenance(block.cell), rows, {}))
    return output


def progress(output: Output) -> pa.Table:
    return reduce(output).tables["progress"]


def test_counts_and_intervals(tmp_path: Path) -> None:
    (row,) = cell_table(filled(tmp_path)).to_pylist()
    assert (row["networks"], row["kink_k"], row["loss_k"], row["diverged"]) == (4, 3, 2, 1)
    assert (row["kink_estimate"], row["loss_estimate"]) == (0.75, 0.5)
    assert (row["kink_wilson_low"], row["kink_wilson_high"]) == tuple(map(float, wilson(3, 4)))
    ends = (row["loss_clopper_pearson_low"], row["loss_clopper_pearson_high"])
    assert ends == tuple(map(float, clopper_pearson(2, 4)))
    assert row["relative_loss"] == 0.75  # of 0.25, 0.5, 1 and infinity


def test_a_step_size_that_is_not_there_is_null() -> None:
    block = next(SWEEP.all_blocks())
    problem = Problem(NONE, NONE, NONE, np.full(2, 0.1), np.full(2, THRESHOLD))
    state = State(2000, (), Info(KINKS[0], CROSSINGS[0]))
    rows = star_rows(block, problem, np.array([0.3, np.nan]), state, LOSSES[0, :, -1], LOSSES[0])
    assert rows["linear_step_size"].to_pylist() == [0.3, None]
    assert rows["first_kink_change"].to_pylist() == [5, None]


def test_the_summary_of_a_block_counts_changed_kinks(tmp_path: Path) -> None:
    output = filled(tmp_path)
    rows = output.networks(SWEEP.cells[0])
    assert [summary(rows.slice(first, 2)) for first in (0, 2)] == [{"k": 1}, {"k": 2}]


def test_blocks_behind_a_gap_do_not_count(tmp_path: Path) -> None:
    (row,) = cell_table(filled(tmp_path, blocks=1)).to_pylist()
    assert (row["networks"], row["kink_k"]) == (2, 1)
    (row,) = cell_table(filled(tmp_path / "empty", blocks=0)).to_pylist()
    assert (row["networks"], row["kink_estimate"], row["relative_loss"]) == (0, None, None)


def test_progress_by_thousands_of_epochs(tmp_path: Path) -> None:
    first, second = progress(filled(tmp_path)).to_pylist()
    assert (first["epoch"], second["epoch"], second["networks"]) == (1000, 2000, 4)
    assert (first["mean_loss"], first["kink_fraction"], first["loss_fraction"]) == (2.5, 0.5, 0.0)
    assert second["mean_loss"] == np.inf
    assert (second["kink_fraction"], second["loss_fraction"]) == (0.75, 0.5)
    deciles = [first[f"decile_{q}"] for q in DECILES]
    relative = np.sort(LOSSES[:, :, 0].ravel()) / THRESHOLD
    assert deciles == [relative[max(int(np.ceil(q / 100 * 4)) - 1, 0)] for q in DECILES]
    assert second["decile_100"] == np.inf
    assert progress(filled(tmp_path / "empty", blocks=0)).num_rows == 0


def test_tables_are_written(tmp_path: Path) -> None:
    output = filled(tmp_path)
    written = reduce(output).tables
    assert set(written) == {"cells", "progress"}
    for name, table in written.items():
        assert output.read_table(name).equals(table)
        assert (tmp_path / "tables" / f"{name}.csv").exists()
    assert written_tables(output)["cells"].equals(written["cells"])


# --- comparison -----------------------------------------------------------------------------


def cells(**changes: object) -> pa.Table:
    plain = {
        "width": 8192, "data": "star-11", "depth": 1, "activation": "relu",
        "step_rule": "published", "step_factor": 2.0, "random_bias": False,
        "networks": 1000, "kink_k": 840, "loss_k": 68,
    }  # fmt: skip
    return pa.Table.from_pylist([plain | changes])


def test_figure_8_has_its_points_at_every_step() -> None:
    found = PAPER.estimates("fig8")
    assert len(found) == 2 * 7 * 4
    setting = Setting("loss", "star-11", 1, "relu", "inv_lambda_max", 1.0, random_bias=False)
    assert found[setting, 8192].estimate == 0.068


def test_both_events_are_compared() -> None:
    table = compare(points(cells()), PAPER.points("fig8"))
    assert table["event"].to_pylist() == ["kink", "loss"]
    assert table["agrees"].to_pylist() == [True, True]
    worse = compare(points(cells(loss_k=168)), PAPER.points("fig8"))
    assert worse["agrees"].to_pylist() == [True, False]


def test_what_the_paper_has_not_is_left_out() -> None:
    ours = points(cells(data="star-7")) | points(cells())
    assert compare(ours, PAPER.points("fig8")).num_rows == 2
    assert Count(840, 1000) in ours.values()


def test_outputs_of_one_experiment_pool(tmp_path: Path) -> None:
    star, crossing = claimed(tmp_path / "a", SWEEP), claimed(tmp_path / "b", crossing_sweep())
    with pytest.raises(UserError, match="of crossing and star sweeps; give outputs of one exp"):
        PooledReader([star, crossing])
    other = claimed(tmp_path / "c", star_sweep(cells={"width": [11], "data": ["star-3"]}))
    assert len(PooledReader([star, other]).cells) == len(SWEEP.cells) + 1


def test_cells_of_other_epochs_do_not_pool(tmp_path: Path) -> None:
    star = claimed(tmp_path / "a", SWEEP)
    longer = claimed(tmp_path / "b", star_sweep(seed=6, epochs=4000))
    reader = PooledReader([star, longer])
    with pytest.raises(UserError, match=r"width 6 is in .*a and, with other epochs, in .*b; give"):
        reader.refuse_ambiguous_points(tables(reader)["cells"])
