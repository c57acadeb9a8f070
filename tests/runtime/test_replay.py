"""Single networks of outputs again: exactly, and with what happened to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import mcrelu
from mcrelu import api
from mcrelu.errors import ExitCode, ForeignOutputError, UserError
from mcrelu.problems.one_d import StopReason
from mcrelu.runtime.replay import replay
from mcrelu.store.choosing import chosen_cell
from mcrelu.store.output import Output

COMMON = {"version": 1, "seed": 11}
CROSSING = COMMON | {
    "experiment": "crossing",
    "networks": 60,
    "block_size": 25,
    "checks": {"interval": 100, "maximum": 4},
    "cells": [
        {"width": [8, 32], "stop": ["crossing", "sufficient"]},
        {"width": [8], "optimizer": ["sgd", "adam"], "stop": ["crossing", "early_stopping"]},
    ],
}
OWN_DATA = CROSSING | {
    "data": {"x": [-2.0, -0.5, 0.75, 1.5], "y": [1.0, -1.0, 0.5, 1.0]},
    "samples": "each",
    "cells": {"width": [8], "leaky_slope": [0.2]},
    "stop": ["crossing", "sufficient"],
}
NUMPY_NORMALS = CROSSING | {"rng": "philox"}
STAR = COMMON | {
    "experiment": "star",
    "networks": 9,
    "block_size": 4,
    "epochs": 2000,
    "cells": {"width": [6], "data": ["star-3"], "depth": [1, 2]},
}
SETUPS = COMMON | {
    "experiment": "setups",
    "networks": 9,
    "block_size": 4,
    "epochs": 12,
    "validate_every": 2,
    "train_points": 16,
    "cells": {
        "data": ["ex", "radial-2"],
        "optimizer": ["sgd", "adam"],
        "width": [8],
        "batch": [8],
        "learning_rate": [0.01, 3.0],
    },
}
EVENT = COMMON | {
    "experiment": "event",
    "networks": 30,
    "block_size": 12,
    "cells": {"width": [16, 100]},
}
SPECS = {
    "crossing": CROSSING,
    "own data": OWN_DATA,
    "numpy's normals": NUMPY_NORMALS,
    "star": STAR,
    "setups": SETUPS,
    "event": EVENT,
}


def output_of(spec: dict[str, Any], folder: Path) -> Output:
    if "depth" in spec["cells"]:
        pytest.importorskip("torch")
    return mcrelu.run(spec, folder, "serial", progress=False).output


def row_of(output: Output, cell: Any, network: int) -> str:
    rows: pa.Table = output.networks(cell)
    return repr(rows.slice(network, 1).to_pylist())


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_networks_are_what_they_were(spec: dict[str, Any], tmp_path: Path) -> None:
    """Of every cell, those at the ends of blocks and some between."""
    output = output_of(spec, tmp_path)
    size, networks = spec["block_size"], spec["networks"]
    rng = np.random.default_rng(0)
    for cell in output.cells:
        some = {0, size - 1, size, networks - 1, *map(int, rng.integers(networks, size=2))}
        for network in some:
            found = replay(output, cell, network)
            assert repr(found.row.to_pylist()) == row_of(output, cell, network)
            assert found.sections


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
@pytest.mark.long
def test_two_hundred_networks_are_what_they_were(spec: dict[str, Any], tmp_path: Path) -> None:
    output = output_of(spec | {"networks": 200}, tmp_path)
    rng = np.random.default_rng(1)
    for _ in range(200):
        cell = output.cells[rng.integers(len(output.cells))]
        network = int(rng.integers(200))
        found = replay(output, cell, network)
        assert repr(found.row.to_pylist()) == row_of(output, cell, network)


def test_another_network_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a replay that is of the neighbour is refused, and so is its row."""
    output = output_of(EVENT, tmp_path)
    right = output.experiment.replay
    cell = output.cells[0]
    monkeypatch.setattr(
        type(output.experiment), "replay", lambda _, task, network: right(task, network + 1)
    )
    with pytest.raises(ForeignOutputError, match=r"the stored row in network, .*max_w"):
        replay(output, cell, 3)


def test_the_crossing_is_the_one_that_happened(tmp_path: Path) -> None:
    """The neuron that is named is where it is said at that very step, and no earlier."""
    output = output_of(OWN_DATA, tmp_path)
    (cell,) = output.cells
    rows = output.networks(cell).to_pylist()
    crossed = [row["network"] for row in rows if row["status"] == StopReason.CROSSED]
    assert len(crossed) > 5
    for network in crossed[:5]:
        facts = {row[0]: row[1] for row in replay(output, cell, network).sections[0].rows}
        words = facts["crossed"].replace(",", "").replace(":", "").split()
        step, place, point = int(words[2]), float(words[10]), float(words[-1])
        assert step == rows[network]["first_crossing"]
        assert point in (-0.5, 0.75)
        assert abs(place) >= abs(point)
        assert np.sign(place) == np.sign(point)


