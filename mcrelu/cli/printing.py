"""What commands share: options, and how they print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console, Group
from rich.table import Table

from mcrelu.api import Run
from mcrelu.experiments.base import CELLS, Tables
from mcrelu.figures.plot import draw
from mcrelu.report import publish_report
from mcrelu.store.completeness import notices, unfinished
from mcrelu.store.output import Output
from mcrelu.store.reduce import written_tables
from mcrelu.sweep.sweep import Sweep
from mcrelu.terminal import facts_table, section_table, show

Command = Callable[..., Any]

MOST_ROWS = 10_000  # of a table in JSON

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
set_option = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key of the spec."
)
out_argument = click.argument("out")
_cluster_options = (
    click.option("--serial", is_flag=True, help="Run in this process, without Ray."),
    click.option("--address", help="Ray cluster to join [default: RAY_ADDRESS, else a local one]."),
    click.option(
        "--workers", type=click.IntRange(1), help="CPUs of the local cluster [default: all]."
    ),
)


def cluster_options(command: Command) -> Command:
    """Where a command runs its blocks: ``serial``, ``address`` and ``workers``."""
    for option in reversed(_cluster_options):
        command = option(command)
    return command


def emit(as_json: bool, value: dict[str, Any], *tables: Table | Group) -> None:
    """Print a result: ``value`` as one JSON object, or ``tables``."""
    if as_json:
        click.echo(json.dumps(_finite(value), allow_nan=False))
    else:
        show(console(stderr=False), *tables)


def _finite(value: Any) -> Any:
    """The same with null for every number that JSON has not."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def console(stderr: bool) -> Console:
    """Standard output or standard error."""
    stream = Console(stderr=stderr)
    if not stream.is_terminal:
        stream.width = 140  # tables in logs and pipes need no wrapping
    return stream


def note(log: Console, sweep: Sweep) -> None:
    """Say what a user should know before it runs."""
    for text in sweep.notes():
        log.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)


def results(output: Output, tables: Tables) -> list[Group]:
    """What the tables say."""
    sections = [*notices(output, tables), *output.experiment.sections(tables)]
    return [section_table(section) for section in sections]


def plain(tables: Tables) -> dict[str, Any]:
    """The tables as JSON has them, except those that would be too long for it."""
    short = {name: table for name, table in tables.items() if table.num_rows <= MOST_ROWS}
    return {name: table.to_pylist() for name, table in short.items()}


def present(run: Run, as_json: bool) -> None:
    """Draw figures and report of an output whose tables are there, and print what they say."""
    tables = written_tables(run.output)
    figures = draw(run.output)
    report = publish_report(run.output)
    value = {
        "out": run.out,
        "exit_code": run.exit_code,
        "unfinished": unfinished([(run.output.contents, tables[CELLS])]),
        **plain(tables),
        "figures": figures,
        "report": report,
    }
    places = [("figure", path) for path in figures] + [("report", report)]
    emit(as_json, value, *results(run.output, tables), facts_table("Written", places))
