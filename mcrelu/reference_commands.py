"""The part of the reference on commands, from what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from mcrelu.cli import cli
from mcrelu.markdown import table


def commands() -> Iterator[str]:
    """The section, in parts."""
    yield "## Commands"
    yield "`--help` after a command says the same; `mcrelu --version` says which version it is."
    for name in cli.commands:
        yield from _command(name, cli.commands[name])


def _command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"mcrelu {name}")
    pieces = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
    usage = " ".join([context.command_path, *pieces])
    yield f"### `mcrelu {name}`"
    yield f"    {usage}"
    yield _one_line(command.help or "")
    options = [one for one in command.params if isinstance(one, click.Option)]
    records = filter(None, (option.get_help_record(context) for option in options))
    rows = [(f"`{option}`", _one_line(text)) for option, text in records]
    if rows:
        yield table(("option", "what it does"), rows)


def _one_line(text: str) -> str:
    """Help as Markdown: what is in angles is no HTML there."""
    return " ".join(text.replace("\b", "").replace("<", r"\<").split())
