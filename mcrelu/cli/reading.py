"""The commands that read outputs and make tables, figures and reports of them."""

from __future__ import annotations

import click

from mcrelu.api import PAPER, Run, compare_runs, is_paper
from mcrelu.cli.printing import emit, json_option, out_argument, plain, present, results
from mcrelu.errors import ExitCode, UserError
from mcrelu.experiments.base import CELLS
from mcrelu.figures.plot import draw, draw_at
from mcrelu.store.compact import compact
from mcrelu.store.completeness import unfinished
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.reduce import cell_table, reduce
from mcrelu.store.uris import shown
from mcrelu.terminal import comparison_table, facts_table, status_table


@click.command("status")
@out_argument
@json_option
def status_command(out: str, as_json: bool) -> None:
    """Show how far the run in OUT is, from its shards."""
    value = Run.open(out).status()
    emit(as_json, value, status_table(value))


@click.command("reduce")
@out_argument
@json_option
def reduce_command(out: str, as_json: bool) -> None:
    """Write the tables of OUT anew from its shards, each of which is verified."""
    output = Output.open(Files.at(out))
    reduction = reduce(output)
    value = {
        "out": output.files.shown,
        **plain(reduction.tables),
        "refused": reduction.refused,
        "unfinished": unfinished([(output.contents, reduction.tables[CELLS])]),
    }
    emit(as_json, value, *results(output, reduction.tables))


@click.command("report")
@out_argument
@json_option
def report_command(out: str, as_json: bool) -> None:
    """Write tables, figures and report of OUT anew from its shards, finished or not."""
    run = Run.open(out)
    reduce(run.output)
    present(run, as_json)


@click.command("plot")
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
    emit(as_json, {"figures": paths}, facts_table("Figures", [("", path) for path in paths]))


@click.command("compare")
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
    emit(as_json, value, comparison_table(comparison, name, missing))
    return ExitCode.DONE if agrees else ExitCode.DISAGREEMENT


@click.command("check")
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
    emit(as_json, value, facts_table("Check", rows))
    return ExitCode.DISAGREEMENT if damaged else ExitCode.DONE


@click.command("compact")
@out_argument
@json_option
def compact_command(out: str, as_json: bool) -> None:
    """Merge the shards of OUT into few large ones; rows and blocks stay what they are."""
    output = Output.open(Files.at(out))
    merged = compact(output)
    rows = [("blocks merged", str(merged.blocks)), ("into files", str(merged.files))]
    emit(as_json, {"out": output.files.shown, **merged._asdict()}, facts_table("Compact", rows))
