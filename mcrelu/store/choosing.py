"""Choosing cells of an output as people speak of them: by ids, or by parameters."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from mcrelu.errors import UserError
from mcrelu.experiments.base import CELLS
from mcrelu.store.contents import StoredCell
from mcrelu.store.described import parameters_of
from mcrelu.store.output import Output

MOST_NAMED = 8


def cells_with(output: Output, wanted: Mapping[str, Any]) -> list[StoredCell]:
    """The cells with some parameters, by the names of cells.json or of the columns of tables.

    Values may be text, as they are typed.

    Raises
    ------
    UserError
        If cells have no such parameter.
    """
    described = _described(output)
    known = list(dict.fromkeys(name for one in described.values() for name in one))
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            remedy = f"did you mean {close[0]}?" if close else f"they have {', '.join(known)}"
            raise UserError(f"{name}: cells have no such parameter; {remedy}")
    return [
        cell
        for cell in output.cells
        if all(_same(described[cell.id].get(name), value) for name, value in wanted.items())
    ]


def chosen_cell(output: Output, text: str) -> StoredCell:
    """The cell that a user means: the beginning of its id, or parameters: ``width=16,init=he``.

    Raises
    ------
    UserError
        If none or several fit; names the first few.
    """
    if "=" in text:
        wanted = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
        fitting = cells_with(output, wanted)
    else:
        fitting = [cell for cell in output.cells if cell.id.startswith(text)]
    if len(fitting) == 1:
        return fitting[0]
    shown = fitting or output.cells
    named = "; ".join(f"{cell.id} ({cell.label})" for cell in shown[:MOST_NAMED])
    more = f"; and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
    problem = f"{len(fitting)} cells fit" if fitting else "no such cell; there are"
    raise UserError(f"cell {text}: {problem}: {named}{more}")


def _described(output: Output) -> dict[str, dict[str, Any]]:
    """Parameters of each cell, by id: defaults too, as tables have them."""
    experiment = output.experiment
    rows = parameters_of(output.contents)[CELLS].to_pylist()
    shown = {row["cell"]: {name: row[name] for name in experiment.point_columns} for row in rows}
    return {cell.id: {**shown[cell.id], **cell.parameters} for cell in output.cells}


def _same(value: Any, asked: Any) -> bool:
    """Whether a parameter is what was asked for; numbers as numbers, so that 0 is 0.0."""
    if isinstance(value, bool) or isinstance(asked, bool):
        return str(value).lower() == str(asked).lower()
    try:
        return float(value) == float(asked)
    except (TypeError, ValueError):
        return value == asked or str(value) == str(asked)
