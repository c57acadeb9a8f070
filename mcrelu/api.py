"""The Python interface: run a sweep, read what came of it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa

from mcrelu.errors import ExitCode, UserError
from mcrelu.experiments.base import CELLS, Replay, Tables
from mcrelu.figures.plot import draw
from mcrelu.report import publish_report, sections_html
from mcrelu.runtime.executors import executor_starter
from mcrelu.runtime.heartbeat import RUNNING, is_running, last_status
from mcrelu.runtime.lease import Lease
from mcrelu.runtime.notebook import default_display
from mcrelu.runtime.plan import Plan
from mcrelu.runtime.plan import plan as plan_sweep
from mcrelu.runtime.progress import Display
from mcrelu.runtime.replay import chosen_block, replay
from mcrelu.runtime.sweeping import ERRORS, do_sweep
from mcrelu.runtime.work import tally_of
from mcrelu.stats.comparison import compare
from mcrelu.stats.pairing import Side, paired_points
from mcrelu.store.checkpoints import begun_blocks
from mcrelu.store.choosing import cells_with, chosen_cell
from mcrelu.store.completeness import notices
from mcrelu.store.contents import StoredCell
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.pooled import PooledReader
from mcrelu.store.reduce import cell_table, known_damage, reduce
from mcrelu.sweep.cell import Block, Cell
from mcrelu.sweep.reading import Settings, apply_settings
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
        last = last_status(output)
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

    def tables(self) -> dict[str, pa.Table]:
        """All tables, by name: ``cells``, which is :meth:`table`, and those of the experiment."""
        return self.output.experiment.tables(self.output.reader())

    def power_laws(self) -> pa.Table:
        """The power law of each series of widths of a crossing sweep, one row each."""
        return self._table("power_laws")

    def progress(self) -> pa.Table:
        """How losses of a star sweep went: one row per cell and thousand epochs."""
        return self._table("progress")

    def networks(self, cell: Cell | StoredCell | None = None, **parameters: Any) -> pa.Table:
        """One row per network, of those that :meth:`table` counts.

        Parameters
        ----------
        cell : whose networks
            By default those of all cells with these ``parameters``, as in networks(width=16).

        Raises
        ------
        UserError
            If there is no such cell, or cells have no such parameter.
        """
        if cell is not None:
            return self.output.networks(cell)
        chosen = cells_with(self.output, parameters)
        if not chosen:
            asked = ", ".join(f"{name} = {value!r}" for name, value in parameters.items())
            raise UserError(f"{self.out}: no cell with {asked}; run.cells has those there are")
        return pa.concat_tables(self.output.networks(one) for one in chosen)

    def _table(self, name: str) -> pa.Table:
        tables = self.tables()
        if name not in tables:
            known = ", ".join(tables)
            raise UserError(f"{name}: {self.output.experiment.name} sweeps have {known}")
        return tables[name]

    def plot(self, ax: Any = None, **which: Any) -> Any:
        """Draw the main curves on matplotlib axes, by default new ones; returns the axes.

        ``which`` says which of several: ``event="loss"`` of a star sweep, ``data="ex"`` of
        training configurations.

        Raises
        ------
        UserError
            If no block is complete yet, or there are no such curves.
        """
        tables = self.tables()
        if not any(tables[CELLS]["networks"].to_pylist()):
            raise UserError(f"{self.out}: nothing to draw yet, no block is complete")
        if ax is None:
            from matplotlib import pyplot as plt

            _, ax = plt.subplots(layout="constrained")
        self.output.experiment.plot(tables, ax, **which)
        return ax

    def replay(self, cell: Cell | StoredCell | str, network: int) -> Replay:
        """Do one network again, by its index in its cell: its row, what happened, pictures.

        Parameters
        ----------
        cell : a cell, the beginning of its id, or parameters that no other has: "width=8,init=he"

        Raises
        ------
        UserError
            If there is no such network, or several cells fit.
        ForeignOutputError
            If its row is not, bit for bit, what the output has.
        """
        text = cell if isinstance(cell, str) else cell.id
        return replay(self.output, chosen_cell(self.output, text), network)

    def report(self) -> str:
        """Write tables, figures and report.html anew, finished or not; the report's path."""
        reduce(self.output)
        draw(self.output)
        return publish_report(self.output)

    def __repr__(self) -> str:
        return f"<mcrelu.Run: {self._summary()}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: how far it is, and what the tables say."""
        output, tables = self.output, self.tables()
        sections = [*notices(output, tables), *output.experiment.sections(tables)]
        return f"<p>{escape(self._summary())}</p>{sections_html(sections)}"

    def _summary(self) -> str:
        status = self.status()
        last = status["last_run"] or {"state": "not run yet"}
        done = f"{status['blocks_done']} of {status['blocks']} blocks"
        kind = self.output.experiment.name
        cells = len(self.cells)
        return (
            f"{kind} sweep in {self.out}, {cells} cell{'s' * (cells > 1)}, {done}, {last['state']}"
        )

    def compare(self, other: str | Run) -> pa.Table:
        """Compare with ``paper``, ``paper:fig5``, or another run (object, path or URI)."""
        return compare_runs([self], other)


