"""The command line: parses, calls, prints. What the commands do is elsewhere."""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console, Group
from rich.table import Table

from mcrelu.api import PAPER, Run, compare_runs, default_out, execute, is_paper
from mcrelu.errors import ExitCode, UserError, by_closed_pipe
from mcrelu.experiments.base import CELLS, Section, Tables
from mcrelu.figures.plot import draw, draw_at, draw_replay
from mcrelu.film.kinks import KINKS
from mcrelu.film.pictures import Scene, publish_pictures
from mcrelu.report import publish_report
from mcrelu.runtime.doctor import examine
from mcrelu.runtime.plan import local_cores, plan
from mcrelu.runtime.progress import display_on
from mcrelu.runtime.replay import replay
from mcrelu.stats.sequential import shortfall
from mcrelu.store.choosing import chosen_cell
from mcrelu.store.compact import compact
from mcrelu.store.completeness import notices, unfinished
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.reduce import cell_table, reduce, written_tables
from mcrelu.store.uris import shown, still_asking
from mcrelu.sweep.sweep import Sweep
from mcrelu.terminal import (
    agreement_table,
    comparison_table,
    facts_table,
    plan_table,
    section_table,
    show,
    status_table,
)
from mcrelu.verify import verify_file

Command = Callable[..., Any]

MOST_ROWS = 10_000  # of a table in JSON

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
set_option = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key of the spec."
)
out_argument = click.argument("out")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mcrelu")
@click.pass_context
def cli(context: click.Context) -> None:
    """Estimate by Monte Carlo whether training ever moves a kink across a data point."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command("run")
@click.argument("spec")
@click.option("--out", help="Path or URI of the output [default: results/<name of the spec>].")
@set_option
@click.option("--serial", is_flag=True, help="Run in this process, without Ray.")
@click.option("--address", help="Ray cluster to join [default: RAY_ADDRESS, else a local one].")
@click.option("--workers", type=click.IntRange(1), help="CPUs of the local cluster [default: all].")
@click.option("--join", is_flag=True, help="Help a run that writes the output now.")
@click.option("--block", metavar="CELL/INDEX", help="Do this block alone, as in width=16/0.")
@json_option
def run_command(
    spec: str,
    out: str | None,
    settings: tuple[str, ...],
    serial: bool,
    address: str | None,
    workers: int | None,
    join: bool,
    block: str | None,
    as_json: bool,
) -> ExitCode:
    """Run what is missing of the sweep SPEC, then write its tables, figures and report."""
    sweep = Sweep.from_yaml(spec, settings)
    where = default_out(spec) if out is None else out
    log = _console(stderr=True)
    _note(log, sweep)
    run = execute(
        sweep,
        where,
        "serial" if serial else "ray",
        address=address,
        workers=workers,
        display=display_on(log),
        join=join,
        block=block,
    )
    assert run.exit_code is not None
    if run.exit_code.interrupted:
        log.print(
            "Interrupted: the same command goes on from here; "
            f"mcrelu report {run.out} makes tables, figures and a report of what is there.",
            highlight=False,
            soft_wrap=True,
        )
        _emit(as_json, {"out": run.out, "exit_code": run.exit_code})
        return run.exit_code
    _present(run, as_json)
    if run.exit_code is ExitCode.FAILED_BLOCKS:
        log.print(f"Some blocks failed: see {run.out}/errors; the same command tries them again.")
    elif run.exit_code is ExitCode.BUDGET:
        log.print(_shortfall(run.output), highlight=False, soft_wrap=True)
    return run.exit_code


@cli.command("plan")
@click.argument("spec")
@set_option
@json_option
def plan_command(spec: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Show cells, blocks and a cost forecast of SPEC, calibrated for seconds; writes nothing."""
    sweep = Sweep.from_yaml(spec, settings)
    _note(_console(stderr=True), sweep)
    forecast = plan(sweep)
    adaptive = sweep.spec.relative_width is not None
    cores = local_cores()
    value = {
        "cells": [
            {"cell": one.cell.id, **one.cell.parameters()}
            | {key: value for key, value in asdict(one).items() if key != "cell"}
            for one in forecast.cells
        ],
        "later_cells": round(forecast.later_share * len(forecast.cells)),
        "core_seconds": forecast.core_seconds,
        "cores": cores,
        "wall_seconds": forecast.wall_seconds(cores),
        "up_to": adaptive,
        "notes": sweep.notes(),
    }
    _emit(as_json, value, plan_table(forecast, cores, adaptive))


