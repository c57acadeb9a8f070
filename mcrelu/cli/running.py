"""The commands that run a sweep, or say what it would cost."""

from __future__ import annotations

from dataclasses import asdict

import click

from mcrelu.api import default_out, execute
from mcrelu.cli.printing import (
    cluster_options,
    console,
    emit,
    json_option,
    note,
    present,
    set_option,
)
from mcrelu.errors import ExitCode
from mcrelu.runtime.plan import local_cores, plan
from mcrelu.runtime.progress import display_on
from mcrelu.stats.sequential import shortfall
from mcrelu.store.output import Output
from mcrelu.sweep.sweep import Sweep
from mcrelu.terminal import plan_table


@click.command("run")
@click.argument("spec")
@click.option("--out", help="Path or URI of the output [default: results/<name of the spec>].")
@set_option
@cluster_options
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
    log = console(stderr=True)
    note(log, sweep)
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
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        emit(as_json, {"out": run.out, "exit_code": run.exit_code})
        return run.exit_code
    present(run, as_json)
    if run.exit_code is ExitCode.FAILED_BLOCKS:
        log.print(
            f"Some blocks failed: see {run.out}/errors; the same command tries them again.",
            markup=False,
        )
    elif run.exit_code is ExitCode.BUDGET:
        log.print(_shortfall(run.output), markup=False, highlight=False, soft_wrap=True)
    return run.exit_code


@click.command("plan")
@click.argument("spec")
@set_option
@json_option
def plan_command(spec: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Show cells, blocks and a cost forecast of SPEC, calibrated for seconds; writes nothing."""
    sweep = Sweep.from_yaml(spec, settings)
    note(console(stderr=True), sweep)
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
    emit(as_json, value, plan_table(forecast, cores, adaptive))


def _shortfall(output: Output) -> str:
    contents = output.contents
    assert contents.relative_width is not None
    return shortfall(output.samples(), contents.relative_width, contents.networks)
