"""Programs that may not take more than so much memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
# What Python, numpy, numba and pyarrow take, and room for what is read; bombs take gigabytes.
PEAK_BYTES = 2**30
ADDRESS_BYTES = 6 * 2**30  # a bomb that gets through ends here and not with the machine


class Ended(NamedTuple):
    """How a program ended."""

    code: int
    text: str  # what it said on stdout and stderr
    peak: int  # bytes

    @property
    def lines(self) -> list[str]:
        """What it said, line by line."""
        return self.text.splitlines()


def mcrelu(*arguments: object) -> Ended:
    """The command line with arguments."""
    return _ended("-m", "mcrelu", *map(str, arguments))


def python(code: str) -> Ended:
    """A piece of Python."""
    return _ended("-c", code)


def _ended(*arguments: str) -> Ended:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        preexec_fn=_limit,  # noqa: PLW1509 - no threads before the program begins
    ) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(process.returncode, text, usage.ru_maxrss * 1024)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))


def assert_refused(ended: Ended, code: int, *words: str) -> None:
    """One short line that has the words, the exit code, and bounded memory."""
    assert ended.code == code, ended.text[-2000:]
    assert len(ended.lines) == 1, ended.text[-2000:]
    assert len(ended.text) < 3000
    assert all(word in ended.text for word in words), ended.text
    assert ended.peak < PEAK_BYTES
