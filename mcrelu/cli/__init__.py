"""The command line: parses, calls, prints. What the commands do is elsewhere."""

from mcrelu.cli.commands import cli, main

__all__ = ["cli", "main"]