def test_checks_say_what_the_certificate_found(tmp_path: Path) -> None:
    output = output_of(CROSSING, tmp_path)
    cell = chosen_cell(output, "width=32")
    rows = output.networks(cell).to_pylist()
    proved = next(row for row in rows if row["status"] == StopReason.LOCALLY_CONVERGED)
    checks = replay(output, cell, proved["network"]).sections[1]
    assert checks.headings[-1] == "certificate (modewise)"
    *before, last = checks.rows
    assert last[0] == str(proved["stop_iteration"])
    assert last[-2:] == ("locally_converged", "proved")
    assert all(row[-1] != "proved" and row[-2] == "go on" for row in before)


def test_figures_are_drawn_of_the_whole_way(tmp_path: Path) -> None:
    output = output_of(CROSSING, tmp_path)
    cell = chosen_cell(output, "optimizer=sgd")
    kinks, function = replay(output, cell, 3).drawings
    left, right = kinks.figure.axes
    stop = output.networks(cell).to_pylist()[3]["stop_iteration"]
    lines = [line for line in left.lines if len(line.get_xdata()) > 2]
    assert len(lines) == 8  # one per neuron
    assert lines[0].get_xdata()[-1] == stop
    assert len(right.lines) == 2
    assert len(function.figure.axes[0].lines) > 3


def test_cells_are_chosen_by_id_or_parameters(tmp_path: Path) -> None:
    output = output_of(CROSSING, tmp_path)
    first = output.cells[0]
    assert chosen_cell(output, first.id[:8]) is first
    assert chosen_cell(output, "width=8,optimizer=gd,offset=0,leaky_slope=0") is first
    assert chosen_cell(output, "width=8,optimizer=gd,step_rule=inv_lambda_max") is first
    for text, message in (
        ("width=8", r"3 cells fit: .*gd n=8.*; .*sgd n=8"),
        ("width=9", r"no such cell; there are: .*gd n=8"),
        ("zzz", r"no such cell"),
        ("with=8", r"with: cells have no such parameter; did you mean width\?"),
        ("", r"4 cells fit"),
    ):
        with pytest.raises(UserError, match=message):
            chosen_cell(output, text)


def test_what_is_refused(tmp_path: Path) -> None:
    output = output_of(EVENT, tmp_path / "event")
    with pytest.raises(UserError, match="network 30: n=16 rhs_factor=1 has networks 0 to 29"):
        replay(output, output.cells[0], 30)
    legacy = COMMON | {
        "experiment": "crossing", "rng": "legacy", "networks": 4096,
        "cells": {"width": [16], "optimizer": ["sgd"]}, "stop": ["crossing"],
        "checks": {"interval": 1, "maximum": 1},
    }  # fmt: skip
    sgd = output_of(legacy, tmp_path / "legacy")
    with pytest.raises(UserError, match=r"legacy.* come from one stream"):
        replay(sgd, sgd.cells[0], 5)


def test_networks_of_the_original_are_replayed(tmp_path: Path) -> None:
    spec = COMMON | {
        "experiment": "crossing", "rng": "legacy", "networks": 4096, "cells": {"width": [16]},
        "stop": ["crossing"], "checks": {"interval": 20, "maximum": 2},
    }  # fmt: skip
    output = output_of(spec, tmp_path)
    for network in (0, 4095):
        found = replay(output, output.cells[0], network)
        assert repr(found.row.to_pylist()) == row_of(output, output.cells[0], network)


def test_a_network_that_is_not_there_yet_can_be_done(tmp_path: Path) -> None:
    output = output_of(EVENT, tmp_path)
    for shard in (tmp_path / "shards").rglob("*.parquet"):
        shard.unlink()
    found = replay(Output.open(output.files), output.cells[0], 3)
    assert found.row.num_rows == 1


def test_one_block_alone(tmp_path: Path) -> None:
    """For breakpoints; what is done stays, and the rest is done later."""
    sweep = mcrelu.Sweep.of(EVENT)
    label = "width=100,rhs_factor=10/1"
    done = api.execute(sweep, tmp_path, "serial", block=label)
    assert done.exit_code == ExitCode.DONE
    (shard,) = (tmp_path / "shards").rglob("*.parquet")
    assert shard.parent.name == chosen_cell(done.output, "width=100,rhs_factor=10").id
    assert "000001" in shard.name
    before = shard.stat().st_mtime_ns
    assert api.execute(sweep, tmp_path, "serial", block=label).exit_code == ExitCode.DONE
    assert api.execute(sweep, tmp_path, "serial").status()["blocks_done"] == 12
    assert shard.stat().st_mtime_ns == before
    for text in ("width=100,rhs_factor=10", "width=100,rhs_factor=10/3", "width=16/0", "0"):
        with pytest.raises(UserError):
            api.execute(sweep, tmp_path, "serial", block=text)
