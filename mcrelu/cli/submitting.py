"""The command that has a cluster run a sweep."""

from __future__ import annotations

import sys
from pathlib import PurePath

import click

from mcrelu.cli.printing import console, emit, json_option, note, set_option
from mcrelu.errors import ExitCode, UserError
from mcrelu.runtime.interrupts import Interrupts
from mcrelu.sweep.sweep import Sweep
from mcrelu.terminal import facts_table


@click.command("submit")
@click.argument("spec")
@click.option("--out", help="URI, or absolute path that all nodes share.")
@click.option(
    "--address",
    help="Dashboard of the cluster, http://host:8265 [default: RAY_API_SERVER_ADDRESS].",
)
@click.option("--follow/--no-follow", default=True, help="Show the job's log until its end.")
@set_option
@json_option
def submit_command(
    spec: str,
    out: str | None,
    address: str | None,
    follow: bool,
    settings: tuple[str, ...],
    as_json: bool,
) -> ExitCode:
    """Have a Ray cluster run what is missing of the sweep SPEC, as a job.

    The spec is sent with the points that it names, and so is this package. Ctrl-C stops following,
    not the job. Followed to its end, the exit code is that of mcrelu run.
    """
    if out is None:
        raise UserError(
            "--out is missing: give a URI such as s3://bucket/prefix, or an absolute path that all "
            "nodes share"
        )
    sweep = Sweep.from_yaml(spec, settings)
    log = console(stderr=True)
    note(log, sweep)
    from mcrelu.runtime import submission

    job = submission.submit(sweep, f"{PurePath(spec).stem}.yaml", out, address)
    places = [("job", job.id), ("output", out), ("stop it", job.how_to_stop)]
    value = {"job": job.id, "address": job.address, "out": out}
    if not follow:
        emit(as_json, value, facts_table("Submitted", [*places, ("follow it", job.how_to_follow)]))
        return ExitCode.DONE
    log.print(f"job {job.id}; to stop it: {job.how_to_stop}", highlight=False, soft_wrap=True)
    with Interrupts(raising=True) as interrupts:
        try:
            code = submission.follow(job, _write, lambda: interrupts.received is not None)
        except KeyboardInterrupt:
            log.print(
                f"No longer following; the job goes on. To stop it: {job.how_to_stop}; to follow "
                f"it again: {job.how_to_follow}",
                highlight=False,
                soft_wrap=True,
            )
            code = interrupts.exit_code
    emit(
        as_json,
        value | {"exit_code": code},
        facts_table("Job", [*places[:2], ("end", _said(code))]),
    )
    return code


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _said(code: ExitCode) -> str:
    return f"exit code {code:d}, {code.name.lower().replace('_', ' ')}"
