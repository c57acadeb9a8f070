"""How the networks of each cell ended."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from mcrelu.experiments.base import Experiment
from mcrelu.serve.encoding import Json
from mcrelu.serve.progress import CellProgress


def mix(experiment: Experiment, cells: pa.Table | None, progress: Sequence[CellProgress]) -> Json:
    """Counts of networks by how they ended, per cell, and what these are called.

    Where there is no table that has them all, or it does not tell: those that summaries of blocks
    count, and the others.
    """
    names = _columns(experiment, cells) if cells is not None else []
    if cells is not None and names:
        by_cell = {row["cell"]: [row[name] for name in names] for row in cells.to_pylist()}
        shown = [name for k, name in enumerate(names) if any(row[k] for row in by_cell.values())]
        kept = [names.index(name) for name in shown]
        counts = {cell: [row[k] for k in kept] for cell, row in by_cell.items()}
        return {"names": [name.replace("_", " ") for name in shown], "counts": counts}
    if experiment.counted is None:
        return {"names": [], "counts": {}}
    counts = {one.cell.id: [one.sample.k, one.sample.n - one.sample.k] for one in progress}
    return {"names": [experiment.counted, "the others"], "counts": counts}


def _columns(experiment: Experiment, cells: pa.Table) -> list[str]:
    """The columns of a cell table that count networks by a code in their rows."""
    for meanings in experiment.codes.values():
        names = [code.name.lower() for code in meanings]
        if set(names) <= set(cells.column_names):
            return names
    return []
