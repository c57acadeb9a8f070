"""What a page shows of one output, looked at again and again; runs in the output's own thread."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mcrelu.errors import UserError
from mcrelu.experiments.base import CELLS, Section
from mcrelu.figures.plot import FIGURES
from mcrelu.report import comparison_with_paper
from mcrelu.runtime.heartbeat import RUNNING, is_running
from mcrelu.runtime.sweeping import ERRORS
from mcrelu.serve.curves import panels, places
from mcrelu.serve.encoding import Json, encoded, sections_json
from mcrelu.serve.progress import CellProgress, ProgressKeeper
from mcrelu.serve.statuses import mix
from mcrelu.serve.tables import Shown, TableKeeper
from mcrelu.store.completeness import notices
from mcrelu.store.contents import CELLS_FILE
from mcrelu.store.files import Files
from mcrelu.store.inventory import recorded
from mcrelu.store.manifest import FOLDER as MANIFEST
from mcrelu.store.output import STATUS, Output
from mcrelu.store.uris import first_line

_LOG = logging.getLogger(__name__)

MOST_FAILURES = 20  # shown at once
_LONGEST = 20_000  # characters of a traceback

RUNNING_NOW, FINISHED, UNFINISHED, LOST = "running", "finished", "unfinished", "lost"

_BRIEF = ("key", "name", "where", "error", "waiting", "state", "title", "progress", "version")


class Seen(NamedTuple):
    """What there is to show, as JSON, and a hash of it."""

    brief: Json  # for the list of outputs
    body: bytes
    version: str

    @classmethod
    def of(cls, value: Json) -> Seen:
        """From plain values."""
        body = encoded(value)
        version = hashlib.blake2b(body, digest_size=8).hexdigest()
        brief = {name: value[name] for name in _BRIEF if name in value}
        return cls(brief | {"version": version}, body, version)


class _Signs(NamedTuple):
    """What changes whenever there is something new, without a look at shards."""

    contents: bytes | None
    status: dict[str, Any] | None
    running: bool
    sizes: tuple[dict[str, int], ...]  # of files in folders

    @classmethod
    def of(cls, files: Files) -> _Signs:
        """Those there are now."""
        status = _status_of(files)
        folders = (MANIFEST, "tables", ERRORS, FIGURES)
        sizes = tuple(files.sizes(folder) for folder in folders)
        return cls(files.read(CELLS_FILE), status, is_running(status), sizes)


class Reading:
    """One output, however far it is; nothing is ever written."""

    def __init__(self, key: str, name: str, where: str, shown: str) -> None:
        self.key, self.name, self.shown = key, name, shown
        self.where = where  # may have credentials in it
        self.output: Output | None = None
        self._progress, self._tables = ProgressKeeper(), TableKeeper()
        self._signs: _Signs | None = None
        self._seen: Seen | None = None

    def look(self) -> Seen:
        """What there is now; what was seen before if nothing changed."""
        try:
            self._seen = self._look()
        except UserError as error:
            self._seen = self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - the page over other outputs lives on
            _LOG.exception("%s cannot be shown", self.shown)
            what = first_line(error)
            self._seen = self._failed(f"{self.shown}: {type(error).__name__}: {what}")
        return self._seen

    def _failed(self, why: str) -> Seen:
        self.output = self._signs = None
        return self.failed(why)

    def failed(self, why: str) -> Seen:
        """That the output cannot be read, and why."""
        return Seen.of({**self._names(), "error": why})

    def _names(self) -> Json:
        return {"key": self.key, "name": self.name, "where": self.shown}

    def _look(self) -> Seen:
        files = Files.at(self.where) if self.output is None else self.output.files
        before, signs = self._signs, _Signs.of(files)
        if self._seen is not None and signs == before and not self._tables.due:
            return self._seen
        if self.output is None or before is None or signs.contents != before.contents:
            self.output = Output.open(files)
        seen = self._take_stock(self.output, signs)
        self._signs = signs
        return seen

    def _take_stock(self, output: Output, signs: _Signs) -> Seen:
        status, running = signs.status, signs.running
        inventory = recorded(output.files, output.contents) if running else output.inventory()
        progress = self._progress.of(output.contents, inventory)
        samples = {one.cell.id: one.sample for one in progress}
        shown = self._tables.of(output, inventory, samples)
        cells = shown.tables[CELLS]
        contents, experiment = output.contents, output.experiment
        found = places(experiment, cells, None if shown.current else samples)
        value = {
            **self._names(),
            "error": None,
            "title": experiment.title,
            "note": experiment.note,
            "state": _state(status, running, progress),
            "run": _run(status, running),
            "progress": _total(progress),
            "cells": [one.to_json() for one in progress],
            "panels": panels(experiment, found, contents.relative_width is not None),
            "growing": not shown.current,
            "mix": mix(experiment, cells if shown.current else None, progress),
            "failures": _failures(output),
            "refused": inventory.refused,
            "sections": sections_json(_sections(output, shown)),
            "figures": figure_names(output.files),
            "spec": output.spec_text(),
        }
        return Seen.of(value)


def _status_of(files: Files) -> dict[str, Any] | None:
    """What status.json says; None if it is not there or damaged."""
    try:
        value = json.loads(files.read(STATUS) or b"null")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _state(
    status: Mapping[str, Any] | None, running: bool, progress: Sequence[CellProgress]
) -> str:
    if running:
        return RUNNING_NOW
    if status is not None and status.get("state") == RUNNING:
        return LOST
    done = all(one.blocks_done >= one.blocks and one.known for one in progress)
    return FINISHED if done else UNFINISHED


def _run(status: Mapping[str, Any] | None, running: bool) -> Json | None:
    """What status.json says of the last run, as far as it is what it should be."""
    if status is None:
        return None
    told = {name: status.get(name) for name in ("started", "updated", "seconds", "go_on")}
    forecast = ("networks_per_second", "seconds_left") if running else ()
    return {**told, **{name: status.get(name) for name in forecast}}


def _total(progress: Sequence[CellProgress]) -> Json:
    return {
        "blocks": sum(one.blocks for one in progress),
        "blocks_done": sum(one.blocks_done for one in progress),
        "networks": sum(one.networks for one in progress),
        "networks_done": sum(one.networks_done for one in progress),
        "known": all(one.known for one in progress),
    }


def _failures(output: Output) -> Json:
    """The blocks that failed, the first few in full."""
    names = output.files.names(ERRORS)
    told = ("error", "cell", "block", "seed", "replay", "traceback")
    shown = []
    for name in names[:MOST_FAILURES]:
        one = output.read_json(f"{ERRORS}/{name}") or {"error": f"{name} is damaged"}
        shown.append({
            key: one[key] if key in ("cell", "block") else str(one[key])[:_LONGEST]
            for key in told
            if key in one
        })  # fmt: skip
    return {"total": len(names), "shown": shown}


def _sections(output: Output, shown: Shown) -> list[Section]:
    told = output.experiment.sections(shown.tables)
    compared = comparison_with_paper(output.experiment, shown.tables)
    return [*notices(output, shown.tables), *told, *compared]


def figure_names(files: Files) -> list[str]:
    """The figures of an output that can be shown."""
    found = files.names(FIGURES)
    return [name.removesuffix(".svg") for name in found if name.endswith(".svg")]
