"""One network of an event sweep again: how far it is from each condition's limit."""

from __future__ import annotations

from mcrelu.experiments.base import BlockTask, Replay, Section
from mcrelu.experiments.event.block import event_rows, measure
from mcrelu.experiments.event.conditions import CONDITIONS
from mcrelu.sweep.cell import Block


def replay(task: BlockTask, network: int) -> Replay:
    """Draw and judge network ``network`` of a cell once more; nothing is trained."""
    block = task.block
    first = Block(block.cell, block.index, block.first, network - block.first + 1)
    row = event_rows(first, *measure(first, task.provenance)).slice(network - block.first)
    (values,) = row.to_pylist()
    held = [(name, "holds" if values[name] else "fails") for name in CONDITIONS]
    measures = row.column_names[row.column_names.index("max_w") :]
    found = [*held, *((name, f"{values[name]:.6g}") for name in measures)]
    return Replay(row, [Section("What was drawn", ("", ""), tuple(found))], [])
