"""The networks of a cell, page by page, each read from the shard of its block."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from mcrelu.experiments.base import Experiment
from mcrelu.serve.encoding import Json
from mcrelu.serve.errors import NotThereError
from mcrelu.store.contents import StoredCell
from mcrelu.store.inventory import verified_rows
from mcrelu.store.output import Output
from mcrelu.store.shards import Shard, file_name

PAGE = 25  # networks at a time

_NAMELESS = ("cell", "block")  # said above the list


def cell_of(output: Output, cell_id: str) -> StoredCell:
    """The cell of an id.

    Raises
    ------
    NotThereError
        If the output has none.
    """
    for cell in output.cells:
        if cell.id == cell_id:
            return cell
    raise NotThereError(f"cell {cell_id}: the output has no such cell")


def networks_page(output: Output, cell: StoredCell, first: int) -> Json:
    """Some networks of a cell, at most PAGE of one block.

    Parameters
    ----------
    first : index in the cell of the first of them

    Raises
    ------
    NotThereError
        If the cell has no such network.
    """
    total = output.contents.networks
    if not 0 <= first < total:
        raise NotThereError(f"network {first}: {cell.label} has networks 0 to {total - 1}")
    index = first // cell.block_size
    block_end = min((index + 1) * cell.block_size, total)
    end = min(first + PAGE, block_end)
    found = rows_of(output, cell, index)
    page: Json = {
        "cell": cell.id,
        "label": cell.label,
        "block": index,
        "first": first,
        "end": end,
        "total": total,
        "before": _before(cell, first),
        "there": found is not None,
    }
    if found is None:
        return page
    start = first - index * cell.block_size
    chosen = found.slice(start, end - first)
    return page | _listed(output.experiment, chosen)


def rows_of(output: Output, cell: StoredCell, index: int) -> pa.Table | None:
    """The rows of a block, None if it is not there or not good."""
    content = output.files.read(file_name(cell.id, index, index))
    if content is None:  # merged shards have other names, which only a listing tells
        return output.reader().block(cell, index)
    with Shard.of(content) as shard:
        return verified_rows(output.contents, cell, index, shard)


def _before(cell: StoredCell, first: int) -> int | None:
    """Where the page before this one begins."""
    if first == 0:
        return None
    block = (first - 1) // cell.block_size * cell.block_size
    return max(block, first - PAGE)


def _listed(experiment: Experiment, rows: pa.Table) -> Json:
    """The columns that are not the same for all networks of a page."""
    names = [
        field.name
        for field in rows.schema
        if field.name not in _NAMELESS and not pa.types.is_nested(field.type)
    ]
    columns = {name: _worded(experiment, name, rows[name].to_pylist()) for name in names}
    told = [name for name in names if name == "network" or _varies(columns[name])]
    alike = {name: columns[name][0] for name in names if name not in told and rows.num_rows}
    return {
        "columns": [name.replace("_", " ") for name in told],
        "rows": [list(row) for row in zip(*(columns[name] for name in told), strict=True)],
        "alike": {name.replace("_", " "): value for name, value in alike.items()},
    }


def _varies(values: list[Any]) -> bool:
    return len({repr(value) for value in values}) > 1


def _worded(experiment: Experiment, name: str, values: list[Any]) -> list[Any]:
    """Codes by their names."""
    if name not in experiment.codes:
        return values
    names = {int(code): code.name.lower().replace("_", " ") for code in experiment.codes[name]}
    return [names.get(value, value) for value in values]
