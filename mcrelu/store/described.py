"""The tables of cells none of whose networks is there: their parameters alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from mcrelu.experiments.base import Tables, experiment
from mcrelu.store.contents import Contents, StoredCell


def parameters_of(contents: Contents) -> Tables:
    """The tables of an output without any rows; the cell table still has every cell.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError, OverflowError, pyarrow.ArrowException
        If cells have not the parameters of their experiment.
    """
    return experiment(contents.experiment).tables(_WithoutRows(contents.cells))


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
