"""The event of the theorem, against the definitions written out one network at a time."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

from mcrelu.data import STANDARD_X, STANDARD_Y, point_weights
from mcrelu.errors import SpecError
from mcrelu.experiments.base import experiment
from mcrelu.experiments.event import block as event_block
from mcrelu.experiments.event.block import draw_block, event_rows, measure
from mcrelu.experiments.event.cell import EventCell
from mcrelu.experiments.event.conditions import CONDITIONS
from mcrelu.experiments.event.tables import JOINT
from mcrelu.sweep.sweep import Sweep

GAMMA = 0.25
EPS = 0.25 - GAMMA / 2
WIDTHS = [4, *(2**k for k in range(4, 11))]  # at 4 samples are so small that D2 may fail


def sweep_of(**changes: Any) -> Sweep:
    return Sweep.of({
        "version": 1, "experiment": "event", "seed": 3, "networks": 60,
        "cells": {"width": WIDTHS}, "block_size": 60, **changes,
    })  # fmt: skip


def moments(p: list[float], side: int) -> np.ndarray:
    total = np.zeros((2, 2))
    for weight, x in zip(p, STANDARD_X, strict=True):
        if x * side > 0:
            total += weight * np.outer([x, 1.0], [x, 1.0])
    return total


def optimum(p: list[float], side: int) -> np.ndarray:
    """Slope and intercept of the best affine function on the points of a side."""
    rows, targets = [], []
    for weight, x, y in zip(p, STANDARD_X, STANDARD_Y, strict=True):
        if x * side > 0:
            rows.append([sqrt(weight) * x, sqrt(weight)])
            targets.append(sqrt(weight) * y)
    return np.linalg.lstsq(np.array(rows), np.array(targets), rcond=1e-10)[0]


def directly(a: np.ndarray, w: np.ndarray, p: list[float], r: float) -> dict[str, bool]:
    """The conditions of one network, as they are defined."""
    n = len(a)
    samples = n * n
    held = dict.fromkeys(CONDITIONS, True)
    for weight_a, weight_w in zip(a, w, strict=True):
        held["W2"] &= abs(weight_w) <= r * n ** (-0.5 + EPS)
        held["W3"] &= abs(weight_a) <= r * n**EPS
        held["W4"] &= abs(weight_a) >= n ** (-1 - GAMMA) / r
    even = [1 / 6] * 6
    for side in (1, -1):
        own = [(u, v) for u, v in zip(a, w, strict=True) if u * side > 0]
        held["W5"] &= 0.25 * n * 2 <= sum(u * u for u, _ in own) <= n * 2
        held["W6"] &= 0.25 * 2 <= sum(v * v for _, v in own) <= 2
        held["W7"] &= abs(sum(u * v for u, v in own)) <= r * n**EPS
        shift = np.abs(optimum(p, side) - optimum(even, side)).max()
        held["D1"] &= bool(shift <= r * samples ** ((EPS - 1) / 2))
    eigenvalues = np.concatenate([np.linalg.eigvalsh(moments(p, side)) for side in (1, -1)])
    reference = np.concatenate([np.linalg.eigvalsh(moments(even, side)) for side in (1, -1)])
    held["D2"] = bool(
        eigenvalues.min() >= reference.min() / 2 and eigenvalues.max() <= 2 * reference.max()
    )
    return {name: bool(value) for name, value in held.items()}


@pytest.mark.parametrize("rhs_factor", [1.0, 2.0, 10.0])
def test_every_condition_is_the_one_defined(rhs_factor: float) -> None:
    """Network by network, exactly, at all widths; and every condition both holds and fails."""
    seen: dict[str, set[bool]] = {name: set() for name in CONDITIONS}
    sweep = sweep_of(cells={"width": WIDTHS, "rhs_factor": [rhs_factor]})
    for cell in sweep.cells:
        block, provenance = sweep.block(cell, 0), sweep.provenance(cell)
        rows = event_rows(block, *measure(block, provenance))
        draws = draw_block(block, provenance)
        every = np.arange(block.networks)
        a = sqrt(2.0) * draws.a_normals.rows(every)
        w = sqrt(2.0 / cell.width) * draws.w_normals.rows(every)
        p = point_weights(draws.counts)
        for k, row in enumerate(rows.to_pylist()):
            expected = directly(a[k], w[k], p[k].tolist(), rhs_factor)
            assert {name: row[name] for name in CONDITIONS} == expected, (cell.width, k)
            for name, value in expected.items():
                seen[name].add(value)
    if rhs_factor == 2.0:
        undecided = [name for name, values in seen.items() if len(values) < 2]
        assert undecided == []


@pytest.mark.parametrize("name", ["GAMMA", "EPS"])
def test_another_exponent_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the comparison above distinguishes what is nearly right."""
    sweep = sweep_of(cells={"width": [64], "rhs_factor": [2.0]}, networks=500, block_size=500)
    block, provenance = sweep.block(sweep.cells[0], 0), sweep.provenance(sweep.cells[0])
    right = event_rows(block, *measure(block, provenance))
    monkeypatch.setattr(f"mcrelu.experiments.event.conditions.{name}", 0.2)
    wrong = event_rows(block, *measure(block, provenance))
    assert any(right[one] != wrong[one] for one in CONDITIONS)


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = sweep_of(cells={"width": [256]})
    block, provenance = sweep.block(sweep.cells[0], 0), sweep.provenance(sweep.cells[0])
    whole = event_rows(block, *measure(block, provenance))
    sizes = []

    def one_by_one(networks: int, width: int) -> Any:
        sizes.append(width)
        return (np.array([k]) for k in range(networks))

    monkeypatch.setattr(event_block, "chunks", one_by_one)
    assert event_rows(block, *measure(block, provenance)) == whole
    assert sizes == [256]


