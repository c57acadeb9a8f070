"""The output of a sweep: whose it is, what of it is there, and where the rest goes.

spec.yaml  shards/<cell>/<block>.parquet  tables/  figures/  errors/  status.json
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.csv as pacsv

from mcrelu.errors import ForeignOutputError, SpecError, UserError
from mcrelu.store.files import Files
from mcrelu.store.parquet import DAMAGED, parquet_of, table_of
from mcrelu.store.shards import Provenance, complete_prefix, missing_blocks, of_good_blocks
from mcrelu.sweep.cell import Block, Cell, digest
from mcrelu.sweep.sweep import Sweep

SPEC = "spec.yaml"
STATUS = "status.json"

T = TypeVar("T")


class Output:
    """A sweep together with the files of its output."""

    def __init__(self, files: Files, sweep: Sweep) -> None:
        self.files = files
        self.sweep = sweep

    @classmethod
    def open(cls, files: Files) -> Output:
        """An output that is there already, with the sweep it belongs to.

        Raises
        ------
        UserError
            If there is no output.
        """
        content = files.read(SPEC)
        if content is None:
            raise UserError(f"{files.root}: no output of a sweep; give the --out of a run")
        return cls(files, Sweep.from_text(content.decode(errors="replace"), files.path(SPEC)))

    @classmethod
    def claim(cls, files: Files, sweep: Sweep) -> Output:
        """A new output for a sweep, or an old one that the sweep only adds to; writes nothing.

        Raises
        ------
        ForeignOutputError
            If the old output differs in more than added cells or networks; says in what.
        """
        content = files.read(SPEC)
        if content is not None:
            try:
                old = Sweep.from_text(content.decode(errors="replace"), files.path(SPEC))
            except SpecError as error:
                raise ForeignOutputError(f"{error}; choose another --out") from None
            differences = conflicts(old, sweep)
            if differences:
                raise ForeignOutputError(
                    f"{files.root} belongs to another spec: {'; '.join(differences)}. "
                    "Choose another --out, or only add cells, networks or epochs"
                )
        return cls(files, sweep)

    def take(self) -> None:
        """Write the spec: from now on the output belongs to the sweep."""
        self.files.publish(SPEC, self.sweep.to_yaml().encode())

    def origin(self, cell: Cell) -> Provenance:
        """What fixes the streams of a cell's blocks."""
        spec = self.sweep.spec
        return Provenance(spec.seed, spec.rng, self.sweep.block_size(cell))

    def missing(self) -> list[Block]:
        """The blocks that have no good shard."""
        return [
            block
            for cell in self.sweep.cells
            for block in missing_blocks(self.files, self.sweep.blocks(cell), self.origin(cell))
        ]

    def of_good_blocks(self, cell: Cell, of: Callable[[pa.Table], T]) -> dict[Block, T]:
        """What a function says of the rows of each good block of a cell, gaps or not."""
        return of_good_blocks(self.files, self.sweep.blocks(cell), self.origin(cell), of)

    def networks(self, cell: Cell) -> pa.Table:
        """The rows of a cell, of its complete blocks in index order."""
        return complete_prefix(self.files, cell, self.sweep.blocks(cell), self.origin(cell))

    def publish_table(self, name: str, table: pa.Table) -> None:
        """Write a table as tables/<name>.parquet and .csv."""
        csv = pa.BufferOutputStream()
        pacsv.write_csv(table, csv)
        self.files.publish(f"tables/{name}.parquet", parquet_of(table))
        self.files.publish(f"tables/{name}.csv", csv.getvalue())

    def read_table(self, name: str) -> pa.Table:
        """The table tables/<name>.parquet.

        Raises
        ------
        UserError
            If it was not written yet, or is damaged.
        """
        content, uri = self.files.read(f"tables/{name}.parquet"), self.files.shown
        if content is None:
            raise UserError(f"{uri}: has no tables; give mcrelu reduce {uri}")
        try:
            return table_of(content)
        except DAMAGED:
            raise UserError(f"{uri}: table {name} is damaged; give mcrelu reduce {uri}") from None

    def publish_json(self, name: str, value: dict[str, Any]) -> None:
        """Write a JSON file."""
        self.files.publish(name, (json.dumps(value, indent=2) + "\n").encode())

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON object, None if it is not there or damaged."""
        content = self.files.read(name)
        try:
            value = None if content is None else json.loads(content)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


def conflicts(old: Sweep, new: Sweep) -> list[str]:
    """In what a new sweep contradicts the owner of an output, as readable differences."""
    found = _changes(old.spec.settings(), new.spec.settings())
    if not found:
        twins = {digest(cell.trained()): cell for cell in new.cells}
        for cell in old.cells:
            twin = twins.get(digest(cell.trained()))
            if twin is None:
                found.append(f"cells: {cell.label} is there, not here")
            else:
                found += _changes(_parameters(old, cell), _parameters(new, twin))
                found += _shrinkage(cell.extent(), twin.extent())
    found += _shrinkage({"networks": old.spec.networks}, {"networks": new.spec.networks})
    return list(dict.fromkeys(found))


def _parameters(sweep: Sweep, cell: Cell) -> dict[str, Any]:
    return {"block_size": sweep.block_size(cell), **cell.parameters()}


def _shrinkage(before: dict[str, int], after: dict[str, int]) -> list[str]:
    return [
        f"{key}: {value} there, {after[key]} here"
        for key, value in before.items()
        if after[key] < value
    ]


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [
        f"{key}: {json.dumps(value)} there, {json.dumps(after[key])} here"
        for key, value in before.items()
        if value != after[key]
    ]
