"""RMSEs relative to a baseline, over the number of inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mcrelu.distributions import family
from mcrelu.experiments.setups.naming import (
    Biases,
    Configuration,
    biases_in_order,
    configuration_of,
    in_order,
)

OVER_INPUTS = "rmse_over_inputs"
BY_OPTIMIZER = "rmse_by_optimizer"

Row = Mapping[str, Any]
Pair = tuple[Configuration, Configuration]  # and its baseline


class Curve(NamedTuple):
    """Mean test RMSEs of a configuration as multiples of the baseline's, by number of inputs.

    Errors are standard errors of the configuration's means, in the same unit: the baseline's own
    error is the one of the baseline's curve.
    """

    configuration: Configuration
    inputs: tuple[int, ...]
    ratio: tuple[float, ...]
    error: tuple[float, ...]


class Comparison(NamedTuple):
    """Curves that differ in what is compared, from the same distributions, width and batch."""

    drawing: str  # name of the figure
    where: str  # distribution, width and batch; empty if all comparisons share them
    biases: Biases  # of the baseline
    curves: tuple[Curve, ...]

    @property
    def inputs(self) -> list[int]:
        """All numbers of inputs."""
        return sorted({inputs for curve in self.curves for inputs in curve.inputs})


class _Place(NamedTuple):
    family: str
    width: int
    batch: int


def over_inputs(best: Iterable[Row]) -> list[Comparison]:
    """Initialisations of biases against zero biases, or the first of the table that there are."""

    def pairs(everything: Sequence[Configuration], biases: Biases) -> list[Pair]:
        return [(one, one._replace(**biases._asdict())) for one in everything]

    return _comparisons(OVER_INPUTS, list(best), pairs)


def by_optimizer(best: Iterable[Row]) -> list[Comparison]:
    """Parametrisations and optimisers against the first, all with zero biases (or the first)."""

    def pairs(everything: Sequence[Configuration], biases: Biases) -> list[Pair]:
        those = [one for one in everything if one.biases == biases]
        return [(one, those[0]) for one in those]

    return _comparisons(BY_OPTIMIZER, list(best), pairs)


def _comparisons(
    drawing: str,
    best: Sequence[Row],
    pairs: Callable[[Sequence[Configuration], Biases], list[Pair]],
) -> list[Comparison]:
    """One for each place where something is compared at two numbers of inputs or more."""
    found = []
    for place in sorted({_place(row) for row in best}):
        rows = [row for row in best if _place(row) == place]
        everything = in_order({configuration_of(row) for row in rows})
        biases = biases_in_order(everything)[0]
        compared = pairs(everything, biases)
        drawn = [_curve(rows, *pair) for pair in compared]
        curves = tuple(curve for curve in drawn if curve.inputs)
        baselines = {baseline for _, baseline in compared}
        one = Comparison(drawing, _words(place), biases, curves)
        if {curve.configuration for curve in curves} - baselines and len(one.inputs) > 1:
            found.append(one)
    if len(found) == 1:
        return [found[0]._replace(where="")]
    return [one._replace(drawing=f"{drawing}-{one.where.replace(' ', '-')}") for one in found]


def _place(row: Row) -> _Place:
    return _Place(family(row["data"]), row["width"], row["batch"])


def _words(place: _Place) -> str:
    return f"{place.family} n{place.width} batch{place.batch}"


def _curve(rows: Iterable[Row], one: Configuration, baseline: Configuration) -> Curve:
    by_inputs = {(configuration_of(row), row["inputs"]): row for row in rows}
    shared = sorted(
        inputs for name, inputs in by_inputs if name == one and (baseline, inputs) in by_inputs
    )
    own = [by_inputs[one, inputs] for inputs in shared]
    units = [by_inputs[baseline, inputs]["best_test_rmse"] for inputs in shared]
    return Curve(
        one,
        tuple(shared),
        tuple(row["best_test_rmse"] / unit for row, unit in zip(own, units, strict=True)),
        tuple((row["best_test_rmse_se"] or 0.0) / unit
              for row, unit in zip(own, units, strict=True)),
    )  # fmt: skip