@cli.command("status")
@out_argument
@json_option
def status_command(out: str, as_json: bool) -> None:
    """Show how far the run in OUT is, from its shards."""
    value = Run.open(out).status()
    _emit(as_json, value, status_table(value))


@cli.command("reduce")
@out_argument
@json_option
def reduce_command(out: str, as_json: bool) -> None:
    """Write the tables of OUT anew from its shards, each of which is verified."""
    output = Output.open(Files.at(out))
    reduction = reduce(output)
    value = {
        "out": output.files.shown,
        **_plain(reduction.tables),
        "refused": reduction.refused,
        "unfinished": unfinished([(output.contents, reduction.tables[CELLS])]),
    }
    _emit(as_json, value, *_results(output, reduction.tables))


@cli.command("report")
@out_argument
@json_option
def report_command(out: str, as_json: bool) -> None:
    """Write tables, figures and report of OUT anew from its shards, finished or not."""
    run = Run.open(out)
    reduce(run.output)
    _present(run, as_json)


@cli.command("replay")
@out_argument
@click.argument("cell")
@click.argument("network", type=click.IntRange(0))
@click.option("--to", "place", help="Folder of its pictures [default: OUT/replays].")
@json_option
def replay_command(out: str, cell: str, network: int, place: str | None, as_json: bool) -> None:
    """Do one NETWORK of a CELL of OUT again, and say what happened when.

    CELL is the beginning of the cell's id, or parameters that only it has: width=16,optimizer=gd.
    NETWORK is the network's index in the cell. Exit code 6 if the row of the replay is not, bit
    for bit, that of the output.
    """
    output = Output.open(Files.at(out))
    chosen = chosen_cell(output, cell)
    found = replay(output, chosen, network)
    files = output.files if place is None else Files.at(place)
    name = f"{chosen.id}-{network}"
    paths = draw_replay(found, f"replays/{name}" if place is None else name, files)
    value = {"cell": chosen.id, "row": found.row.to_pylist()[0], "figures": paths}
    title = f"{chosen.label}, network {network}"
    written = facts_table("Written", [("figure", path) for path in paths])
    shown = [Section(title), *found.sections]
    _emit(as_json, value, *map(section_table, shown), *([written] if paths else []))


@cli.command("check")
@out_argument
@json_option
def check_command(out: str, as_json: bool) -> ExitCode:
    """Read every shard of OUT and name those that are not what they should be.

    Exit code 1 if there are any.
    """
    output = Output.open(Files.at(out))
    reader = output.reader()
    damaged = reader.damaged()
    good = sum(int(cell.good.sum()) for cell in reader.inventory.cells.values())
    rows = [("good blocks", str(good)), *(("refused", name) for name in damaged)]
    value = {"out": output.files.shown, "good_blocks": good, "refused": damaged}
    _emit(as_json, value, facts_table("Check", rows))
    return ExitCode.DISAGREEMENT if damaged else ExitCode.DONE


@cli.command("compact")
@out_argument
@json_option
def compact_command(out: str, as_json: bool) -> None:
    """Merge the shards of OUT into few large ones; rows and blocks stay what they are."""
    output = Output.open(Files.at(out))
    merged = compact(output)
    rows = [("blocks merged", str(merged.blocks)), ("into files", str(merged.files))]
    _emit(as_json, {"out": output.files.shown, **merged._asdict()}, facts_table("Compact", rows))


