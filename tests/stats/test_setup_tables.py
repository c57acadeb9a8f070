"""Tables of setups sweeps, from rows that were made up."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from setup_sweeps import setup_cells, setup_sweep
from small_sweeps import output as claimed

from mcrelu.errors import UserError
from mcrelu.experiments.base import CELLS, Estimate, Mean, Point, Tables
from mcrelu.experiments.setups import paper, sections
from mcrelu.experiments.setups.figures import drawings
from mcrelu.experiments.setups.paper import PAPER, Setting
from mcrelu.experiments.setups.schema import METRICS, SCHEMA
from mcrelu.experiments.setups.search import GROUP
from mcrelu.experiments.setups.tables import BEST, derived, points, summary
from mcrelu.stats.comparison import LEVEL, compare
from mcrelu.store.output import Output
from mcrelu.store.reduce import reduce
from mcrelu.store.shards import publish_shard, shard_of
from mcrelu.sweep.cell import Block
from mcrelu.sweep.sweep import Sweep

RATES = [0.1, 0.2, 0.4]
SWEEP = setup_sweep(lists={"data": ["ex", "radial-2"], "learning_rate": RATES})
LEVELS = dict(zip(RATES, (3.0, 1.0, 2.0), strict=True))  # of all errors, by rate


def made_up(block: Block, diverged: Mapping[tuple[str, float], int] | None = None) -> pa.Table:
    """Rows that nobody trained: errors of the cell's level; some network may have diverged."""
    (cell,) = [one for one in setup_cells(SWEEP) if one.id == block.cell.id]
    rng = np.random.default_rng([block.index, *cell.id.encode()])
    rows = []
    for network in range(block.first, block.first + block.networks):
        gone = (diverged or {}).get((cell.data, cell.learning_rate)) == network
        errors = LEVELS[cell.learning_rate] + rng.normal(0.0, 0.1, len(METRICS))
        rows.append(
            {
                "cell": cell.id,
                "block": block.index,
                "network": network,
                **{name: getattr(cell, name) for name in (*GROUP, "learning_rate", "engine")},
                **dict(zip(METRICS, [None] * 5 if gone else errors.tolist(), strict=True)),
                "best_epoch": None if gone else 4,
                "diverged_by": 2 if gone else None,
                "bayes_rmse": 0.1 + 0.01 * network,
                "target_deviation": 1.0,
            }
        )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def filled(
    folder: Path,
    diverged: Mapping[tuple[str, float], int] | None = None,
    blocks: int | None = None,
    sweep: Sweep = SWEEP,
) -> Output:
    output = claimed(folder, sweep)
    output.take()
    for block in list(sweep.all_blocks())[:blocks]:
        provenance = sweep.provenance(block.cell)
        publish_shard(
            output.files, block, shard_of(block, provenance, made_up(block, diverged), {})
        )
    return output


def tables_of(folder: Path, *args: Any) -> Tables:
    return dict(reduce(filled(folder, *args)).tables)


# --------------------------------------------------------------------------------- cells


def test_means_and_standard_errors_are_those_of_numpy(tmp_path: Path) -> None:
    rows = tables_of(tmp_path)[CELLS].to_pylist()
    assert [row["cell"] for row in rows] == [cell.id for cell in SWEEP.cells]
    for cell, row in zip(setup_cells(SWEEP), rows, strict=True):
        networks = pa.concat_tables(made_up(block) for block in SWEEP.blocks(cell))
        assert (row["networks"], row["diverged"]) == (5, 0)
        assert (row["inputs"], row["epochs"]) == (cell.inputs, 6)
        for name in METRICS:
            values = networks[name].to_numpy()
            assert row[name] == pytest.approx(values.mean(), rel=1e-14)
            error = np.sqrt(((values - values.mean()) ** 2).sum() / 4 / 5)
            assert row[f"{name}_se"] == pytest.approx(error, rel=1e-12)
        noise = networks["bayes_rmse"].to_numpy()
        assert row["bayes_rmse"] == pytest.approx(np.sqrt((noise**2).mean()), rel=1e-14)


def test_a_cell_where_a_network_diverged_has_no_means(tmp_path: Path) -> None:
    rows = tables_of(tmp_path, {("ex", 0.2): 3})[CELLS].to_pylist()
    (gone,) = [row for row in rows if row["diverged"]]
    assert (gone["data"], gone["learning_rate"]) == ("ex", 0.2)
    assert (gone["networks"], gone["diverged"]) == (5, 1)
    for row in rows:
        means = [row[f"{name}{end}"] for name in METRICS for end in ("", "_se")]
        assert {value is None for value in means} == {row is gone}