def compare_runs(runs: Sequence[Run], other: str | Run) -> pa.Table:
    """Compare all points of some runs with the paper or another run, Holm-corrected over all.

    Runs of one sweep with different seeds are pooled. Where both sides have the same networks,
    these are compared one by one (:mod:`mcrelu.stats.pairing`).

    Parameters
    ----------
    other : ``paper`` (all its figures), ``paper:fig5`` and the like, a run, its path or URI

    Raises
    ------
    UserError
        If there is nothing to compare, a run stands on both sides, or networks are on one side
        twice.
    """
    outputs = [run.output for run in runs]
    experiment = outputs[0].experiment
    if isinstance(other, str) and is_paper(other):
        published = experiment.published(other.removeprefix(PAPER[:-1])[1:] or None)
        return compare(experiment.points(_side(outputs).cells), published, experiment.abscissa)
    if isinstance(other, str) and _looks_like_paper(other):
        raise UserError(f"{other}: no such output; did you mean paper, or paper:fig5?")
    theirs = (other if isinstance(other, Run) else Run.open(other)).output
    _refuse_the_same(outputs, theirs)
    ours, others = _side(outputs), _side([theirs])
    return compare(
        experiment.points(ours.cells),
        theirs.experiment.points(others.cells),
        experiment.abscissa,
        paired_points(ours, others),
    )


def is_paper(text: str) -> bool:
    """Whether ``paper``, ``paper:fig5`` and the like are meant rather than an output."""
    return f"{text}:".startswith(PAPER)


def _looks_like_paper(text: str) -> bool:
    """Whether it is a misspelt ``paper``, and no path."""
    close = difflib.get_close_matches(text.partition(":")[0].lower(), ["paper"], cutoff=0.8)
    return bool(close) and not Path(text).exists()


def _refuse_the_same(ours: Sequence[Output], other: Output) -> None:
    for one in ours:
        if one.files.is_at(other.files):
            raise UserError(
                f"{other.files.shown}: stands on both sides; give another output, or paper"
            )


def _side(outputs: Sequence[Output]) -> Side:
    reader = PooledReader(outputs)
    return Side.of(reader, reader.experiment.tables(reader)[CELLS])


Source = Sweep | Mapping[str, Any] | str | Path


def run(
    sweep: Source,
    out: str | Path | None = None,
    executor: str = "ray",
    *,
    settings: Settings = (),
    address: str | None = None,
    workers: int | None = None,
    display: Display | None = None,
    progress: bool = True,
    join: bool = False,
) -> Run:
    """Run what of a sweep is not in ``out`` yet, and write its tables.

    Parameters
    ----------
    sweep : a Sweep, the path or URI of its spec, or a spec as a mapping
    out : path or URI
        A new folder or prefix, or the output of the same sweep with fewer cells, networks or
        epochs, or with another relative_width. By default results/<name of the spec>.
    executor : "ray" or "serial"
        Ray joins the cluster at ``address`` (or RAY_ADDRESS), else starts one of ``workers`` CPUs.
    settings : keys of the spec to change, as {"networks": 100, "cells.width": [16]}
    display : where to show progress, in place of the notebook or stderr
    progress : whether to show any
    join : whether to help a run that writes the output now, rather than refuse

    Raises
    ------
    ForeignOutputError
        If the output belongs to another spec or program, or another run writes it now.
    ResourceError
        If the cluster or the store is not there.
    KeyboardInterrupt
        After Ctrl-C, once the output is in order. The same call goes on from there.
    SystemExit
        Likewise after SIGTERM.
    """
    if display is None and progress:
        display = default_display()
    done = execute(
        sweep_of(sweep, settings),
        _place(sweep, out),
        executor,
        address=address,
        workers=workers,
        display=display,
        join=join,
    )
    if done.exit_code is ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if done.exit_code is ExitCode.TERMINATED:
        raise SystemExit(ExitCode.TERMINATED)
    return done


