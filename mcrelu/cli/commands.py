"""All commands, and how a command ends: exit codes, and one line per error."""

from __future__ import annotations

import json
import os
import sys
import traceback

import click

from mcrelu.cli.checking import doctor_command, verify_command
from mcrelu.cli.crosschecking import crosscheck_command
from mcrelu.cli.reading import (
    check_command,
    compact_command,
    compare_command,
    plot_command,
    reduce_command,
    report_command,
    status_command,
)
from mcrelu.cli.running import plan_command, run_command
from mcrelu.cli.serving import serve_command
from mcrelu.cli.watching import film_command, replay_command
from mcrelu.errors import ExitCode, UserError, by_closed_pipe
from mcrelu.store.uris import still_asking
from mcrelu.texts import one_line


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mcrelu")
@click.pass_context
def cli(context: click.Context) -> None:
    """Estimate by Monte Carlo whether training ever moves a kink across a data point."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (
    run_command,
    plan_command,
    status_command,
    reduce_command,
    plot_command,
    report_command,
    compare_command,
    replay_command,
    film_command,
    serve_command,
    check_command,
    compact_command,
    verify_command,
    crosscheck_command,
    doctor_command,
):
    cli.add_command(command)


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


def _say(code: ExitCode, message: str) -> ExitCode:
    message = one_line(message)
    if "--json" in sys.argv:
        click.echo(json.dumps({"error": message, "exit_code": code}))
    click.echo(f"mcrelu: {message}", err=True)
    return code