def test_blocks_behind_a_gap_do_not_count(tmp_path: Path) -> None:
    first, second, *_ = tables_of(tmp_path, None, 1)[CELLS].to_pylist()
    assert (first["networks"], second["networks"]) == (2, 0)
    assert first["best_valid_rmse"] is not None
    assert (second["best_valid_rmse"], second["bayes_rmse"]) == (None, None)
    tables = tables_of(tmp_path / "empty", None, 0)
    assert {row["networks"] for row in tables[CELLS].to_pylist()} == {0}
    assert tables[BEST].num_rows == 0
    assert sections.sections(tables) == []
    assert drawings(tables) == []


def test_a_single_network_has_no_standard_error(tmp_path: Path) -> None:
    sweep = setup_sweep(lists={"data": ["ex", "radial-2"], "learning_rate": RATES}, networks=1)
    tables = dict(reduce(filled(tmp_path, sweep=sweep)).tables)
    row = tables[CELLS].to_pylist()[0]
    assert row["best_test_rmse"] is not None
    assert row["best_test_rmse_se"] is None
    assert {mean.n for mean in points(tables[CELLS]).values()} == {1}
    assert sections.sections(tables)[0].rows[0][-1].isascii()  # no plus or minus
    assert drawings(tables)


def test_the_summary_of_a_block_counts_what_diverged() -> None:
    block = next(SWEEP.all_blocks())
    assert summary(made_up(block)) == {"k": 0}
    assert summary(made_up(block, {("ex", 0.1): 1})) == {"k": 1}


def test_tables_are_written(tmp_path: Path) -> None:
    output = filled(tmp_path)
    tables = reduce(output).tables
    assert set(tables) == {CELLS, BEST}
    for name, table in tables.items():
        assert output.read_table(name).equals(table)
        assert (tmp_path / "tables" / f"{name}.csv").exists()


# ----------------------------------------------------------------------------- best rates


def best_of(folder: Path, diverged: Mapping[tuple[str, float], int] | None = None) -> Any:
    best = tables_of(folder, diverged)[BEST].to_pylist()
    return {row["data"]: (row["learning_rate"], row["rates_tried"], row["on_edge"]) for row in best}


def test_the_best_rate_has_the_least_validation_error(tmp_path: Path) -> None:
    assert best_of(tmp_path) == {"ex": (0.2, 3, False), "radial-2": (0.2, 3, False)}


def test_rates_where_a_network_diverged_are_never_best(tmp_path: Path) -> None:
    """0.4 is the last that was tried, though what lies beyond is no better than at 0.2."""
    assert best_of(tmp_path, {("ex", 0.2): 0}) == {
        "ex": (0.4, 3, True), "radial-2": (0.2, 3, False),
    }  # fmt: skip


def test_a_group_that_diverged_everywhere_has_no_best_rate(tmp_path: Path) -> None:
    everywhere = dict.fromkeys([("ex", rate) for rate in RATES], 0)
    assert best_of(tmp_path, everywhere) == {"radial-2": (0.2, 3, False)}
    tables = dict(reduce(Output.open(filled(tmp_path / "two", everywhere).files)).tables)
    rates = sections.sections(tables)[1]
    assert "Some network diverged at 3 of 6 rates." in rates.remarks
    assert rates.headings[-1] == "radial-2"


def cells(*rows: Mapping[str, Any]) -> pa.Table:
    """A cell table: a configuration of Table L.1, with some columns changed."""
    plain: dict[str, Any] = {
        "cell": "c", "data": "radial-4", "parametrization": "he", "optimizer": "adam",
        "bias_init": "unif", "bias_gain": 1.0, "width": 512, "batch": 256, "inputs": 4,
        "learning_rate": 0.1, "engine": "fused", "epochs": 2048, "networks": 100, "diverged": 0,
    }  # fmt: skip
    means = {f"{name}{end}": value for name in METRICS for end, value in (("", 0.5), ("_se", 0.01))}
    template = derived(pa.Table.from_pylist([], schema=CELLS_SCHEMA))[CELLS].schema
    return pa.Table.from_pylist([plain | means | dict(row) for row in rows], schema=template)


CELLS_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("cell", "data", "parametrization", "optimizer")),
        ("bias_init", pa.string()), ("bias_gain", pa.float64()), ("width", pa.int64()),
        ("batch", pa.int64()), ("inputs", pa.int64()), ("learning_rate", pa.float64()),
        ("engine", pa.string()), ("epochs", pa.int64()), ("networks", pa.int64()),
        ("diverged", pa.int64()),
        *((f"{name}{end}", pa.float64()) for name in METRICS for end in ("", "_se")),
        ("bayes_rmse", pa.float64()),
    ]
)  # fmt: skip


