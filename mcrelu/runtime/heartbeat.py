"""Whether a run still goes on: status.json as the heartbeat of its driver."""

from __future__ import annotations

import os
import socket
import uuid
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcrelu.store.output import STATUS, Output

STATUS_SECONDS = 5.0  # a driver writes its status so often
LOST_SECONDS = 30.0  # without a sign for so long it is gone

RUNNING = "running"


class _Run(BaseModel):
    """Who wrote a status."""

    model_config = ConfigDict(strict=True, extra="allow")

    id: str = ""
    host: str = ""
    pid: Annotated[int, Field(ge=0, lt=2**31)] = 0
    process_started: str | None = None


class _Status(BaseModel):
    """What is read of a status; whatever else stands there is passed on."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    state: str
    updated: str = ""
    seconds: Annotated[float, Field(ge=0, le=1e12)] = 0.0
    started: str = ""
    run: _Run = _Run()
    versions: dict[str, str] = {}


def last_status(output: Output) -> dict[str, Any] | None:
    """What status.json says; None if there is none, or it is not as we write it."""
    status = output.read_json(STATUS)
    try:
        return _Status.model_validate(status).model_dump()
    except ValidationError:
        return None


@cache
def this_run() -> dict[str, Any]:
    """Who this process is: what its status says of it."""
    return {
        "id": uuid.uuid4().hex,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_started": _started(os.getpid()),
    }


def now() -> str:
    """The time as status.json has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def is_running(status: dict[str, Any] | None) -> bool:
    """Whether the driver that wrote a status still runs, as far as one can tell.

    On this machine the process itself is looked for; elsewhere its last sign must be fresh.
    """
    if status is None or status.get("state") != RUNNING:
        return False
    run = status.get("run") or {}
    started = run.get("process_started")
    if run.get("host") == socket.gethostname() and started is not None:
        return is_process(int(run.get("pid", 0)), started)
    return abs(_age(str(status.get("updated")))) < LOST_SECONDS


def is_process(pid: int, started: str | None) -> bool:
    """Whether a process of this machine that started then still runs."""
    return started is not None and started == _started(pid)


def _age(updated: str) -> float:
    """Seconds since a time; infinite if it is none."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(updated)).total_seconds()
    except (ValueError, TypeError):
        return float("inf")


def _started(pid: int) -> str | None:
    """When a process of this machine started, in ticks since boot; None if it is gone.

    Numbers of processes are used again, so a number alone does not tell that one is alive. Without
    /proc nothing can be said: None, too.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
