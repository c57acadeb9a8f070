"""One network of an output done again, and held against the row that the output has of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from mcrelu.errors import ForeignOutputError, UserError
from mcrelu.experiments.base import BlockTask, Replay
from mcrelu.figures.style import look
from mcrelu.store.contents import StoredCell
from mcrelu.store.output import Output
from mcrelu.sweep.cell import Block, Cell


def replay(output: Output, cell: StoredCell, network: int, device: str = "cpu") -> Replay:
    """Do network ``network`` of a cell again.

    Raises
    ------
    UserError
        If the cell has no such network, or it cannot be done by itself.
    ForeignOutputError
        If its row is not, bit for bit, what the output has; or this program cannot do the cell.
    """
    if not 0 <= network < output.contents.networks:
        raise UserError(
            f"network {network}: {cell.label} has networks 0 to {output.contents.networks - 1}"
        )
    own = _cell_of_sweep(output, cell)
    index = network // cell.block_size
    block = output.sweep.block(own, index)
    task = BlockTask(block, output.contents.provenance(cell), output.files.uri, device)
    with look():
        found = output.experiment.replay(task, network)
    stored = output.reader().block(cell, index)
    if stored is not None:
        _refuse_differences(output, found.row, stored.slice(network - block.first, 1))
    return found


def chosen_cell(output: Output, text: str) -> StoredCell:
    """The cell that a user means: the beginning of its id, or parameters: ``width=16,init=he``.

    Raises
    ------
    UserError
        If none or several fit; names the first few.
    """
    if "=" in text:
        wanted = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
        fitting = [cell for cell in output.cells if _fits(cell.parameters, wanted)]
    else:
        fitting = [cell for cell in output.cells if cell.id.startswith(text)]
    if len(fitting) == 1:
        return fitting[0]
    shown = fitting or output.cells
    named = "; ".join(f"{cell.id} ({cell.label})" for cell in shown[:MOST_NAMED])
    more = f"; and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
    problem = f"{len(fitting)} cells fit" if fitting else "no such cell; there are"
    raise UserError(f"cell {text}: {problem}: {named}{more}")


def chosen_block(output: Output, text: str) -> Block:
    """The block that a user means: a cell and the block's index, as in ``width=16/0``.

    Raises
    ------
    UserError
        If there is none.
    """
    cell_text, _, index = text.rpartition("/")
    cell = chosen_cell(output, cell_text)
    blocks = output.contents.block_count(cell)
    if not index.isdecimal() or int(index) >= blocks:
        raise UserError(
            f"block {text}: {cell.label} has blocks 0 to {blocks - 1}; write CELL/INDEX"
        )
    return output.sweep.block(_cell_of_sweep(output, cell), int(index))


MOST_NAMED = 8


def _fits(parameters: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    return all(
        name in parameters and _same(parameters[name], text) for name, text in wanted.items()
    )


def _same(value: Any, text: str) -> bool:
    """Whether a parameter is what was typed: numbers as numbers, so that 0 is 0.0."""
    try:
        return float(value) == float(text)
    except (TypeError, ValueError):
        return str(value) == text


def _cell_of_sweep(output: Output, cell: StoredCell) -> Cell:
    for own in output.sweep.cells:
        if own.id == cell.id:
            return own
    raise ForeignOutputError(
        f"{output.files.shown}: {cell.label} was made by mcrelu {output.contents.program} with an "
        "engine of another version; replay it with the versions that made it"
    )


def _refuse_differences(output: Output, ours: pa.Table, stored: pa.Table) -> None:
    # As text, since floats are written exactly and NaN equals itself there.
    differing = [
        name
        for name in ours.column_names
        if repr(ours[name].to_pylist()) != repr(stored[name].to_pylist())
    ]
    if differing:
        raise ForeignOutputError(
            f"{output.files.shown}: the replay differs from the stored row in "
            f"{', '.join(differing)}; it was made with other versions or on another kind of CPU"
        )