@cli.command("plot")
@click.argument("outs", nargs=-1, required=True, metavar="OUT...")
@click.option("--to", "place", help="Folder or file of one figure of all [default: OUT/figures].")
@json_option
def plot_command(outs: tuple[str, ...], place: str | None, as_json: bool) -> None:
    """Draw the figures of OUT from its tables, or one figure of several OUT."""
    outputs = [Run.open(out).output for out in outs]
    if place is None and len(outs) > 1:
        raise UserError("--to is missing: say where one figure of several outputs shall be")
    paths = draw(outputs[0]) if place is None else draw_at(outputs, place)
    if not paths:
        first = outputs[0].files.shown
        raise UserError(f"{first}: nothing to draw yet, no block is complete; run the sweep first")
    _emit(as_json, {"figures": paths}, facts_table("Figures", [("", path) for path in paths]))


@cli.command("compare")
@click.argument("outs", nargs=-1, required=True, metavar="OUT... OTHER")
@json_option
def compare_command(outs: tuple[str, ...], as_json: bool) -> ExitCode:
    """Compare OUT with OTHER: another output, or the paper (paper, or paper:fig5 and the like).

    The points of several OUT are compared together. Exit code 1 if any point differs,
    Holm-corrected at 1 % over all of them.
    """
    *ours, other = outs
    if not ours:
        raise UserError(
            f"{shown(other)}: nothing to compare it with; give two outputs, or paper:fig5"
        )
    for out in filter(is_paper, ours):
        raise UserError(f"{out}: stands before an output; give the paper last: OUT... {out}")
    comparison = compare_runs([Run.open(out) for out in ours], other)
    agrees = all(comparison["agrees"].to_pylist())
    outputs = [Run.open(out).output for out in (*ours, *([] if is_paper(other) else [other]))]
    name = other.removeprefix(PAPER) if is_paper(other) else outputs[-1].name
    missing = unfinished([(one.contents, cell_table(one)) for one in outputs])
    value = {"agrees": agrees, "unfinished": missing, "points": comparison.to_pylist()}
    _emit(as_json, value, comparison_table(comparison, name, missing))
    return ExitCode.DONE if agrees else ExitCode.DISAGREEMENT


@cli.command("verify")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def verify_command(files: tuple[Path, ...], as_json: bool) -> ExitCode:
    """Repeat the runs of golden FILES of the original program, network by network.

    Exit code 1 if any file agrees less than its README promises.
    """
    agreements = [verify_file(path) for path in files]
    value = {"files": [one._asdict() for one in agreements]}
    _emit(as_json, value, agreement_table(agreements))
    same = all(one.agrees for one in agreements)
    return ExitCode.DONE if same else ExitCode.DISAGREEMENT


@cli.command("film")
@click.option("--data", default="ex", type=click.Choice(["ex", "ex-old", "standard"]))
@click.option("--width", default=16, type=click.IntRange(2, 4096), help="Hidden neurons.")
@click.option("--kinks", default="zero", type=click.Choice(list(KINKS)), help="At the start.")
@click.option("--steps", default=50_000, type=click.IntRange(1, 10**7))
@click.option("--step-size", default=0.01, type=click.FloatRange(0, min_open=True))
@click.option("--seed", default=0, type=click.IntRange(0))
@click.option("--good", is_flag=True, help="Show a network that Adam trained well, too; a minute.")
@click.option("--gif", "films", flag_value="gif", multiple=True, help="Write a film as GIF.")
@click.option("--mp4", "films", flag_value="mp4", multiple=True, help="Write a film as MP4.")
@click.option("--to", "place", default="results/film", help="Folder or URI of the pictures.")
@json_option
def film_command(
    films: tuple[str, ...], good: bool, place: str, as_json: bool, **scene: Any
) -> None:
    """Train one network by gradient descent, and show how its function and its kinks move."""
    paths = publish_pictures(Scene(**scene), Files.at(place), films, good)
    _emit(as_json, {"figures": paths}, facts_table("Pictures", [("", path) for path in paths]))


