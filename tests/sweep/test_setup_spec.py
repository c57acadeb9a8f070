"""Specs of setups sweeps: cells, grids of rates, and one line for everything that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from setup_sweeps import setup_cells, setup_spec, setup_sweep

from mcrelu.errors import SpecError
from mcrelu.experiments.setups.cell import SetupCell
from mcrelu.experiments.setups.search import BASES, FINE_RATIO, OLDER_BASES, grid
from mcrelu.sweep.sweep import Sweep


def cells_of(*, lists: dict[str, Any] | None = None, **changes: Any) -> list[SetupCell]:
    return setup_cells(setup_sweep(lists=lists, **changes))


def cell_of(*, lists: dict[str, Any] | None = None, **changes: Any) -> SetupCell:
    (cell,) = cells_of(lists=lists, **changes)
    return cell


# --------------------------------------------------------------------------------- cells


def test_cells_are_the_product_of_the_lists() -> None:
    lists: dict[str, list[Any]] = {
        "data": ["ex", "radial-2"],
        "parametrization": ["he", "ntk"],
        "optimizer": ["sgd", "adam"],
        "bias_init": ["unif", "pytorch"],
        "bias_gain": [1, 0.5],
        "width": [8, 16],
        "batch": [4, 8],
        "learning_rate": [0.1, 0.01],
    }
    cells = cells_of(lists=lists)
    assert len({cell.id for cell in cells}) == len(cells) == 2**8
    assert len({cell.label for cell in cells}) == 2**8
    for name, values in lists.items():
        assert {getattr(cell, name) for cell in cells} == set(values)


def test_gains_that_do_not_matter_make_one_cell_only() -> None:
    found = cells_of(
        lists={"bias_init": ["zero", "he+5", "mean", "unif"], "bias_gain": [0.5, 1, 2]}
    )
    assert [(cell.bias_init, cell.bias_gain) for cell in found] == [
        ("zero", 1.0), ("he+5", 1.0), ("mean", 1.0), ("unif", 0.5), ("unif", 1.0), ("unif", 2.0),
    ]  # fmt: skip


def test_a_gain_that_does_not_matter_is_no_part_of_an_identity() -> None:
    one, other = cell_of(), cell_of(lists={"bias_gain": [0.5]})
    assert one.id == other.id
    free = [cell_of(lists={"bias_init": ["unif"], "bias_gain": [gain]}) for gain in (1, 0.5)]
    assert free[0].id != free[1].id


@pytest.mark.parametrize(
    ("data", "points", "epochs", "interval"),
    [
        ("ex", 256, 8192, 64), ("radial-1", 256, 8192, 64), ("radial-2", 512, 4096, 32),
        ("rbf-64", 16384, 128, 1), ("radial-100", 25600, 81, 1), ("rbf-3", 768, 2730, 21),
    ],
)  # fmt: skip
def test_points_epochs_and_validation_are_by_the_inputs(
    data: str, points: int, epochs: int, interval: int
) -> None:
    unsaid = {"train_points": None, "epochs": None, "validate_every": None, "block_size": None}
    cell = cell_of(lists={"data": [data], "width": None, "batch": None}, **unsaid)
    assert (cell.train_points, cell.epochs, cell.validate_every) == (points, epochs, interval)
    assert (cell.width, cell.batch) == (512, 256)
    assert cell.steps == epochs * (points // 256)


def test_what_is_said_goes_for_all_data() -> None:
    found = cells_of(lists={"data": ["ex", "radial-4"]})
    assert {(cell.train_points, cell.epochs, cell.validate_every) for cell in found} == {(16, 6, 2)}


def test_defaults_of_the_lists() -> None:
    found = cells_of(
        lists={"parametrization": None, "optimizer": None, "learning_rate": [1]}, networks=1
    )
    assert [(cell.parametrization, cell.optimizer) for cell in found] == list(BASES)
    assert {(cell.bias_init, cell.bias_gain) for cell in found} == {("zero", 1.0)}
    assert all(cell.common_random_numbers for cell in found)


def test_engines_are_the_fastest_that_can() -> None:
    lists = {"data": ["ex", "ex-old", "radial-1", "rbf-1", "radial-2", "rbf-2"]}
    assert [cell.engine for cell in cells_of(lists=lists)] == ["piecewise"] * 4 + ["fused"] * 2
    assert {cell.engine for cell in cells_of(lists=lists, device="cuda")} == {"torch"}
    assert {cell.engine for cell in cells_of(lists=lists, device="cpu", engine="torch")} == {
        "torch"
    }
    assert {cell.engine for cell in cells_of(lists=lists, engine="fused")} == {"fused"}


def test_devices_matter_to_torch_only() -> None:
    assert setup_sweep().device is None
    assert setup_sweep(engine="torch", device="cpu").device == "cpu"
    assert setup_sweep(device="cuda").device == "cuda"


def test_blocks_are_smaller_where_points_are_more() -> None:
    lists = {"data": ["ex", "radial-2", "radial-64"]}
    sweep = setup_sweep(lists=lists, block_size=None)
    assert [sweep.block_size(cell) for cell in sweep.cells] == [100, 50, 5]
    assert {setup_sweep().block_size(cell) for cell in setup_sweep().cells} == {2}


def test_factors_of_ntk_are_those_of_its_sizes() -> None:
    lists = {"parametrization": ["he", "ntk"], "data": ["radial-8"]}
    he, ntk = (cell.descent for cell in cells_of(lists=lists))
    assert (he.inner_factor, he.outer_factor) == (1.0, 1.0)
    assert (ntk.inner_factor, ntk.outer_factor) == (0.5, 0.5)  # of 8 inputs and 8 neurons
    assert he.rate == ntk.rate == 0.01


# ----------------------------------------------------------------------------- streams

WAYS = {
    "parametrization": ["he", "ntk"],
    "optimizer": ["sgd", "momentum", "adam"],
    "bias_init": ["unif", "kink-neg-point"],
    "batch": [4, 8],
    "learning_rate": [0.1, 0.01],
}


def test_all_ways_to_train_share_their_streams() -> None:
    cells = cells_of(lists=WAYS)
    assert len({cell.id for cell in cells}) == len(cells) == 48
    assert len({cell.stream for cell in cells}) == 1
    longer = cells_of(lists=WAYS, epochs=8, validate_every=1, engine="fused")
    assert {cell.stream for cell in longer} == {cells[0].stream}


def test_no_ways_to_train_share_their_streams_unless_they_should() -> None:
    cells = cells_of(lists=WAYS, common_random_numbers=False)
    assert len({cell.stream for cell in cells}) == len(cells) == 48
    assert not {cell.id for cell in cells} & {cell.id for cell in cells_of(lists=WAYS)}
    (fused,) = cells_of(common_random_numbers=False, engine="fused")
    (piecewise,) = cells_of(common_random_numbers=False)
    assert fused.stream == piecewise.stream  # engines train the same networks


def test_what_is_drawn_decides_the_streams() -> None:
    cells = [
        cell_of(), cell_of(lists={"data": ["radial-1"]}), cell_of(lists={"width": [16]}),
        cell_of(train_points=32),
    ]  # fmt: skip
    assert len({cell.stream for cell in cells}) == 4


def test_identities_are_frozen() -> None:
    """Other ids would orphan the outputs that there are; other streams would change all rows."""
    one = cell_of()
    other = cell_of(
        lists={"data": ["radial-2"], "parametrization": ["ntk"], "bias_init": ["unif"],
               "bias_gain": [0.5]}
    )  # fmt: skip
    apart = cell_of(common_random_numbers=False)
    assert [(cell.id, cell.stream) for cell in (one, other, apart)] == [
        ("d3b1e7139d0631d7", 13680417605607640087),
        ("94b6db7e385b1e34", 6013168814260956261),
        ("4407f7fd9d0842de", 17334207932437174903),
    ]


def test_identities_depend_on_all_that_rows_depend_on() -> None:
    changes: list[dict[str, Any]] = [
        {}, {"epochs": 7}, {"validate_every": 3}, {"train_points": 24}, {"engine": "fused"},
        {"common_random_numbers": False}, *({"lists": {key: [value]}} for key, value in (
            ("data", "ex-old"), ("parametrization", "ntk"), ("optimizer", "sgd"),
            ("bias_init", "mean"), ("width", 9), ("batch", 4), ("learning_rate", 0.02),
        )),
    ]  # fmt: skip
    assert len({cell_of(**change).id for change in changes}) == len(changes)
    same: list[dict[str, Any]] = [{"networks": 9}, {"block_size": 3}, {"seed": 6}]
    assert {cell_of(**change).id for change in same} == {cell_of().id}


def test_what_costs_the_same_is_forecast_once() -> None:
    groups = [cell.alike for cell in cells_of(lists=WAYS)]
    assert len({str(sorted(group.items())) for group in groups}) == 3 * 2  # optimisers, batches


def test_the_spelled_out_spec_is_the_same_sweep() -> None:
    search = {"base": "older", "coarse": [-2, 0]}
    for sweep in (setup_sweep(), setup_sweep(lists={"learning_rate": None}, search=search)):
        again = Sweep.from_text(sweep.to_yaml())
        assert again == sweep
        assert [cell.id for cell in again.cells] == [cell.id for cell in sweep.cells]


# --------------------------------------------------------------------------------- grids


def rates_of(parametrization: str, optimizer: str, **search: Any) -> list[float]:
    lists = {
        "parametrization": [parametrization], "optimizer": [optimizer], "learning_rate": None,
    }  # fmt: skip
    return [cell.learning_rate for cell in cells_of(lists=lists, search=search or None)]


@pytest.mark.parametrize(
    ("parametrization", "optimizer", "base", "older"),
    [
        ("he", "sgd", 8e-3, 8e-3), ("he", "momentum", 8e-3, 8e-3), ("he", "adam", 1e-2, 1e-2),
        ("ntk", "sgd", 8e-1, 4e-1), ("ntk", "momentum", 8e-1, 4e-1), ("ntk", "adam", 8e-2, 1e-2),
    ],
)  # fmt: skip
def test_coarse_grids(parametrization: str, optimizer: str, base: float, older: float) -> None:
    """23 rates, sqrt(2) apart, the base itself to the last bit."""
    rates = rates_of(parametrization, optimizer)
    assert len(rates) == 23
    assert rates[12] == base
    assert rates == pytest.approx([base * 2 ** (k / 2) for k in range(-12, 11)], rel=1e-14)
    old = rates_of(parametrization, optimizer, base="older", coarse=[-8, 8])
    assert len(old) == 17
    assert old[8] == older
    assert set(BASES) == set(OLDER_BASES)


def test_a_base_of_ones_own() -> None:
    assert rates_of("ntk", "sgd", base=3, coarse=[0, 2]) == pytest.approx([3, 3 * 2**0.5, 6])
    assert rates_of("he", "adam", base=0.3, coarse=[-1, 0]) == pytest.approx([0.3 / 2**0.5, 0.3])


def test_fine_grids_are_an_eighth_of_an_octave_apart() -> None:
    fine = grid(0.3, FINE_RATIO, -3, 3)
    assert fine == pytest.approx([0.3 * 2 ** (k / 8) for k in range(-3, 4)], rel=1e-14)
    assert fine[3] == 0.3
    # So the next coarse rates, four steps away, are not among them.
    assert fine[-1] < 0.3 * 2**0.5 * 0.95


def test_rates_that_are_given_are_not_searched() -> None:
    sweep = setup_sweep(lists={"learning_rate": [1, 0.01]})
    assert [cell.learning_rate for cell in setup_cells(sweep)] == [1.0, 0.01]
    rows = [{**cell.parameters(), "cell": cell.id, "best_valid_rmse": 1.0} for cell in sweep.cells]
    assert list(sweep.spec.later_cells(rows)) == []
    assert list(sweep.spec.recalled_cells(rows)) == []


# --------------------------------------------------------------------------- later cells

SEARCH = {"coarse": [-1, 1], "fine": [-1, 2]}


def searched(**changes: Any) -> Sweep:
    lists = {"data": ["ex", "radial-2"], "learning_rate": None} | changes
    return setup_sweep(lists=lists, search=SEARCH)


def rows_of(sweep: Sweep, values: list[float | None]) -> list[dict[str, Any]]:
    """Rows of the cell table with these validation errors."""
    return [
        {**cell.parameters(), "cell": cell.id, "networks": 5, "best_valid_rmse": value}
        for cell, value in zip(sweep.cells, values, strict=True)
    ]


def later(sweep: Sweep, rows: list[dict[str, Any]]) -> list[tuple[str, float]]:
    found = [cell for cell in sweep.spec.later_cells(rows) if isinstance(cell, SetupCell)]
    return [(cell.data, cell.learning_rate) for cell in found]


def test_later_cells_are_around_the_best_rates() -> None:
    sweep = searched()
    rows = rows_of(sweep, [3.0, 2.0, 1.0, 1.0, None, 0.5])
    last = rows[2]["learning_rate"]
    around = grid(last, FINE_RATIO, -1, 2)
    assert last == 1e-2 * 2.0**0.5
    assert later(sweep, rows) == [("ex", r) for r in around] + [("radial-2", r) for r in around]
    assert set(later(sweep, rows[:3])) == {("ex", rate) for rate in around}
    # The centre is the cell that is there already.
    assert {cell.id for cell in sweep.spec.later_cells(rows)} & {
        cell.id for cell in sweep.cells
    } == ({sweep.cells[2].id, sweep.cells[5].id})


def test_fine_rates_never_lead_to_others() -> None:
    """However good they are, a search has two stages."""
    sweep = searched()
    rows = rows_of(sweep, [3.0, 2.0, 1.0, 1.0, None, 0.5])
    more = sweep.with_cells(sweep.spec.later_cells(rows))
    assert len(more.cells) == 6 + 2 * 3
    again = rows + rows_of(more, [0.01 * k for k in range(12)])[6:]
    assert later(sweep, again) == later(sweep, rows)
    assert more.with_cells(more.spec.later_cells(again)) is more


def test_a_group_that_diverged_everywhere_gets_no_fine_grid() -> None:
    sweep = searched()
    assert {data for data, _ in later(sweep, rows_of(sweep, [None] * 3 + [1.0] * 3))} == {
        "radial-2"
    }
    assert later(sweep, rows_of(sweep, [None] * 6)) == []
    assert later(sweep, []) == []


def test_cells_are_recalled_from_their_parameters() -> None:
    sweep = searched()
    more = list(sweep.spec.later_cells(rows_of(sweep, [3.0, 2.0, 1.0, 1.0, None, 0.5])))
    remembered = [cell.parameters() for cell in (*sweep.cells, *more)]
    recalled = list(sweep.spec.recalled_cells(remembered))
    assert [cell.id for cell in recalled] == [cell.id for cell in (*sweep.cells, *more)]
    # What the sweep no longer asks for is not recalled.
    assert {cell.id for cell in searched(data=["ex"]).spec.recalled_cells(remembered)} == {
        cell.id for cell in recalled if isinstance(cell, SetupCell) and cell.data == "ex"
    }


def test_halving_has_a_short_form() -> None:
    lists = {"learning_rate": None}
    changes: dict[str, Any] = {"epochs": 16, "lists": lists}
    short = setup_sweep(search="halving", **changes)
    assert short == setup_sweep(search={"halving": True}, **changes)
    assert {cell.epochs for cell in setup_cells(short)} == {2}
    with pytest.raises(SpecError, match="search = 'quartering'"):
        setup_sweep(search="quartering", **changes)


def test_a_sweep_with_cells_that_it_has_is_itself() -> None:
    sweep, other = setup_sweep(), setup_sweep(lists={"learning_rate": [0.01, 0.02, 0.03]})
    assert sweep.with_cells(sweep.cells) is sweep
    assert sweep.with_cells([]) is sweep
    more = sweep.with_cells([*other.cells, *other.cells])
    assert [cell.id for cell in more.cells] == [cell.id for cell in other.cells]
    assert len(list(more.all_blocks())) == 3 * 3


# -------------------------------------------------------------------------- shipped sweeps

JOBS = Path(__file__).parents[2] / "jobs" / "sweeps"


def test_the_papers_sweep() -> None:
    sweep = Sweep.from_yaml(JOBS / "setups.yaml")
    cells = setup_cells(sweep)
    groups = {cell.at_rate(0.0).id for cell in cells}
    assert (len(groups), len(cells)) == (8 * 6 * 8, 23 * 8 * 6 * 8)
    assert sweep.spec.networks == 100
    assert {(cell.width, cell.batch, cell.common_random_numbers) for cell in cells} == {
        (512, 256, True)
    }
    radial = {f"radial-{2**k}" for k in range(7)}
    assert {cell.data for cell in cells} == {"ex"} | radial


# ----------------------------------------------------------------------- what is wrong

SEARCHED = {"learning_rate": None}


@pytest.mark.parametrize(
    ("lists", "changes", "message"),
    [
        ({}, {"train_points": 20}, "cells.batch = 8: does not divide the 20 training points of ex"),
        ({"batch": [8, 5]}, {}, "cells.batch = 5: does not divide the 16 training points of ex"),
        ({"batch": [32]}, {}, "cells.batch = 32: does not divide the 16 training points of ex"),
        ({"batch": [0]}, {}, "cells.batch[0] = 0: too small; use 1 or more"),
        ({"data": ["xe"]}, {}, "cells.data[0] = 'xe': no such name; use ex, ex-old, radial-d or"),
        ({"data": ["radial-0"]}, {}, "cells.data[0] = 'radial-0': no such name"),
        ({"data": ["radial-1025"]}, {}, "cells.data[0] = 'radial-1025': no such name"),
        ({"data": [3]}, {}, "cells.data[0] = 3: must be text"),
        ({"data": []}, {}, "cells.data = []: is empty; give at least one value"),
        ({"data": "ex"}, {}, "cells.data = 'ex': must be a list"),
        ({"data": None}, {}, "cells.data: is missing; add it"),
        ({"bias_init": ["ones"]}, {}, "cells.bias_init[0] = 'ones': no such name; use zero, norm"),
        ({"bias_init": ["he+0"]}, {}, "or he+k with k terms, such as he+5"),
        ({"bias_init": ["zero", "zero"]}, {}, "'zero' is listed twice"),
        ({"bias_gain": [0]}, {}, "cells.bias_gain[0] = 0: too small; use more than 0"),
        ({"bias_gain": []}, {}, "cells.bias_gain = []: is empty"),
        (
            {"parametrization": ["kaiming"]},
            {},
            "cells.parametrization[0] = 'kaiming': must be 'he'",
        ),
        ({"optimizer": ["gd"]}, {}, "must be 'sgd', 'momentum' or 'adam'"),
        ({"optimizer": []}, {}, "cells.optimizer = []: is empty"),
        ({"width": [0]}, {}, "cells.width[0] = 0: too small; use 1 or more"),
        ({"width": [2**17]}, {}, "cells.width[0] = 131072: too large; use 65536 or less"),
        (
            {"learning_rate": [-0.1]},
            {},
            "cells.learning_rate[0] = -0.1: too small; use more than 0",
        ),
        ({"learning_rate": [0]}, {}, "cells.learning_rate[0] = 0: too small; use more than 0"),
        ({"learning_rate": [float("inf")]}, {}, "cells.learning_rate[0] = inf: must be finite"),
        ({"learning_rate": []}, {}, "cells.learning_rate = []: is empty; give at least one value"),
        ({"learning_rate": ["1e-3"]}, {}, "YAML reads this as text; write 0.001"),
        ({"learning_rate": 0.1}, {}, "cells.learning_rate = 0.1: must be a list"),
        ({"gain": [1]}, {}, "cells.gain = [1]: unknown key; did you mean bias_gain?"),
        ({}, {"epoch": 3}, "epoch = 3: unknown key; did you mean epochs?"),
        ({}, {"zebra": 3}, "zebra = 3: unknown key; use one of version, experiment"),
        ({}, {"search": {}}, "search: learning_rate is given, so there is nothing to search"),
        (
            SEARCHED,
            {"search": {"coarse": [1, 3]}},
            "sweep.yaml: search.coarse = [1, 3]: must be two",
        ),
        (SEARCHED, {"search": {"coarse": [-3, -1]}}, "whole numbers around 0 within -64 .. 64"),
        (SEARCHED, {"search": {"coarse": [3]}}, "search.coarse = [3]: must be two whole numbers"),
        (SEARCHED, {"search": {"coarse": []}}, "search.coarse = []: must be two whole numbers"),
        (SEARCHED, {"search": {"fine": [-1, 0, 1]}}, "search.fine = [-1, 0, 1]: must be two whole"),
        (SEARCHED, {"search": {"fine": [1, -1]}}, "search.fine = [1, -1]: must be two whole"),
        (SEARCHED, {"search": {"fine": [-65, 0]}}, "search.fine = [-65, 0]: must be two whole"),
        (
            SEARCHED,
            {"search": {"fine": [-0.5, 1]}},
            "search.fine[0] = -0.5: must be a whole number",
        ),
        (
            SEARCHED,
            {"search": {"base": -1}},
            "search.base = -1: must be 'default', 'older' or a pos",
        ),
        (SEARCHED, {"search": {"base": 0.0}}, "search.base = 0.0: must be 'default', 'older' or"),
        (SEARCHED, {"search": {"base": "new"}}, "search.base = 'new': must be 'default', 'older'"),
        (SEARCHED, {"search": {"base": "1e-3"}}, "a positive number, such as 0.01"),
        (SEARCHED, {"search": {"base": True}}, "search.base = true: must be 'default', 'older' or"),
        (SEARCHED, {"search": {"base": [1]}}, "search.base = [1]: must be 'default', 'older' or a"),
        (SEARCHED, {"search": {"base": float("inf")}}, "search.base = inf: must be 'default'"),
        (
            SEARCHED,
            {"search": {"rates": 3}},
            "search.rates = 3: unknown key; use one of base, coar",
        ),
        (SEARCHED, {"search": [1]}, "search = [1]: must be a mapping of keys to values"),
        (
            {},
            {"epochs": 1},
            "validate_every = 2: is more than the 1 epochs of ex, so nothing would",
        ),
        (
            {"data": ["radial-64"]},
            {"epochs": None, "validate_every": 200, "train_points": None},
            "validate_every = 200: is more than the 128 epochs of radial-64",
        ),
        ({}, {"epochs": 0}, "epochs = 0: too small; use 1 or more"),
        ({}, {"validate_every": 0}, "validate_every = 0: too small; use 1 or more"),
        ({}, {"train_points": 1}, "train_points = 1: too small; use 2 or more"),
        ({}, {"networks": 0}, "networks = 0: too small; use 1 or more"),
        ({}, {"cells": 3}, "cells = 3: must be a mapping of keys to values"),
        ({}, {"engine": "dense"}, "must be 'auto', 'piecewise', 'fused' or 'torch'"),
        ({}, {"rng": "legacy"}, "rng = 'legacy': must be 'philox'"),
        ({}, {"device": "tpu"}, "device = 'tpu': must be 'auto', 'cpu' or 'cuda'"),
        ({}, {"common_random_numbers": 1}, "common_random_numbers = 1: must be true or false"),
        (
            {"data": ["ex", "radial-2"]},
            {"engine": "piecewise"},
            "engine = 'piecewise': cannot train on radial-2, which has 2 inputs; use engine auto",
        ),
        (
            {},
            {"device": "cuda", "engine": "fused"},
            "device = 'cuda': engine fused trains on the CPU; use engine torch or auto",
        ),
        (
            {},
            {"device": "cuda", "engine": "piecewise"},
            "device = 'cuda': engine piecewise trains on the CPU; use engine torch or auto",
        ),
        ({}, {"networks": 2**40}, "makes 549755813888 blocks, more than 10000000; ask for fewer"),
    ],
)
def test_what_is_wrong_is_one_line(
    lists: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        Sweep.of(setup_spec(lists=None if "cells" in changes else lists, **changes), "sweep.yaml")
    text = str(caught.value)
    assert text.startswith("sweep.yaml: ")
    assert message in text
    assert "(and " not in text
    assert len(text.splitlines()) == 1
