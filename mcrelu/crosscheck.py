"""A sweep by our engines and by an independent program, on equal terms."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa

from mcrelu.api import Run, compare_runs, execute
from mcrelu.errors import ExitCode
from mcrelu.runtime.progress import Display
from mcrelu.sweep.sweep import Sweep

OURS, THEIRS = "engines", "independent"  # folders of an output


class Crosscheck(NamedTuple):
    """Both runs, and how they compare, if both are done."""

    ours: Run
    theirs: Run | None
    comparison: pa.Table | None
    exit_code: ExitCode


def independent(sweep: Sweep, networks: int) -> Sweep:
    """The sweep as an independent program does it, with so many networks per cell.

    Raises
    ------
    UserError
        If there is no such program, or it cannot do the sweep.
    """
    spec = sweep.spec
    values = spec.model_dump(mode="json", exclude_none=True)
    return Sweep.of(values | spec.independent() | {"networks": networks}, "crosscheck")


def crosscheck(
    sweep: Sweep,
    out: str,
    networks: int,
    executor: str,
    display: Display | None = None,
    **cluster: Any,
) -> Crosscheck:
    """Run both into folders of ``out``, as far as they are not there yet, and compare them.

    Parameters
    ----------
    networks : per cell, of the independent program
    cluster : as for :func:`mcrelu.api.execute`: address, workers
    """
    other = independent(sweep, networks)
    ours = execute(sweep, f"{out}/{OURS}", executor, display=display, **cluster)
    assert ours.exit_code is not None
    if ours.exit_code is not ExitCode.DONE:
        return Crosscheck(ours, None, None, ours.exit_code)
    theirs = execute(other, f"{out}/{THEIRS}", executor, display=display, **cluster)
    assert theirs.exit_code is not None
    if theirs.exit_code is not ExitCode.DONE:
        return Crosscheck(ours, theirs, None, theirs.exit_code)
    comparison = compare_runs([ours], theirs)
    agrees = all(comparison["agrees"].to_pylist())
    code = ExitCode.DONE if agrees else ExitCode.DISAGREEMENT
    return Crosscheck(ours, theirs, comparison, code)
