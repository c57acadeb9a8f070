"""What a job takes along: the spec with all it names inside, and the package as it is here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mcrelu
from mcrelu.sweep.sweep import Sweep

# From SIGTERM to SIGKILL when a job is stopped. Ray's 3 s may be too short for a driver to write
# its manifest and status to a store that is slow or has to be asked again.
STOP_SECONDS = 60

_METADATA = "Metadata-Version: 2.1\nName: mcrelu\nVersion: {version}\n"


@contextmanager
def packed(sweep: Sweep, name: str) -> Iterator[dict[str, Any]]:
    """The runtime environment of a job whose working directory has a sweep's spec as ``name``.

    Nodes unpack the package by its content, so jobs that differ in their specs alone find its
    compiled kernels. It comes before one that is installed there, and its metadata do, too, since
    outputs say which version made them.
    """
    with TemporaryDirectory() as folder:
        (Path(folder) / name).write_text(sweep.to_yaml())
        number = version("mcrelu")
        metadata = Path(folder) / f"mcrelu-{number}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(_METADATA.format(version=number))
        yield {
            "working_dir": folder,
            "py_modules": [str(Path(mcrelu.__file__).parent)],
            "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)},
        }