@cli.command("doctor")
@json_option
def doctor_command(as_json: bool) -> ExitCode:
    """Look whether everything that mcrelu needs is there."""
    findings = examine()
    rows = [(f"{'ok  ' if one.ok else 'FAIL'} {one.name}", one.detail) for one in findings]
    value = {"findings": [one._asdict() for one in findings]}
    _emit(as_json, value, facts_table("Doctor", rows))
    return ExitCode.DONE if all(one.ok for one in findings) else ExitCode.RESOURCES


def main() -> None:
    """Entry point: exit codes as in :class:`mcrelu.errors.ExitCode`, one line per user error."""
    try:
        code = _command()
        sys.stdout.flush()
    except BrokenPipeError:
        code = ExitCode.CLOSED_PIPE
    if code is ExitCode.CLOSED_PIPE:
        _discard_output()
    if still_asking():
        sys.stderr.flush()
        os._exit(code)  # the usual end would wait for the store, for minutes
    sys.exit(code)


def _command() -> ExitCode:
    """Do what the command line says; an error in words."""
    try:
        return ExitCode(cli.main(standalone_mode=False) or ExitCode.DONE)
    except UserError as error:
        return _say(error.exit_code, str(error))
    except click.ClickException as error:
        return _say(ExitCode.USAGE, f"{error.format_message()} (see mcrelu --help)")
    except click.Abort:
        return _say(ExitCode.INTERRUPTED, "interrupted")
    except SystemExit as end:
        if by_closed_pipe(end):
            return ExitCode.CLOSED_PIPE
        raise
    except Exception as error:  # noqa: BLE001 - the last resort, which says what it was
        traceback.print_exc()
        what = traceback.format_exception_only(error)[-1].splitlines()[0]
        return _say(ExitCode.UNEXPECTED, f"unexpected error: {what}; please report it")


def _discard_output() -> None:
    """Let what is still in buffers go nowhere when the interpreter flushes them at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _present(run: Run, as_json: bool) -> None:
    tables = written_tables(run.output)
    figures = draw(run.output)
    report = publish_report(run.output)
    value = {
        "out": run.out,
        "exit_code": run.exit_code,
        "unfinished": unfinished([(run.output.contents, tables[CELLS])]),
        **_plain(tables),
        "figures": figures,
        "report": report,
    }
    places = [("figure", path) for path in figures] + [("report", report)]
    _emit(as_json, value, *_results(run.output, tables), facts_table("Written", places))


def _note(log: Console, sweep: Sweep) -> None:
    """Say what a user should know before it runs."""
    for note in sweep.notes():
        log.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


def _results(output: Output, tables: Tables) -> list[Group]:
    """What the tables say."""
    sections = [*notices(output, tables), *output.experiment.sections(tables)]
    return [section_table(section) for section in sections]


def _shortfall(output: Output) -> str:
    contents = output.contents
    assert contents.relative_width is not None
    return shortfall(output.samples(), contents.relative_width, contents.networks)


def _plain(tables: Tables) -> dict[str, Any]:
    """The tables as JSON has them, except those that would be too long for it."""
    short = {name: table for name, table in tables.items() if table.num_rows <= MOST_ROWS}
    return {name: table.to_pylist() for name, table in short.items()}


def _emit(as_json: bool, value: dict[str, Any], *tables: Table | Group) -> None:
    if as_json:
        click.echo(json.dumps(_finite(value), allow_nan=False))
    else:
        show(_console(stderr=False), *tables)


def _finite(value: Any) -> Any:
    """The same with null for every number that JSON has not."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _say(code: ExitCode, message: str) -> ExitCode:
    if "--json" in sys.argv:
        click.echo(json.dumps({"error": message, "exit_code": code}))
    click.echo(f"mcrelu: {message}", err=True)
    return code


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr)
    if not console.is_terminal:
        console.width = 140  # tables in logs and pipes need no wrapping
    return console
