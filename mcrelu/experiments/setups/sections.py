"""What the tables of a setups sweep say, for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mcrelu.experiments.base import CELLS, Section, Tables
from mcrelu.experiments.setups.halving import Halving, halving_of
from mcrelu.experiments.setups.kink_distances import DRAWING as KINK_DISTANCES
from mcrelu.experiments.setups.kink_distances import (
    FARTHEST,
    INDEPENDENT,
    UNIFORM,
    distance_cdf,
    inputs_shown,
    uniform_cdf,
)
from mcrelu.experiments.setups.learned import DATA, NETWORKS, shown_rows
from mcrelu.experiments.setups.learned import DRAWING as LEARNED
from mcrelu.experiments.setups.naming import configuration_of, data_sets, in_order
from mcrelu.experiments.setups.paper import OPTIMIZERS
from mcrelu.experiments.setups.relative import Comparison, by_optimizer, over_inputs
from mcrelu.experiments.setups.tables import BEST

DRAWING = "rmse"

Row = Mapping[str, Any]


def sections(tables: Tables) -> list[Section]:
    """RMSEs by data set and the learning rates behind them; what else the figures show."""
    best = tables[BEST].to_pylist()
    if not best:
        return []
    edge = sum(row["on_edge"] for row in best if row["rates_tried"] > 1)
    remarks = [] if not edge else [
        f"* first or last of the rates tried ({edge} of {len(best)}): a better one may lie beyond."
    ]  # fmt: skip
    cells = tables[CELLS].to_pylist()
    lost = [row for row in cells if row["diverged"]]
    if lost:
        remarks.append(f"Some network diverged at {len(lost)} of {len(cells)} rates.")
    return [
        _by_data("Test RMSE at the best learning rate", cells, best, _rmse, (), DRAWING),
        _by_data("Learning rates", cells, best, _rate, tuple(remarks), None),
        _endings(cells),
        *_of_halving(halving_of(cells)),
        *(_relative(one, f"{one.biases.name} biases") for one in over_inputs(best)),
        *(_relative(one, " ".join(one.curves[0].configuration.words()[:3]))
          for one in by_optimizer(best)),
        *_learned(best),
        *_kink_distances(best),
    ]  # fmt: skip


def _endings(cells: list[Row]) -> Section:
    """How many networks diverged, by data set and optimiser."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in cells:
        groups.setdefault((row["data"], row["optimizer"]), []).append(row)
    rows = []
    for data in data_sets(cells):
        for optimizer, name in OPTIMIZERS.items():
            if own := groups.get((data, optimizer)):
                networks, lost = (sum(row[key] for row in own) for key in ("networks", "diverged"))
                counts = (len(own), networks, networks - lost, lost)
                rows.append((data, name, *map(str, counts)))
    headings = ("data", "optimizer", "cells", "networks", "finite loss", "diverged")
    return Section("How training ended", headings, tuple(rows))


def _of_halving(found: Halving | None) -> list[Section]:
    if found is None:
        return []
    compared = "whole grids not trained"
    if found.compared:
        compared = f"{found.agreeing} of {found.compared} groups"
    rows = (
        ("groups searched by halving", str(found.groups)),
        ("epochs of their coarse grids saved", f"{1.0 - found.spent / found.whole:.0%}"),
        ("the same rate as the whole grid", compared),
    )
    return [Section("Halving", ("", "result"), rows)]


def _by_data(
    title: str,
    cells: list[Row],
    best: list[Row],
    shown: Callable[[Row], str],
    remarks: tuple[str, ...],
    figure: str | None,
) -> Section:
    """What is shown of the best rates, with a place for every configuration and data set."""
    columns = data_sets(cells)
    entries = {(configuration_of(row), row["data"]): shown(row) for row in best}
    configurations = in_order({configuration_of(row) for row in cells})
    rows = tuple(
        (*one.words(), *(entries.get((one, data), "") for data in columns))
        for one in configurations
    )
    headings = ("parametrization", "optimizer", "biases", "width", "batch", *columns)
    return Section(title, headings, rows, remarks, figure)


def _relative(comparison: Comparison, baseline: str) -> Section:
    """RMSEs as multiples of the baseline's."""
    inputs = comparison.inputs
    rows = []
    for curve in comparison.curves:
        shown = {
            d: f"{ratio:.3f} ± {error:.3f}"
            for d, ratio, error in zip(curve.inputs, curve.ratio, curve.error, strict=True)
        }
        rows.append((*curve.configuration.words()[:3], *(shown.get(d, "") for d in inputs)))
    where = f" ({comparison.where})" if comparison.where else ""
    return Section(
        title=f"Test RMSE relative to {baseline}, by number of inputs{where}",
        headings=("parametrization", "optimizer", "biases", *(f"d = {d}" for d in inputs)),
        rows=tuple(rows),
        figure=comparison.drawing,
    )


def _learned(best: list[Row]) -> list[Section]:
    shown = shown_rows(best)
    if not shown:
        return []
    rows = [(*configuration_of(row).words()[:3], f"{row['learning_rate']:.3g}") for row in shown]
    remark = (
        f"The median of {NETWORKS} networks by validation error, trained on one sample at the best "
        "learning rates."
    )
    return [
        Section(
            title=f"What networks learned on {DATA}",
            headings=("parametrization", "optimizer", "biases", "learning rate"),
            rows=tuple(rows),
            remarks=(remark,),
            figure=LEARNED,
        )
    ]


def _kink_distances(best: list[Row]) -> list[Section]:
    """How many kinks are near the origin."""
    inputs = inputs_shown(best)
    if not inputs:
        return []
    distances = np.array([0.5, 1.0]) * FARTHEST
    rows = [(str(d), *(f"{p:.4f}" for p in distance_cdf(distances, d))) for d in inputs]
    rows.append(("any", *(f"{p:.4f}" for p in uniform_cdf(distances))))
    biases = [INDEPENDENT] * len(inputs) + [UNIFORM]
    return [
        Section(
            title="Fraction of kinks at most so far from the origin",
            headings=("biases", "inputs", "sqrt(3) / 2", "sqrt(3)"),
            rows=tuple((name, *row) for name, row in zip(biases, rows, strict=True)),
            figure=KINK_DISTANCES,
        )
    ]


def _rmse(row: Row) -> str:
    error = row["best_test_rmse_se"]
    return f"{row['best_test_rmse']:.4f}" + ("" if error is None else f" ± {error:.4f}")


def _rate(row: Row) -> str:
    star = "*" if row["on_edge"] and row["rates_tried"] > 1 else ""
    return f"{row['learning_rate']:.3g}{star}"
