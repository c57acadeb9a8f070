"""The Python interface: run a sweep, read what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mcrelu.errors import ExitCode, UserError
from mcrelu.runtime.executors import executor_starter
from mcrelu.runtime.progress import Display
from mcrelu.runtime.sweeping import ERRORS, do_sweep
from mcrelu.runtime.work import work_of
from mcrelu.stats.comparison import compare, counts_of, pool, published_counts
from mcrelu.stats.reduce import cell_table, reduce
from mcrelu.stats.sample import sample
from mcrelu.store.checkpoints import newest_epoch
from mcrelu.store.files import Files
from mcrelu.store.output import STATUS, Output
from mcrelu.sweep.cell import Block, Cell
from mcrelu.sweep.sweep import Sweep

PAPER = "paper:"


class Run:
    """What is in an output, finished or not."""

    def __init__(self, output: Output, exit_code: ExitCode | None = None) -> None:
        self.output = output
        self.exit_code = exit_code  # of the run that returned this object

    @classmethod
    def open(cls, out: str | Path) -> Run:
        """The run whose output lies at a path or URI.

        Raises
        ------
        UserError
            If there is none.
        """
        return cls(Output.open(Files.at(out)))

    @property
    def sweep(self) -> Sweep:
        """The sweep that the output belongs to."""
        return self.output.sweep

    @property
    def out(self) -> str:
        """Path or URI of the output, without credentials."""
        return self.output.files.shown

    def table(self) -> pa.Table:
        """One row per cell: counts, estimate, intervals.

        Only complete blocks count, and only up to the precision asked for, if one is.
        """
        return cell_table(self.output)

    def status(self) -> dict[str, Any]:
        """What is there: blocks and networks done and wanted, and what status.json says.

        Where a precision is asked for, what is wanted is projected from what is there.
        """
        tally = work_of(self.output).tally
        reached = [newest_epoch(self.output.files, block) for block in self._half_done()]
        epochs = [epoch for epoch in reached if epoch is not None]
        return {
            "out": self.out,
            "blocks": tally.blocks,
            "blocks_done": tally.blocks_done,
            "networks": tally.networks,
            "networks_done": tally.networks_done,
            "cells": len(self.sweep.cells),
            "cells_precise": tally.precise,
            "blocks_begun": len(epochs),
            "epochs_of_begun": [min(epochs), max(epochs)] if epochs else None,
            "failed_blocks": len(self.output.files.names(ERRORS)),
            "last_run": self.output.read_json(STATUS),
        }

    def _half_done(self) -> list[Block]:
        """The missing blocks, where blocks have checkpoints."""
        return self.output.missing() if self.sweep.experiment == "star" else []

    def networks(self, cell: Cell) -> pa.Table:
        """One row per network of a cell, of those that its row in :meth:`table` counts."""
        return sample(self.output, cell)

    def compare(self, other: str | Run) -> pa.Table:
        """Compare with ``paper``, ``paper:fig5``, or another run (object, path or URI)."""
        return compare_runs([self], other)


def compare_runs(runs: Sequence[Run], other: str | Run) -> pa.Table:
    """Compare all points of some runs with the paper or another run, Holm-corrected over all.

    Parameters
    ----------
    other : ``paper`` (all its figures), ``paper:fig5``, 6 or 8, a run, its path or URI

    Raises
    ------
    UserError
        If there is nothing to compare, or two of the runs have a cell in common.
    """
    ours = counts_of(pool(one.table() for one in runs))
    if isinstance(other, str) and f"{other}:".startswith(PAPER):
        return compare(ours, published_counts(other.removeprefix(PAPER[:-1])[1:] or None))
    theirs = other if isinstance(other, Run) else Run.open(other)
    return compare(ours, counts_of(theirs.table()))


def run(
    sweep: Sweep,
    out: str | Path,
    executor: str = "ray",
    *,
    address: str | None = None,
    workers: int | None = None,
    display: Display | None = None,
) -> Run:
    """Run what of a sweep is not in ``out`` yet, and write its tables.

    Parameters
    ----------
    out : path or URI
        A new folder or prefix, or the output of the same sweep with fewer cells, networks or
        epochs, or with another relative_width.
    executor : "ray" or "serial"
        Ray joins the cluster at ``address`` (or RAY_ADDRESS), else starts one of ``workers`` CPUs.

    Raises
    ------
    ForeignOutputError
        If the output belongs to another spec.
    ResourceError
        If the cluster or the store is not there.
    """
    start = executor_starter(executor, str(out), address, workers, sweep.device)
    output = Output.claim(Files.at(out), sweep)
    code = do_sweep(output, start, display)
    reduce(output)
    return Run(output, code)


__all__ = ["Run", "Sweep", "UserError", "compare_runs", "run"]