def test_right_hand_sides_judge_the_same_networks() -> None:
    sweep = sweep_of(cells={"width": [64], "rhs_factor": [1, 10]})
    one, ten = (
        event_rows(block, *measure(block, sweep.provenance(cell)))
        for cell in sweep.cells
        for block in [sweep.block(cell, 0)]
    )
    assert one["max_a"] == ten["max_a"]
    for name in ("W2", "W3", "W4", "W7", "D1"):  # whatever R = 1 allows, 10 allows
        weak, strong = (rows[name].to_numpy(zero_copy_only=False) for rows in (ten, one))
        assert (weak >= strong).all()
        assert weak.sum() > strong.sum()
    for name in ("W5", "W6", "D2"):
        assert one[name] == ten[name]


def test_counts_are_those_of_the_rows() -> None:
    event = experiment("event")
    sweep = sweep_of(cells={"width": [16], "rhs_factor": [10]}, networks=200, block_size=200)
    block, provenance = sweep.block(sweep.cells[0], 0), sweep.provenance(sweep.cells[0])
    rows = event_rows(block, *measure(block, provenance))
    joint = [all(row[name] for name in CONDITIONS) for row in rows.to_pylist()]
    assert event.summary(rows) == {"k": sum(joint)}
    assert 0 < sum(joint) < 200

    class OneBlock:
        cells = (type("Record", (), {"id": "x", "parameters": sweep.cells[0].parameters()}),)

        def sample(self, cell: Any, columns: Any) -> Any:
            yield rows.select(list(columns))

    (row,) = event.tables(OneBlock())["cells"].to_pylist()  # type: ignore[arg-type]
    assert row["networks"] == 200
    assert row[JOINT] == sum(joint)
    assert row["W5"] == sum(one["W5"] for one in rows.to_pylist())
    assert row["joint_estimate"] == sum(joint) / 200
    assert row["joint_wilson_low"] < row["joint_estimate"] < row["joint_wilson_high"]


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"cells": {"width": [0]}}, "cells.width[0] = 0: too small"),
        ({"cells": {"width": [16], "rhs_factor": [0]}}, "cells.rhs_factor[0] = 0: too small"),
        ({"cells": {"rhs_factor": [1]}}, "cells.width: is missing"),
        ({"rng": "legacy"}, "rng = 'legacy': must be 'philox4x32' or 'philox'"),
        ({"stop": ["crossing"]}, "stop = ['crossing']: unknown key"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], fragment: str) -> None:
    with pytest.raises(SpecError) as error:
        sweep_of(**changes)
    assert fragment in str(error.value)


def test_blocks_take_about_as_long_at_any_width() -> None:
    sweep = Sweep.of({
        "version": 1, "experiment": "event", "seed": 3, "networks": 10_000,
        "cells": {"width": [16, 2**14, 2**20, 2**24], "rhs_factor": [1]},
    })  # fmt: skip
    assert [sweep.block_size(cell) for cell in sweep.cells] == [10_000, 8192, 128, 16]
    assert isinstance(sweep.cells[0], EventCell)
