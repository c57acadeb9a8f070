"""Specs of star sweeps: cells, identities, and one line for everything that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from star_sweeps import star_cells, star_spec, star_sweep

from mcrelu.errors import SpecError
from mcrelu.experiments.star.block import points_of
from mcrelu.experiments.star.cell import StarCell
from mcrelu.sweep.sweep import Sweep


def cell_of(**changes: Any) -> StarCell:
    cell = star_sweep(**changes).cells[0]
    assert isinstance(cell, StarCell)
    return cell


def test_cells_are_the_product_of_the_lists() -> None:
    lists = {
        "width": [4, 8],
        "data": ["star-3", "cross"],
        "depth": [1, 2],
        "activation": ["relu", "tanh"],
        "step_size": ["inv_lambda_max", "published"],
        "step_factor": [1, 2.5],
        "random_bias": [False, True],
    }
    cells = star_sweep(cells=lists).cells
    assert len({cell.id for cell in cells}) == len(cells) == 2**7
    # Step sizes and activations train the same networks.
    assert len({cell.stream for cell in cells}) == 2**4


def test_groups_wherever_they_can() -> None:
    lists = {"width": [4], "data": ["star-3"], "depth": [1, 2], "activation": ["relu", "tanh"]}
    engines = [cell.engine for cell in star_sweep(cells=lists).cells]
    assert engines == ["grouped", "torch", "torch", "torch"]
    assert cell_of(device="cuda").engine == "torch"
    assert cell_of(precision="float32").engine == "torch"
    assert cell_of(engine="torch").engine == "torch"


def test_devices_matter_to_torch_only() -> None:
    assert star_sweep().device is None
    assert star_sweep(engine="torch", device="cpu").device == "cpu"
    assert star_sweep(device="cuda").device == "cuda"


def test_epochs_and_checkpoints_are_no_part_of_an_identity() -> None:
    one, other = cell_of(), cell_of(epochs=7, checkpoint_every=20_000)
    assert one.id == other.id
    assert other.extent() == {"epochs": 7}


def test_identities_are_frozen() -> None:
    """Other ids would orphan the outputs that there are; other streams would change all rows."""
    cell = cell_of(cells={"width": [128], "data": ["star-11"], "step_factor": [2]})
    assert (cell.id, cell.stream) == ("5e5802c94ebcf034", 11314456915400453799)


def test_the_spelled_out_spec_is_the_same_sweep() -> None:
    sweep = star_sweep(cells={"width": [4], "data": ["star-3"], "random_bias": [True]})
    assert Sweep.from_text(sweep.to_yaml()) == sweep


JOBS = Path(__file__).parents[2] / "jobs" / "sweeps"


@pytest.mark.parametrize(
    ("name", "steps", "networks", "epochs"),
    [
        ("fig8", [("inv_lambda_max", 1.0), ("inv_lambda_max", 2.0)], 1000, 10**6),
        ("fig8-published", [("published", 1.0), ("published", 2.0)], 1000, 10**6),
        ("fig8-small", [("inv_lambda_max", 1.0), ("inv_lambda_max", 2.0)], 300, 10**5),
    ],
)
def test_sweeps_of_figure_8(
    name: str, steps: list[tuple[str, float]], networks: int, epochs: int
) -> None:
    shipped = Sweep.from_yaml(JOBS / f"{name}.yaml")
    found = [(cell.step_size, cell.step_factor, cell.width) for cell in star_cells(shipped)]
    assert found == [(*step, 2**k) for step in steps for k in range(7, 14)]
    assert {cell.engine for cell in shipped.cells} == {"grouped"}
    assert (shipped.spec.networks, star_cells(shipped)[0].epochs) == (networks, epochs)


def test_deep_networks_are_left_to_torch() -> None:
    shipped = Sweep.from_yaml(JOBS / "star-deep.yaml")
    assert [(cell.width, cell.depth) for cell in star_cells(shipped)] == [
        (2**k, 3) for k in range(4, 9)
    ]
    assert {cell.engine for cell in shipped.cells} == {"torch"}


PLAIN = {"width": [4], "data": ["star-3"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"experiment": "stars"},
            "experiment = 'stars': must be 'crossing' or 'event' or 'setups' or 'star'",
        ),
        (
            {"experiment": ["star"]},
            "experiment = ['star']: must be 'crossing' or 'event' or 'setups' or 'star'",
        ),
        ({"epochs": None}, "epochs: is missing; add it"),
        ({"epochs": 0}, "epochs = 0: too small; use 1 or more"),
        ({"epochs": "1e6"}, "epochs = '1e6': YAML reads this as text; write 1000000"),
        ({"epochs": 1.5}, "epochs = 1.5: must be a whole number"),
        ({"checkpoint_every": 15_000}, "checkpoint_every = 15000: must be a multiple of 10000"),
        ({"checkpoint_every": 0}, "checkpoint_every = 0: too small; use 10000 or more"),
        ({"stop": ["crossing"]}, "stop = ['crossing']: unknown key"),
        ({"epoch": 3}, "epoch = 3: unknown key; did you mean epochs?"),
        ({"networks": -1}, "networks = -1: too small; use 1 or more"),
        ({"rng": "legacy"}, "rng = 'legacy': must be 'philox'"),
        ({"device": "tpu"}, "device = 'tpu': must be 'auto', 'cpu' or 'cuda'"),
        ({"precision": "float16"}, "precision = 'float16': must be 'float64' or 'float32'"),
        ({"cells": {"width": [4]}}, "cells.data: is missing; add it"),
        ({"cells": PLAIN | {"width": [0]}}, "cells.width[0] = 0: too small; use 1 or more"),
        ({"cells": PLAIN | {"width": []}}, "cells.width = []: is empty"),
        ({"cells": PLAIN | {"width": [4, 4]}}, "4 is listed twice"),
        ({"cells": PLAIN | {"data": ["star"]}}, "cells.data[0] = 'star': no such point set; use"),
        ({"cells": PLAIN | {"data": ["star-0"]}}, "cells.data[0] = 'star-0': no such point set"),
        ({"cells": PLAIN | {"data": [{"x": [[1, 2]]}]}}, "cells.data[0].y: is missing; add it"),
        (
            {"cells": PLAIN | {"data": [{"x": [[1], [1, 2]], "y": [1, 2]}]}},
            "rows of [1, 2]",
        ),
        ({"cells": PLAIN | {"data": [{"x": [[1]], "y": [1, 2]}]}}, "has 1 x and 2 y"),
        ({"cells": PLAIN | {"data": [{"file": "p.csv"}]}}, "cells.data[0].inputs: is missing"),
        ({"cells": PLAIN | {"data": [{"file": "p.csv", "inputs": ["a"]}]}}, "p.csv: no such file"),
        ({"cells": PLAIN | {"depth": [0]}}, "cells.depth[0] = 0: too small; use 1 or more"),
        (
            {"cells": PLAIN | {"activation": ["swish"]}},
            "must be 'relu', 'leaky_relu', 'tanh', 'gelu' or 'silu'",
        ),
        ({"cells": PLAIN | {"step_factor": [0]}}, "cells.step_factor[0] = 0: too small; use more"),
        ({"cells": PLAIN | {"step_factor": [float("nan")]}}, "must be finite"),
        (
            {"cells": PLAIN | {"random_bias": [1]}},
            "cells.random_bias[0] = 1: must be true or false",
        ),
        ({"cells": PLAIN | {"offset": [0]}}, "cells.offset = [0]: unknown key"),
        ({"engine": "dense"}, "engine = 'dense': must be 'auto', 'grouped' or 'torch'"),
        (
            {"engine": "grouped", "cells": PLAIN | {"depth": [1, 3]}},
            "cannot train cells.depth = [1, 3]",
        ),
        (
            {"engine": "grouped", "cells": PLAIN | {"activation": ["tanh"]}},
            "cannot train cells.activation",
        ),
        ({"engine": "grouped", "precision": "float32"}, "cannot train in precision = 'float32'"),
        ({"engine": "grouped", "device": "cuda"}, "cannot train on device = 'cuda'"),
    ],
)
def test_what_is_wrong_is_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        Sweep.of(star_spec(**changes), "sweep.yaml")
    text = str(caught.value)
    assert text.startswith("sweep.yaml: ")
    assert message in text
    assert len(text.splitlines()) == 1


ROWS: dict[str, Any] = {
    "x": [[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [1.0, 0.5]],
    "y": [1.0, -1.0, 1.0, 0.0],
}


def own(data: Any, folder: Path | str = ".") -> Sweep:
    return Sweep.of(star_spec(cells=PLAIN | {"data": [data]}), folder=folder)


def test_points_of_a_file_are_those_written_out(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("b,name,a,y\n1,i,0,1\n2,j,0,-1\n3,k,0,1\n0.5,l,1,0\n")
    read = own({"file": "p.csv", "inputs": ["a", "b"]}, tmp_path)
    written = own(ROWS)
    assert read == written
    assert [cell.id for cell in read.cells] == [cell.id for cell in written.cells]
    assert Sweep.from_text(read.to_yaml()) == written
    other = own({"file": "p.csv", "inputs": ["b", "a"]}, tmp_path)
    assert other.cells[0].id != written.cells[0].id
    assert other.cells[0].stream != written.cells[0].stream


def test_cells_train_on_own_points() -> None:
    sweep = own(ROWS)
    cell = sweep.cells[0]
    assert isinstance(cell, StarCell)
    assert cell.sizes[0] == 2
    points = points_of(cell, sweep.provenance(cell))
    assert points.x.tolist() == ROWS["x"]
    assert points.y.tolist() == ROWS["y"]


def test_points_without_rays_are_named() -> None:
    assert own(ROWS).notes() == []
    (note,) = own({"x": ROWS["x"][1:], "y": ROWS["y"][1:]}).notes()
    assert "no three points lie on a ray" in note
