"""The part of the reference on commands, from what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from mcrelu.cli import cli
from mcrelu.markdown import table


def commands() -> Iterator[str]:
    """The section, in parts."""
    yield "## Commands"
    yield "`mcrelu COMMAND --help` says the same; `mcrelu --version` which version it is."
    for name in cli.commands:
        yield from _command(name, cli.commands[name])


def _command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"mcrelu {name}")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"### `mcrelu {name}`"
    yield f"    {usage}"
    yield _one_line(command.help or "")
    parameters = command.get_params(context)
    records = [parameter.get_help_record(context) for parameter in parameters]
    described = [record for record in records if record is not None and record[1]]
    rows = [(f"`{option}`", _one_line(text)) for option, text in described]
    yield table(("option", "what it does"), rows)


def _one_line(text: str) -> str:
    return " ".join(text.replace("\b", "").split())
