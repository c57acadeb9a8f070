"""The command that serves a live page."""

from __future__ import annotations

import click

from mcrelu.errors import ExitCode

PORT = 8400


@click.command("serve")
@click.argument("outs", nargs=-1, required=True, metavar="OUT...")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535))
def serve_command(outs: tuple[str, ...], port: int) -> ExitCode:
    """Serve a live page over outputs, for this machine alone; --port 0 takes any free port.

    It shows sweeps while they run and afterwards, and writes nothing. With a secret in the
    environment variable MCRELU_SERVE_TOKEN, only who has it can open the page. Ctrl-C ends it.
    """
    from mcrelu.serve.server import serve

    def say(address: str) -> None:
        click.echo(f"{address}\nCtrl-C ends it.")

    return serve(outs, port, say)
