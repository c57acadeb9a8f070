"""The output of a sweep: whose it is, what of it is there, and where the rest goes.

spec.yaml  cells.json  manifest/  shards/<cell>/<block>.parquet  tables/  figures/  errors/
report.html  status.json  lease.json  checkpoints/
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import PurePath
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from mcrelu.errors import UserError
from mcrelu.experiments.base import Experiment, experiment
from mcrelu.stats.sequential import Sample
from mcrelu.store.contents import CELLS_FILE, Contents, StoredCell
from mcrelu.store.files import Files, OversizedError
from mcrelu.store.inventory import Inventory, take_inventory
from mcrelu.store.manifest import Entry, ManifestWriter
from mcrelu.store.ownership import (
    SPEC,
    contents_of_spec,
    read_contents,
    refuse_contradictions,
    refuse_other_experiment,
)
from mcrelu.store.parquet import DAMAGED, parquet_of, table_of
from mcrelu.store.reader import Reader
from mcrelu.sweep.cell import Block, Cell
from mcrelu.sweep.reading import MOST_BYTES as MOST_SPEC_BYTES
from mcrelu.sweep.sweep import Sweep

STATUS = "status.json"

MOST_JSON_BYTES = 2**22  # of a file that is read, cells.json aside
MOST_TABLE_BYTES = 2**28  # of the file of a table


class Output:
    """The files of an output and what they say that they hold."""

    def __init__(self, files: Files, contents: Contents, sweep: Sweep | None = None) -> None:
        self.files = files
        self.contents = contents
        self._sweep = sweep

    @classmethod
    def open(cls, files: Files) -> Output:
        """An output that is there already.

        Raises
        ------
        UserError
            If there is none.
        ForeignOutputError
            If it was written by a program that this one does not know how to read.
        """
        contents = read_contents(files)
        if contents is None:
            raise UserError(f"{files.shown}: no output of a sweep; give the --out of a run")
        return cls(files, contents)

    @classmethod
    def claim(cls, files: Files, sweep: Sweep) -> Output:
        """A new output for a sweep, or an old one that the sweep only adds to; writes nothing.

        Raises
        ------
        ForeignOutputError
            If the old output differs in more than added cells, networks or epochs, or if this
            program would give other rows; says in what.
        """
        old = read_contents(files) or contents_of_spec(files)
        if old is not None:
            refuse_other_experiment(files, old, sweep)
            sweep = _recalling(sweep, old)
        contents = Contents.of(sweep)
        if old is not None:
            refuse_contradictions(files, old, contents)
        return cls(files, contents, sweep)

    def take(self) -> None:
        """Write spec and contents: from now on the output belongs to the sweep.

        Raises
        ------
        ForeignOutputError
            If another sweep took the output since it was claimed.
        """
        spec = self.sweep.to_yaml().encode()
        if self.files.read(SPEC, MOST_SPEC_BYTES) == b"":
            self.files.delete(SPEC)  # what a power loss leaves
        if not self.files.create(SPEC, spec):
            self.claim(self.files, self.sweep)  # whoever was faster
            self.files.publish(SPEC, spec)
        self.files.publish(CELLS_FILE, _json(self.contents.to_json()))

    @property
    def sweep(self) -> Sweep:
        """The sweep that the output belongs to, as this program understands its spec.

        Its cells include those of later stages that the output has.

        Raises
        ------
        SpecError
            If the spec is missing, or has keys that this program does not know.
        """
        if self._sweep is None:
            sweep = Sweep.from_text(self.spec_text(), self.files.path(SPEC))
            self._sweep = _recalling(sweep, self.contents)
        return self._sweep

    @property
    def name(self) -> str:
        """The last part of its path: that of the spec, unless the run was given another."""
        return PurePath(self.files.root).name

    def spec_text(self) -> str:
        """The spec as it stands in the output."""
        return (self.files.read(SPEC, MOST_SPEC_BYTES) or b"").decode(errors="replace")

    @property
    def experiment(self) -> Experiment:
        """The experiment whose rows the output holds."""
        return experiment(self.contents.experiment)

    @property
    def cells(self) -> tuple[StoredCell, ...]:
        """What the output says of its cells."""
        return self.contents.cells

    def inventory(self) -> Inventory:
        """Which blocks are there."""
        return take_inventory(self.files, self.contents)

    def reader(self) -> Reader:
        """A reader of what is there now."""
        return Reader(self.files, self.contents)

    def samples(self) -> dict[str, Sample]:
        """What of each cell counts, by the label of the cell."""
        inventory, target = self.inventory(), self.contents.relative_width
        found = {}
        for cell in self.cells:
            one = inventory.cells[cell.id]
            counts = (
                (int(one.summary["k"][index]), self.contents.block_networks(cell, index))
                for index in range(one.prefix())
            )
            found[cell.label] = Sample().grown(counts, target)
        return found

    def missing(self) -> list[Block]:
        """The blocks of the sweep that have no good shard."""
        inventory = self.inventory()
        return [
            block
            for cell in self.sweep.cells
            for block in self.sweep.blocks(cell)
            if not inventory.cells[cell.id].good[block.index]
        ]

    def networks(self, cell: Cell | StoredCell) -> pa.Table:
        """The rows of a cell that count: complete blocks, in index order, as tables count them.

        Raises
        ------
        UserError
            If the output has no such cell.
        """
        stored = next((one for one in self.cells if one.id == cell.id), None)
        if stored is None:
            raise UserError(f"{self.files.shown}: has no cell {cell.id}; give one of its cells")
        return self._rows(stored)

    def _rows(self, cell: StoredCell) -> pa.Table:
        blocks = list(self.reader().sample(cell, None))
        return pa.concat_tables(blocks) if blocks else self.experiment.schema.empty_table()

    @cached_property
    def manifest(self) -> ManifestWriter:
        """Where finished blocks are recorded; for the driver of a run."""
        return ManifestWriter(self.files)

    def record(self, entries: Iterable[Entry]) -> None:
        """Add blocks to the manifest, all in one segment."""
        for entry in entries:
            self.manifest.add(entry)
        self.manifest.flush()

    def publish_table(self, name: str, table: pa.Table) -> None:
        """Write a table as tables/<name>.parquet and .csv."""
        self.files.publish(f"tables/{name}.parquet", parquet_of(table))
        self.files.publish(f"tables/{name}.csv", csv_of(table))

    def table_names(self) -> list[str]:
        """Names of the tables that were written."""
        names = self.files.names("tables")
        return [PurePath(name).stem for name in names if name.endswith(".parquet")]

    def read_table(self, name: str) -> pa.Table:
        """The table tables/<name>.parquet.

        Raises
        ------
        UserError
            If it was not written yet, or is damaged.
        """
        uri = self.files.shown
        try:
            content = self.files.read(f"tables/{name}.parquet", MOST_TABLE_BYTES)
            if content is None:
                raise UserError(f"{uri}: has no tables; give mcrelu reduce {uri}")
            return table_of(content)
        except (*DAMAGED, OversizedError):
            raise damaged_table(self, name) from None

    def publish_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file."""
        self.files.publish(name, _json(value))

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A JSON object, None if it is not there or damaged."""
        try:
            content = self.files.read(name, MOST_JSON_BYTES)
            value = None if content is None else json.loads(content)
        except (ValueError, RecursionError, OversizedError):
            return None
        return value if isinstance(value, dict) else None


def damaged_table(output: Output, name: str) -> UserError:
    """The error of a table that cannot be read."""
    uri = output.files.shown
    return UserError(f"{uri}: table {name} is damaged; give mcrelu reduce {uri}")


def _recalling(sweep: Sweep, contents: Contents) -> Sweep:
    """The sweep with those cells of an output that its later stages asked for."""
    return sweep.with_cells(sweep.spec.recalled_cells(cell.parameters for cell in contents.cells))


def csv_of(table: pa.Table) -> pa.Buffer:
    """A table as the content of a CSV file."""
    buffer = pa.BufferOutputStream()
    pacsv.write_csv(table, buffer)
    return buffer.getvalue()


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