def chosen(*tried: tuple[float, float | None]) -> tuple[float, int, bool]:
    """The best of some rates with their validation errors."""
    table = cells(*({"learning_rate": r, "best_valid_rmse": error} for r, error in tried))
    (row,) = derived(table)[BEST].to_pylist()
    return row["learning_rate"], row["rates_tried"], row["on_edge"]


def test_of_equal_validation_errors_the_smaller_rate_is_best() -> None:
    assert chosen((0.4, 1.0), (0.2, 1.0), (0.1, 2.0)) == (0.2, 3, False)
    assert chosen((0.1, 2.0), (0.2, 1.0), (0.4, 1.0)) == (0.2, 3, False)
    assert chosen((0.4, 0.9), (0.2, 1.0), (0.1, 2.0)) == (0.4, 3, True)


def test_the_first_and_the_last_rate_are_on_the_edge() -> None:
    assert chosen((0.1, 1.0), (0.2, 2.0), (0.3, 3.0)) == (0.1, 3, True)
    assert chosen((0.3, 1.0), (0.1, 2.0), (0.2, 3.0)) == (0.3, 3, True)
    assert chosen((0.3, 3.0), (0.1, 2.0), (0.2, 1.0)) == (0.2, 3, False)
    assert chosen((0.1, 1.0)) == (0.1, 1, True)


def test_a_rate_that_diverged_was_tried() -> None:
    assert chosen((0.1, 2.0), (0.2, 1.0), (0.4, None)) == (0.2, 3, False)
    table = cells(
        {"learning_rate": 0.1, "best_valid_rmse": 2.0},
        {"learning_rate": 0.2, "best_valid_rmse": 1.0},
        {"learning_rate": 0.4, "best_valid_rmse": None, "networks": 0},
    )
    (row,) = derived(table)[BEST].to_pylist()
    assert (row["rates_tried"], row["on_edge"]) == (2, True)  # one was not done yet


def test_test_errors_do_not_choose() -> None:
    table = cells(
        {"learning_rate": 0.1, "best_valid_rmse": 1.0, "best_test_rmse": 9.0, "cell": "a"},
        {"learning_rate": 0.2, "best_valid_rmse": 2.0, "best_test_rmse": 1.0, "cell": "b"},
    )
    (row,) = derived(table)[BEST].to_pylist()
    assert (row["cell"], row["best_test_rmse"]) == ("a", 9.0)
    found = points(table).values()
    assert {one.mean for one in found if isinstance(one, Mean)} == {1.0, 9.0}


@pytest.mark.parametrize(
    "change",
    [
        {"data": "radial-8"}, {"parametrization": "ntk"}, {"optimizer": "sgd"},
        {"bias_init": "zero"}, {"bias_gain": 0.5}, {"width": 256}, {"batch": 128},
    ],
)  # fmt: skip
def test_groups_differ_in_anything_but_the_rate(change: dict[str, Any]) -> None:
    assert set(change) <= set(GROUP)
    table = cells({"learning_rate": 0.1}, {"learning_rate": 0.2, "best_valid_rmse": 9.0} | change)
    assert derived(table)[BEST].num_rows == 2
    assert derived(cells({"learning_rate": 0.1}, {"learning_rate": 0.2}))[BEST].num_rows == 1


def test_sections_say_rates_and_errors() -> None:
    table = cells(
        {"learning_rate": 0.1, "best_valid_rmse": 1.0, "best_test_rmse": 0.25},
        {"learning_rate": 0.2, "best_valid_rmse": 2.0},
        {"data": "ex", "optimizer": "sgd", "bias_init": "zero", "best_test_rmse": 0.125},
    )
    errors, rates, *_ = sections.sections(derived(table))
    assert errors.headings[-2:] == rates.headings[-2:] == ("ex", "radial-4")
    assert errors.rows == (
        ("He", "SGD", "zero", "512", "256", "0.1250 ± 0.0100", ""),
        ("He", "Adam", "unif", "512", "256", "", "0.2500 ± 0.0100"),
    )
    assert [row[-2:] for row in rates.rows] == [("0.1", ""), ("", "0.1*")]
    (remark,) = rates.remarks
    assert remark.startswith("* first or last of the rates tried (1 of 2)")


# ------------------------------------------------------------------------ the published table


