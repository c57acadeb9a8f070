"""The spec of a setups sweep: what a user may write, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mcrelu.bias_init import KNOWN as BIAS_INITS
from mcrelu.bias_init import has_gain, is_bias_init
from mcrelu.distributions import KNOWN as DISTRIBUTIONS
from mcrelu.distributions import inputs_of, is_distribution
from mcrelu.engines.minibatch.registry import SEMANTICS
from mcrelu.experiments.setups.cell import Parametrization, SetupCell
from mcrelu.experiments.setups.search import (
    BASES,
    COARSE_RATIO,
    FINE_RATIO,
    OLDER_BASES,
    Row,
    best_of,
    better_half,
    grid,
    group_of,
    nearest_equal,
    rungs,
)
from mcrelu.problems.regression import Rule
from mcrelu.sweep.cell import Cell
from mcrelu.sweep.spec import CommonSpec, Lists, Model, Values

MAX_WIDTH = 2**16
MAX_POINTS = 2**24
MAX_EPOCHS = 2**31 - 1
MAX_RATE = 1e9  # beyond it nothing trains

# The paper's: 256 d points, 8192 / d epochs, validation every 64 / d epochs.
_POINTS_PER_INPUT = 256
_EPOCHS, _VALIDATE_EVERY = 8192, 64

_MOST_NETWORKS, _LEAST_NETWORKS = 100, 5  # per block: of one input, and of very many


def _known(test: Callable[[str], bool], known: str) -> AfterValidator:
    def check(name: str) -> str:
        if not test(name):
            raise ValueError(f"no such name; use {known}")
        return name

    return AfterValidator(check)


def _around_zero(exponents: list[int]) -> list[int]:
    if len(exponents) != 2 or not -64 <= exponents[0] <= 0 <= exponents[1] <= 64:
        raise ValueError("must be two whole numbers around 0 within -64 .. 64, such as [-3, 3]")
    return exponents


def _base_or_name(base: object) -> object:
    """Before the union, of whose members pydantic would tell one by one."""
    if isinstance(base, int | float) and not isinstance(base, bool):
        right = 0.0 < base <= MAX_RATE
    else:
        right = base in ("default", "older")
    if not right:
        raise ValueError("must be 'default', 'older' or a positive number, such as 0.01")
    return base


Exponents = Annotated[list[int], AfterValidator(_around_zero)]  # first, last


def _short_search(search: object) -> object:
    """``search: halving`` is short for the mapping."""
    return {"halving": True} if search == "halving" else search


class Search(Model):
    """Rates base sqrt(2)^k with k in ``coarse``, then 2^(k/8) times the best with k in ``fine``."""

    base: Annotated[Literal["default", "older"] | float, BeforeValidator(_base_or_name)] = "default"
    coarse: Exponents = [-12, 10]
    fine: Exponents = [-3, 3]
    halving: bool = False


class SetupLists(Lists):
    """The cells are the product of these lists."""

    data: Values[Annotated[str, _known(is_distribution, DISTRIBUTIONS)]]
    parametrization: Values[Parametrization] = ["he", "ntk"]
    optimizer: Values[Rule] = ["sgd", "momentum", "adam"]
    bias_init: Values[Annotated[str, _known(is_bias_init, BIAS_INITS)]] = ["zero"]
    bias_gain: Values[Annotated[float, Field(gt=0)]] = [1.0]
    width: Values[Annotated[int, Field(ge=1, le=MAX_WIDTH)]] = [512]
    batch: Values[Annotated[int, Field(ge=1, le=MAX_POINTS)]] = [256]
    learning_rate: Values[Annotated[float, Field(gt=0, le=MAX_RATE)]] | None = None


class SetupSpec(CommonSpec):
    """A setups sweep as it is written in YAML."""

    experiment: Literal["setups"]
    cells: SetupLists
    train_points: Annotated[int, Field(ge=2, le=MAX_POINTS)] | None = None
    epochs: Annotated[int, Field(ge=1, le=MAX_EPOCHS)] | None = None
    validate_every: Annotated[int, Field(ge=1, le=MAX_EPOCHS)] | None = None
    search: Annotated[Search, BeforeValidator(_short_search)] | None = None
    common_random_numbers: bool = True
    engine: Literal["auto", "piecewise", "fused", "torch"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    rng: Literal["philox"] = "philox"

    @model_validator(mode="after")
    def _consistent(self) -> SetupSpec:
        if self.search is not None and self.cells.learning_rate is not None:
            raise ValueError("search: learning_rate is given, so there is nothing to search; "
                             "leave out one of them")  # fmt: skip
        for data in self.cells.data:
            self._check_engine(data)
            self._check_sizes(data)
        return self

    def expand(self) -> Iterator[Cell]:
        """The cells with given rates, or with those of the coarse grid."""
        for group in self._groups():
            yield from self._first_cells(group)

    def later_cells(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Cell]:
        """The next steps of halving, then the fine grids around the best rates."""
        search = self._search
        if search is None:
            return
        by_id = {row["cell"]: row for row in rows}
        for group in self._groups():
            cells = list(self._first_cells(group))
            for epochs in self._rungs(group)[1:]:
                better = better_half(_rows_of(cells, by_id))
                cells = [
                    replace(group.at_rate(row["learning_rate"]), epochs=epochs) for row in better
                ]
                yield from cells
            best = best_of(_rows_of(cells, by_id))
            if best is not None:
                tried = self._first_rates(group)
                for rate in grid(best["learning_rate"], FINE_RATIO, *search.fine):
                    yield group.at_rate(nearest_equal(rate, tried))

    def recalled_cells(self, remembered: Iterable[Mapping[str, Any]]) -> Iterator[Cell]:
        """Cells of fine grids and of halving, from their parameters."""
        if self._search is None:
            return
        groups = {group_of(group.parameters()): group for group in self._groups()}
        for parameters in remembered:
            group = groups.get(group_of(parameters))
            if group is not None and parameters["epochs"] in rungs(group.epochs):
                rate = group.at_rate(parameters["learning_rate"])
                yield replace(rate, epochs=parameters["epochs"])

    @property
    def later_share(self) -> float:
        """Rates of a fine grid, but its middle, per rate of a coarse one."""
        search = self._search
        if search is None:
            return 0.0
        (a, b), (first, last) = search.coarse, search.fine
        return (last - first) / (b - a + 1)

    def block_size_of(self, cell: Cell) -> int:
        """Networks per block of a cell: what takes seconds to a minute."""
        assert isinstance(cell, SetupCell)
        return self.block_size or max(_LEAST_NETWORKS, _MOST_NETWORKS // cell.inputs)

    def settings(self) -> dict[str, Any]:
        """What all cells share and an output cannot change, unless the cells say it clearer."""
        values = self.model_dump(mode="json")
        return {key: values[key] for key in ("experiment", "seed", "rng")}

    @property
    def _search(self) -> Search | None:
        return None if self.cells.learning_rate is not None else self.search or Search()

    def _first_cells(self, group: SetupCell) -> Iterator[SetupCell]:
        for rate in self._first_rates(group):
            yield replace(group.at_rate(rate), epochs=self._rungs(group)[0])

    def _rungs(self, group: SetupCell) -> list[int]:
        """For how many epochs the rates of the coarse grid are trained."""
        search = self._search
        halving = search is not None and search.halving
        return rungs(group.epochs) if halving else [group.epochs]

    def _first_rates(self, group: SetupCell) -> list[float]:
        search = self._search
        if search is None:
            return [float(rate) for rate in self.cells.learning_rate or ()]
        return grid(_base(search, group), COARSE_RATIO, *search.coarse)

    def _groups(self) -> Iterator[SetupCell]:
        """A cell of each group, at no rate."""
        lists = self.cells
        for data, width, batch, parametrization, optimizer, bias, gain in product(
            lists.data, lists.width, lists.batch, lists.parametrization, lists.optimizer,
            lists.bias_init, lists.bias_gain,
        ):  # fmt: skip
            if not has_gain(bias) and gain != lists.bias_gain[0]:
                continue  # one cell for all gains
            engine = self._engine(data)
            yield SetupCell(
                width=width,
                engine=engine,
                semantics=SEMANTICS[engine],
                data=data,
                parametrization=parametrization,
                optimizer=optimizer,
                bias_init=bias,
                bias_gain=float(gain) if has_gain(bias) else 1.0,
                batch=batch,
                learning_rate=0.0,
                train_points=self._points(data),
                epochs=self._epochs(data),
                validate_every=self._interval(data),
                common_random_numbers=self.common_random_numbers,
            )

    def _engine(self, data: str) -> str:
        """The one asked for, else the fastest that can."""
        if self.engine != "auto":
            return self.engine
        if self.device == "cuda":
            return "torch"
        return "piecewise" if inputs_of(data) == 1 else "fused"

    def _points(self, data: str) -> int:
        return self.train_points or _POINTS_PER_INPUT * inputs_of(data)

    def _epochs(self, data: str) -> int:
        return self.epochs or max(1, _EPOCHS // inputs_of(data))

    def _interval(self, data: str) -> int:
        return self.validate_every or max(1, _VALIDATE_EVERY // inputs_of(data))

    def _check_engine(self, data: str) -> None:
        if self.engine == "piecewise" and inputs_of(data) != 1:
            raise ValueError(
                f"engine = 'piecewise': cannot train on {data}, which has {inputs_of(data)} "
                "inputs; use engine auto"
            )
        if self.device == "cuda" and self._engine(data) != "torch":
            raise ValueError(
                f"device = 'cuda': engine {self.engine} trains on the CPU; use engine torch or auto"
            )

    def _check_sizes(self, data: str) -> None:
        points, epochs, interval = self._points(data), self._epochs(data), self._interval(data)
        for batch in self.cells.batch:
            if points % batch:
                raise ValueError(
                    f"cells.batch = {batch}: does not divide the {points} training points of "
                    f"{data}; use a divisor, or set train_points to a multiple"
                )
        least = rungs(epochs)[0] if self.search is not None and self.search.halving else epochs
        if interval > least:
            raise ValueError(
                f"validate_every = {interval}: is more than the {least} epochs of {data}, so "
                "nothing would be validated; use a smaller one"
            )


def _rows_of(cells: Iterable[Cell], by_id: Mapping[str, Row]) -> list[Row]:
    """The rows of some cells; none before all of them are there."""
    found = [by_id.get(cell.id) for cell in cells]
    rows = [row for row in found if row is not None and row["networks"]]
    return rows if len(rows) == len(found) else []


def _base(search: Search, group: SetupCell) -> float:
    if isinstance(search.base, float):
        return search.base
    bases = BASES if search.base == "default" else OLDER_BASES
    return bases[group.parametrization, group.optimizer]


SPEC = SetupSpec
