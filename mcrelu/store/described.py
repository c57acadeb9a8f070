"""The tables of cells none of whose networks is there: their parameters alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from mcrelu.experiments.base import CELLS, Experiment, Tables, experiment
from mcrelu.store.contents import Contents, StoredCell


def parameters_of(contents: Contents) -> Tables:
    """The tables of an output without any rows; the cell table still has every cell.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError, OverflowError, pyarrow.ArrowException
        If cells have not the parameters of their experiment.
    """
    known = experiment(contents.experiment)
    tables = known.tables(_WithoutRows(contents.cells))
    table = tables[CELLS]
    for name in table.column_names:
        kind = (known.schema if name in known.schema.names else table.schema).field(name).type
        if not all(map(_test_of(kind), _values(contents.cells, table, name, known))):
            raise ValueError(f"{name} is of another kind")
    return tables


def _values(
    cells: Iterable[StoredCell], table: pa.Table, name: str, known: Experiment
) -> Iterator[Any]:
    """What there is of a parameter, in the cell table and in what cells say of themselves.

    Columns of points that rows lack are made of parameters that may look otherwise.
    """
    if name in known.point_columns:
        yield from table[name].to_pylist()
    if name in known.schema.names or name not in known.point_columns:
        for cell in cells:
            given = {**cell.parameters, **cell.extent}
            if name in given:
                yield given[name]


def _test_of(kind: pa.DataType) -> Callable[[Any], bool]:
    """Whether a parameter is of the kind of its column, and if it is a whole number, a size."""
    if pa.types.is_string(kind):
        return lambda value: isinstance(value, str)
    if pa.types.is_boolean(kind):
        return lambda value: isinstance(value, bool)
    if pa.types.is_integer(kind):
        return lambda value: type(value) is int and 0 < value < 2**32
    return lambda value: type(value) in (int, float)


class _WithoutRows:
    """A reader that has cells and none of their networks."""

    def __init__(self, cells: tuple[StoredCell, ...]) -> None:
        self.cells = cells

    def relative_width(self, cell: Any) -> float | None:
        """None is asked for."""
        return None

    def sample(self, cell: Any, columns: Iterable[str]) -> Iterator[pa.Table]:
        """Nothing."""
        return iter(())
