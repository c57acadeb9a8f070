"""The commands that check this program against the original, and its surroundings."""

from __future__ import annotations

from pathlib import Path

import click

from mcrelu.cli.printing import emit, json_option
from mcrelu.errors import ExitCode
from mcrelu.runtime.doctor import examine
from mcrelu.terminal import agreement_table, facts_table
from mcrelu.verify import verify_file


@click.command("verify")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def verify_command(files: tuple[Path, ...], as_json: bool) -> ExitCode:
    """Repeat the runs of golden FILES of the original program, network by network.

    Exit code 1 if any file agrees less than its README promises.
    """
    agreements = [verify_file(path) for path in files]
    value = {"files": [one._asdict() for one in agreements]}
    emit(as_json, value, agreement_table(agreements))
    same = all(one.agrees for one in agreements)
    return ExitCode.DONE if same else ExitCode.DISAGREEMENT


@click.command("doctor")
@json_option
def doctor_command(as_json: bool) -> ExitCode:
    """Look whether everything that mcrelu needs is there."""
    findings = examine()
    rows = [(f"{'ok  ' if one.ok else 'FAIL'} {one.name}", one.detail) for one in findings]
    value = {"findings": [one._asdict() for one in findings]}
    emit(as_json, value, facts_table("Doctor", rows))
    return ExitCode.DONE if all(one.ok for one in findings) else ExitCode.RESOURCES