def test_the_published_table_has_all_entries_by_both_measures() -> None:
    found = PAPER.points()
    assert len(found) == 2 * 384
    assert found == PAPER.points("tableL1")
    settings = {setting for setting, _ in found}
    assert len(settings) == 2 * 2 * 3 * 8 * 2  # measure, ..., biases; ex and radial
    assert {(one.width, one.batch, one.bias_gain) for one in settings} == {(512, 256, 1.0)}
    by_kind = {
        kind: sorted({inputs for one, inputs in found if one.distribution == kind})
        for kind in ("ex", "radial")
    }
    assert by_kind == {"ex": [1], "radial": [1, 2, 4, 8, 16, 32, 64]}
    assert {mean.n for mean in found.values()} == {100}


def test_published_errors_are_with_the_divisor_of_ours() -> None:
    """The paper divides deviations by sqrt(99), we by sqrt(100)."""
    setting = Setting("validation", "ex", "he", "sgd", "zero", 1.0, 512, 256)
    mean = PAPER.points()[setting, 1]
    assert mean.mean == pytest.approx(0.9288)
    assert mean.error == pytest.approx(0.0053 * np.sqrt(99 / 100), rel=1e-12)
    assert PAPER.points()[setting._replace(measure="test"), 1] == mean


def test_no_entry_of_the_file_is_lost() -> None:
    text = files(paper.__package__ or "").joinpath("published.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    found = sorted(round(mean.mean * 1e4) for mean in PAPER.points().values())
    assert found == sorted(2 * [int(row["rmse_x1e4"]) for row in rows])
    assert len(rows) == 384


def test_a_table_that_the_paper_has_not_is_one_line() -> None:
    with pytest.raises(UserError, match="paper:tableL2: no such figure"):
        PAPER.points("tableL2")


def test_the_published_table_agrees_with_itself() -> None:
    found = PAPER.points()
    table = compare(found, found, "inputs")
    assert table.num_rows == 768
    assert all(table["agrees"].to_pylist())
    assert set(table["z"].to_pylist()) == {0.0}
    assert table.column_names[:9] == [*Setting._fields, "inputs"]


def shifted(errors: float) -> dict[Point, Estimate]:
    """The table, every mean by some standard errors of a difference larger."""
    return {
        point: Mean(mean.mean + errors * np.sqrt(2) * mean.error, mean.error, mean.n)
        for point, mean in PAPER.points().items()
    }


def test_a_shifted_table_disagrees() -> None:
    """Negative control: by 5 standard errors everything does, by 3 nothing does of so many."""
    with_error = [mean.error > 0 for mean in PAPER.points().values()]
    far = compare(shifted(5.0), PAPER.points(), "inputs")
    assert far["agrees"].to_pylist() == [not has for has in with_error]
    near = compare(shifted(3.0), PAPER.points(), "inputs")
    assert all(near["agrees"].to_pylist())
    assert np.mean(np.array(near["p"].to_pylist()) < LEVEL) > 0.9  # though each by itself would


def test_points_are_those_of_the_paper() -> None:
    """Its configurations at its width, by the data's family and number of inputs."""
    sweep = Sweep.from_yaml(Path(__file__).parents[2] / "jobs" / "sweeps" / "setups.yaml")
    rows = [
        {name: getattr(cell, name) for name in (*GROUP, "inputs", "learning_rate")}
        for cell in setup_cells(sweep)
    ]
    assert set(points(cells(*rows))) == set(PAPER.points())


def test_a_cell_is_held_against_both_measures() -> None:
    setting = Setting("validation", "radial", "he", "adam", "unif", 1.0, 512, 256)
    theirs = PAPER.points()[setting, 4]
    row = {
        "best_valid_rmse": theirs.mean, "best_valid_rmse_se": theirs.error,
        "best_test_rmse": theirs.mean + 0.3, "best_test_rmse_se": theirs.error,
    }  # fmt: skip
    table = compare(points(cells(row)), PAPER.points(), "inputs")
    verdicts = zip(table["measure"].to_pylist(), table["agrees"].to_pylist(), strict=True)
    assert dict(verdicts) == {"validation": True, "test": False}
    assert table["inputs"].to_pylist() == [4, 4]


def test_what_the_paper_has_not_is_left_out() -> None:
    ours = points(cells({}, {"width": 256}, {"data": "rbf-4"}, {"bias_init": "mean"}))
    assert len(ours) == 8
    assert compare(ours, PAPER.points(), "inputs").num_rows == 2
    assert points(cells({"best_valid_rmse": None})) == {}
