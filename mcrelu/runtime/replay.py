"""One network of an output done again, and held against the row that the output has of it."""

from __future__ import annotations

import pyarrow as pa

from mcrelu.errors import ForeignOutputError, UserError
from mcrelu.experiments.base import BlockTask, Replay
from mcrelu.figures.style import look
from mcrelu.store.choosing import chosen_cell
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
