"""Programs that may not take more than so much memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
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


# Linux counts as the peak of a child what its parent had when it was forked; this is its own.
_CODE = """
import atexit, pathlib, runpy, sys
status, target = pathlib.Path("/proc/self/status"), pathlib.Path(sys.argv.pop(1))
def note():
    lines = status.read_text().splitlines()
    peak = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    target.write_text(peak)
atexit.register(note)
runpy.run_module("mcrelu", run_name="__main__")
"""


def mcrelu(*arguments: object) -> Ended:
    """The command line with arguments."""
    with tempfile.TemporaryDirectory() as folder:
        peak = Path(folder) / "peak"
        done = subprocess.run(
            [sys.executable, "-c", _CODE, str(peak), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            preexec_fn=_limit,
            check=False,
        )
        text = done.stdout.decode(errors="replace")
        return Ended(done.returncode, text, int(peak.read_text()) * 1024)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))


def assert_refused(ended: Ended, code: int, *words: str) -> None:
    """One short line that has the words, the exit code, and bounded memory."""
    assert ended.code == code, ended.text[-2000:]
    assert len(ended.lines) == 1, ended.text[-2000:]
    assert len(ended.text) < 3000
    assert all(word in ended.text for word in words), ended.text
    assert ended.peak < PEAK_BYTES