def execute(
    sweep: Sweep,
    out: str | Path,
    executor: str,
    *,
    address: str | None = None,
    workers: int | None = None,
    display: Display | None = None,
    join: bool = False,
    block: str | None = None,
) -> Run:
    """As :func:`run`, silently by default, and with an interrupt as an exit code.

    ``block`` asks for one block alone: its cell, as in :func:`chosen_cell`, and index, as in
    ``width=16/0``.
    """
    start = executor_starter(executor, str(out), address, workers, sweep.device)
    files = Files.at(out)
    say = (lambda _: None) if display is None else display.say
    with Lease(files, join=join, say=say) as lease:

        def do(output: Output, only: Block | None = None) -> ExitCode:
            return do_sweep(output, start, display, lease=lease, only=only)

        if block is None:
            return _do_stages(sweep, files, do, say)
        output = Output.claim(files, sweep)
        code = do(output, chosen_block(output, block))
        if not code.interrupted:
            reduce(output)
        return Run(output, code)


def plan(sweep: Source, settings: Settings = ()) -> Plan:
    """What a sweep will take: cells, blocks and core-seconds, from training a few networks.

    ``sweep`` and ``settings`` as for :func:`run`; writes nothing.
    """
    return plan_sweep(sweep_of(sweep, settings))


def sweep_of(source: Source, settings: Settings = ()) -> Sweep:
    """The sweep of a path, of a mapping, or itself.

    Raises
    ------
    SpecError
        If the spec is not valid.
    UserError
        If there are settings for what is a Sweep already.
    """
    if isinstance(source, Sweep):
        if settings:
            raise UserError("settings: go with a path or a mapping; this sweep is made already")
        return source
    if isinstance(source, Mapping):
        return Sweep.of(apply_settings(source, settings))
    return Sweep.from_yaml(source, settings)


def _place(source: Source, out: str | Path | None) -> str | Path:
    if out is not None:
        return out
    if isinstance(source, str | Path):
        return default_out(source)
    raise UserError("out: is missing; say where the output shall be")


def default_out(spec: str | Path) -> str:
    """Where the output of a spec goes unless it is said."""
    return f"results/{PurePath(spec).stem}"


def _do_stages(
    sweep: Sweep, files: Files, do: Callable[[Output], ExitCode], say: Callable[[str], None]
) -> Run:
    """Do a sweep, then the cells that its tables ask for, until they ask for none."""
    while True:
        output = Output.claim(files, sweep)
        code, tables = _do_stage(output, do)
        if tables is None or code is not ExitCode.DONE:
            return Run(output, code)
        sweep = output.sweep.with_cells(sweep.spec.later_cells(tables[CELLS].to_pylist()))
        more = len(sweep.cells) - len(output.sweep.cells)
        if not more:
            return Run(output, code)
        say(f"the results ask for {more} more cells")


def _do_stage(output: Output, do: Callable[[Output], ExitCode]) -> tuple[ExitCode, Tables | None]:
    """Do what is missing of an output; its tables, unless it was interrupted."""
    code = do(output)
    if code.interrupted:
        return code, None
    reduction = reduce(output)
    if reduction.refused and code in (ExitCode.DONE, ExitCode.BUDGET):
        for name in reduction.refused:  # what cannot be counted is done again
            output.files.delete(name)
        code = do(output)
        reduction = reduce(output)
    return code, reduction.tables


__all__ = ["Run", "Sweep", "UserError", "compare_runs", "plan", "run"]
