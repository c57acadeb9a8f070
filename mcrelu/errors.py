"""Errors that a user can fix: one line each, and the exit code that goes with them."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit code says."""

    DONE = 0
    DISAGREEMENT = 1  # compare, verify: of the two sides; check: of shards with their checksums
    USAGE = 2
    RESOURCES = 3
    FAILED_BLOCKS = 4
    BUDGET = 5
    FOREIGN_OUTPUT = 6
    UNEXPECTED = 70  # an error of the program: EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130
    CLOSED_PIPE = 141  # whoever read what is printed has gone: 128 + SIGPIPE
    TERMINATED = 143

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended the run, so that whoever sent it waits for the end."""
        return self in (ExitCode.INTERRUPTED, ExitCode.TERMINATED)


MEANINGS: dict[IntEnum, str] = {
    ExitCode.DONE: "done",
    ExitCode.DISAGREEMENT: "`compare`, `verify`: the sides disagree; `check`: there are damaged "
    "shards",
    ExitCode.USAGE: "usage, or a spec that is not valid",
    ExitCode.RESOURCES: "memory, disk, cluster or store missing",
    ExitCode.FAILED_BLOCKS: "finished, but blocks failed (see `errors/`)",
    ExitCode.BUDGET: "cells ran out of `networks` before the relative width asked for",
    ExitCode.FOREIGN_OUTPUT: "the output belongs to another spec or program, or another run "
    "writes it",
    ExitCode.UNEXPECTED: "unexpected error, with a traceback on stderr",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C; the same command resumes",
    ExitCode.CLOSED_PIPE: "whoever read what was printed has gone (`mcrelu compare .. | head -1`)",
    ExitCode.TERMINATED: "interrupted by SIGTERM; the same command resumes",
}


def by_closed_pipe(error: BaseException) -> bool:
    """Whether this is how click and rich end a program whose reader has gone.

    Both turn the BrokenPipeError into an exit with code 1, as nothing else here does.
    """
    return isinstance(error, SystemExit) and error.code == 1


class UserError(Exception):
    """Something the user can fix; the message is one line that says what and how."""

    exit_code = ExitCode.USAGE


class SpecError(UserError):
    """A sweep spec that is not valid: names the field, its value and what would be right."""


class ResourceError(UserError):
    """Memory, disk, a cluster or a store that is not there."""

    exit_code = ExitCode.RESOURCES


class ForeignOutputError(UserError):
    """The output belongs to another spec."""

    exit_code = ExitCode.FOREIGN_OUTPUT
