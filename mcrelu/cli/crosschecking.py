"""The command that trains a sweep by an independent program, too."""

from __future__ import annotations

from typing import Any

import click

from mcrelu.api import default_out
from mcrelu.cli.printing import cluster_options, console, emit, json_option, set_option
from mcrelu.crosscheck import crosscheck
from mcrelu.errors import ExitCode
from mcrelu.runtime.progress import display_on
from mcrelu.stats.power import power_section
from mcrelu.sweep.sweep import Sweep
from mcrelu.terminal import comparison_table, facts_table, section_table


@click.command("crosscheck")
@click.argument("spec")
@click.option("--out", help="Path or URI of both outputs [default: results/<spec>-crosscheck].")
@click.option(
    "--networks",
    default=300,
    type=click.IntRange(1),
    show_default=True,
    help="Networks per cell that the independent program trains.",
)
@click.option(
    "--difference",
    "differences",
    multiple=True,
    type=click.FloatRange(0, 1, min_open=True),
    default=(0.05, 0.1),
    show_default=True,
    help="Say how many networks it takes to see this one.",
)
@set_option
@cluster_options
@json_option
def crosscheck_command(
    spec: str,
    out: str | None,
    networks: int,
    differences: tuple[float, ...],
    settings: tuple[str, ...],
    serial: bool,
    as_json: bool,
    **cluster: Any,
) -> ExitCode:
    """Train the sweep SPEC by our engines and by an independent program, and compare them.

    Needs pip install 'mcrelu[keras]'. A cell may take hours, and the same command goes on from
    where it was. Exit code 1 if they differ, Holm-corrected at 1 % over all cells.
    """
    sweep = Sweep.from_yaml(spec, settings)
    where = f"{default_out(spec)}-crosscheck" if out is None else out
    found = crosscheck(
        sweep,
        where,
        networks,
        "serial" if serial else "ray",
        display_on(console(stderr=True)),
        **cluster,
    )
    value = {"out": where, "exit_code": found.exit_code}
    if found.comparison is None:
        emit(as_json, value, facts_table("Crosscheck", [("not finished", where)]))
        return found.exit_code
    points = found.comparison
    shown = section_table(power_section(points, differences))
    emit(
        as_json,
        value | {"points": points.to_pylist()},
        comparison_table(points, "independent", None),
        shown,
    )
    return found.exit_code
