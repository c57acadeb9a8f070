"""From rows to tables, whatever the experiment."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from mcrelu.experiments.crossing.tables import crossing_cells, power_laws
from mcrelu.experiments.star.tables import progress, star_cells
from mcrelu.store.output import Output

CELLS = "cells"
POWER_LAWS = "power_laws"
PROGRESS = "progress"

Tables = dict[str, pa.Table]  # by the name under which an output keeps them


def cell_table(output: Output) -> pa.Table:
    """One row per cell: counts, estimates, intervals."""
    return _CELLS[output.sweep.experiment](output)


def reduce(output: Output) -> Tables:
    """Write the tables of an output, from its shards."""
    tables = _TABLES[output.sweep.experiment](output)
    for name, table in tables.items():
        output.publish_table(name, table)
    return tables


def written_tables(output: Output) -> Tables:
    """The tables of an output as they were written last, without :data:`PROGRESS`.

    Raises
    ------
    UserError
        If they were not written yet.
    """
    names = (CELLS, POWER_LAWS) if output.sweep.experiment == "crossing" else (CELLS,)
    return {name: output.read_table(name) for name in names}


def _crossing(output: Output) -> Tables:
    cells = crossing_cells(output)
    return {CELLS: cells, POWER_LAWS: power_laws(cells)}


def _star(output: Output) -> Tables:
    return {CELLS: star_cells(output), PROGRESS: progress(output)}


_TABLES: dict[str, Callable[[Output], Tables]] = {"crossing": _crossing, "star": _star}
_CELLS: dict[str, Callable[[Output], pa.Table]] = {"crossing": crossing_cells, "star": star_cells}
