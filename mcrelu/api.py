"""The Python interface: run a sweep, read what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mcrelu.errors import ExitCode, UserError
from mcrelu.experiments.base import CELLS, Tables
from mcrelu.runtime.executors import executor_starter
from mcrelu.runtime.heartbeat import RUNNING, is_running
from mcrelu.runtime.progress import Display
from mcrelu.runtime.submit import Executor
from mcrelu.runtime.sweeping import ERRORS, do_sweep
from mcrelu.runtime.work import tally_of
from mcrelu.stats.comparison import compare, pool
from mcrelu.store.checkpoints import begun_blocks
from mcrelu.store.contents import StoredCell
from mcrelu.store.files import Files
from mcrelu.store.output import STATUS, Output
from mcrelu.store.reduce import cell_table, known_damage, reduce
from mcrelu.sweep.cell import Cell
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

    @property
    def cells(self) -> tuple[StoredCell, ...]:
        """The cells of the output, with their parameters."""
        return self.output.cells

    def table(self) -> pa.Table:
        """One row per cell: counts, estimate, intervals.

        Only complete blocks count, and only up to the relative width asked for, if one is.
        """
        return cell_table(self.output)

    def status(self) -> dict[str, Any]:
        """What is there: blocks and networks done and wanted, and what status.json says.

        Where a relative width is asked for, what is wanted is projected from what is there.
        ``refused`` names the shards that are known to be damaged without reading all of them:
        their size is wrong, or they were when tables were made.
        """
        output = self.output
        inventory = output.inventory()
        tally = tally_of(output.contents, inventory)
        epochs = begun_blocks(output.files, {key: one.good for key, one in inventory.cells.items()})
        last = output.read_json(STATUS)
        if last is not None and last.get("state") == RUNNING and not is_running(last):
            last["state"] = "vanished"
        return {
            "out": self.out,
            "blocks": tally.blocks,
            "blocks_done": tally.blocks_done,
            "networks": tally.networks,
            "networks_done": tally.networks_done,
            "cells": len(output.cells),
            "cells_reached": tally.reached,
            "blocks_begun": len(epochs),
            "epochs_of_begun": [min(epochs), max(epochs)] if epochs else None,
            "failed_blocks": len(output.files.names(ERRORS)),
            "refused": known_damage(output, inventory),
            "last_run": last,
        }

    def networks(self, cell: Cell | StoredCell) -> pa.Table:
        """One row per network of a cell, of those that its row in :meth:`table` counts."""
        return self.output.networks(cell)

    def compare(self, other: str | Run) -> pa.Table:
        """Compare with ``paper``, ``paper:fig5``, or another run (object, path or URI)."""
        return compare_runs([self], other)


def compare_runs(runs: Sequence[Run], other: str | Run) -> pa.Table:
    """Compare all points of some runs with the paper or another run, Holm-corrected over all.

    Parameters
    ----------
    other : ``paper`` (all its figures), ``paper:fig5`` and the like, a run, its path or URI

    Raises
    ------
    UserError
        If there is nothing to compare, or two of the runs have a cell in common.
    """
    experiment = runs[0].output.experiment
    together = pool([one.output for one in runs], [one.table() for one in runs])
    ours = experiment.points(together)
    if isinstance(other, str) and f"{other}:".startswith(PAPER):
        theirs = experiment.published(other.removeprefix(PAPER[:-1])[1:] or None)
    else:
        their_run = other if isinstance(other, Run) else Run.open(other)
        theirs = their_run.output.experiment.points(their_run.table())
    return compare(ours, theirs, experiment.abscissa)


def run(
    sweep: Sweep,
    out: str | Path,
    executor: str = "ray",
    *,
    address: str | None = None,
    workers: int | None = None,
    display: Display | None = None,
    join: bool = False,
) -> Run:
    """Run what of a sweep is not in ``out`` yet, and write its tables unless it was interrupted.

    Parameters
    ----------
    out : path or URI
        A new folder or prefix, or the output of the same sweep with fewer cells, networks or
        epochs, or with another relative_width.
    executor : "ray" or "serial"
        Ray joins the cluster at ``address`` (or RAY_ADDRESS), else starts one of ``workers`` CPUs.
    join : whether to help a run that writes the output now, rather than refuse

    Raises
    ------
    ForeignOutputError
        If the output belongs to another spec or program, or another run writes it now.
    ResourceError
        If the cluster or the store is not there.
    """
    start = executor_starter(executor, str(out), address, workers, sweep.device)
    files = Files.at(out)
    while True:
        output = Output.claim(files, sweep)
        code, tables = _do_stage(output, start, display, join)
        if tables is None or code is not ExitCode.DONE:
            return Run(output, code)
        sweep = output.sweep.with_cells(sweep.spec.later_cells(tables[CELLS].to_pylist()))
        more = len(sweep.cells) - len(output.sweep.cells)
        if not more:
            return Run(output, code)
        if display is not None:
            display.say(f"the results ask for {more} more cells")


def _do_stage(
    output: Output, start: Callable[[], Executor[Any]], display: Display | None, join: bool
) -> tuple[ExitCode, Tables | None]:
    """Do what is missing of an output; its tables, unless it was interrupted."""
    code = do_sweep(output, start, display, join=join)
    if code.interrupted:
        return code, None
    reduction = reduce(output)
    if reduction.refused and code in (ExitCode.DONE, ExitCode.BUDGET):
        for name in reduction.refused:  # what cannot be counted is done again
            output.files.delete(name)
        code = do_sweep(output, start, display, join=join)
        reduction = reduce(output)
    return code, reduction.tables


__all__ = ["Run", "Sweep", "UserError", "compare_runs", "run"]
