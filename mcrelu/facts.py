"""Where the numbers of an output are from: when, by what, how long it took, how to repeat it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mcrelu.experiments.base import CELLS, Section, Tables
from mcrelu.figures.captions import joined
from mcrelu.runtime.block import versions
from mcrelu.runtime.heartbeat import RUNNING, is_running, last_status
from mcrelu.runtime.progress import duration
from mcrelu.store.output import Output
from mcrelu.store.timings import TIMINGS


def facts_section(output: Output, tables: Tables) -> Section:
    """The run of an output in a few lines."""
    status = last_status(output) or {}
    name, used = output.name, status.get("versions") or {"mcrelu": output.contents.program}
    reduced = "" if used == versions() else _listed(versions())
    rows = [
        ("output", name),
        ("last run", joined((_dates(status), _state(status)))),
        ("networks", str(sum(tables[CELLS]["networks"].to_pylist()))),
        ("compute time", _total(tables)),
        ("to reproduce", f"mcrelu run {output.files.shown}/spec.yaml --out results/again"),
        ("made with", _listed(used)),
        ("report", joined((_minute(datetime.now(UTC)), reduced))),
    ]
    shown = tuple(row for row in rows if row[1])
    return Section("This output", ("", ""), shown)


def time_section(tables: Tables) -> list[Section]:
    """How long the networks of each cell took; nothing where the output was not timed."""
    if TIMINGS not in tables or not any(tables[TIMINGS]["blocks"].to_pylist()):
        return []
    rows = tuple(
        (
            row["label"],
            str(row["blocks"]),
            str(row["networks"]),
            _shown(row["seconds"]) if row["blocks"] else "",
            _per_thousand(row["seconds"], row["networks"]),
        )
        for row in tables[TIMINGS].to_pylist()
    )
    headings = ("cell", "blocks", "networks", "core time", "per 1000 networks")
    return [Section("Compute time", headings, rows)]


def _total(tables: Tables) -> str:
    """Time of one core that all networks took together; empty if it was not timed."""
    seconds = tables[TIMINGS]["seconds"].to_pylist() if TIMINGS in tables else []
    if not seconds or None in seconds:
        return ""
    return f"{duration(sum(seconds))} of one core"


def _shown(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def _per_thousand(seconds: float | None, networks: int) -> str:
    return "" if seconds is None or not networks else f"{1000.0 * seconds / networks:.3g} s"


def _listed(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in packages.items())


def _dates(status: dict[str, Any]) -> str:
    """When the run began and ended, or gave its last sign."""
    try:
        ends = [_minute(datetime.fromisoformat(status[key])) for key in ("started", "updated")]
    except (KeyError, ValueError, OverflowError):
        return ""
    return " to ".join(ends)


def _state(status: dict[str, Any]) -> str:
    vanished = status.get("state") == RUNNING and not is_running(status)
    return "vanished" if vanished else str(status.get("state", ""))


def _minute(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
