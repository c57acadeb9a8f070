"""Whose an output is: what a sweep may add to it, and what this program would change in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from mcrelu.errors import ForeignOutputError, SpecError
from mcrelu.experiments.base import REGISTRY
from mcrelu.store.contents import CELLS_FILE, MOST_BYTES, Contents, StoredCell
from mcrelu.store.described import parameters_of
from mcrelu.store.files import Files
from mcrelu.store.shards import SHARDS
from mcrelu.sweep.messages import MOST_PROBLEMS, cut
from mcrelu.sweep.reading import MOST_BYTES as MOST_SPEC_BYTES
from mcrelu.sweep.sweep import Sweep

SPEC = "spec.yaml"


def read_contents(files: Files) -> Contents | None:
    """What cells.json says; None if there is none, and no shards either."""
    content = files.read(CELLS_FILE, MOST_BYTES)
    if content is None:
        if files.sizes(SHARDS):
            raise ForeignOutputError(
                f"{files.shown}: has shards but no {CELLS_FILE}, as versions before 0.2 wrote it; "
                "use the version that began it, or choose another --out"
            )
        return None
    try:
        contents = Contents.from_json(content)
    except ValueError:
        raise _damaged(files) from None
    if contents.experiment not in REGISTRY:
        raise ForeignOutputError(
            f"{files.shown}: holds experiment {contents.experiment!r}, which mcrelu "
            f"{contents.program} wrote and this version does not know; use that version"
        )
    try:
        parameters_of(contents)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, pa.ArrowException):
        raise _damaged(files) from None
    return contents


def _damaged(files: Files) -> ForeignOutputError:
    return ForeignOutputError(
        f"{files.shown}: {CELLS_FILE} is damaged or of a later version; "
        "restore it, or choose another --out"
    )


def contents_of_spec(files: Files) -> Contents | None:
    """What an output of a run holds that ended between writing its spec and its contents."""
    content = files.read(SPEC, MOST_SPEC_BYTES)
    if not content:
        return None
    try:
        return Contents.of(Sweep.from_text(content.decode(errors="replace"), files.path(SPEC)))
    except SpecError as error:
        raise ForeignOutputError(f"{error}; choose another --out") from None


def refuse_other_experiment(files: Files, old: Contents, sweep: Sweep) -> None:
    """Raise ForeignOutputError if an output is of another experiment than a sweep.

    Then nothing else can be compared: cells of different experiments have different parameters.
    """
    if old.experiment != sweep.spec.experiment:
        raise ForeignOutputError(
            f"{files.shown} belongs to another spec: experiment {old.experiment!r} there, "
            f"{sweep.spec.experiment!r} here. Choose another --out"
        )


def refuse_contradictions(files: Files, old: Contents, new: Contents) -> None:
    """Raise ForeignOutputError if a sweep, or this program, contradicts an output."""
    differences = conflicts(old, new)
    if differences:
        raise ForeignOutputError(
            f"{files.shown} belongs to another spec: {_few(differences)}. "
            "Choose another --out, or only add cells, networks or epochs"
        )
    changes = program_changes(old, new)
    if changes:
        raise ForeignOutputError(
            f"{files.shown} was begun by mcrelu {old.program}, and this program would give other "
            f"rows: {_few(changes)}. Go on with the versions that began it, or choose "
            "another --out"
        )


def _few(differences: Sequence[str]) -> str:
    """The first few, in one line that can be read."""
    more = len(differences) - MOST_PROBLEMS
    shown = [cut(one) for one in differences[:MOST_PROBLEMS]]
    return "; ".join([*shown, f"and {more} more"] if more > 0 else shown)


def conflicts(old: Contents, new: Contents) -> list[str]:
    """In what a new sweep contradicts the owner of an output, as readable differences."""
    found = _changes(old.settings, new.settings)
    if not found:
        for cell, twin in _twins(old, new):
            if twin is None:
                found.append(f"cells: {cell.label} is there, not here")
            else:
                before, after = _parameters(cell), _parameters(twin)
                found += _changes(_asked_for(before), _asked_for(after))
                found += _shrinkage(cell.extent, twin.extent)
    found += _shrinkage({"networks": old.networks}, {"networks": new.networks})
    return list(dict.fromkeys(found))


def program_changes(old: Contents, new: Contents) -> list[str]:
    """What this program would do otherwise than the one that began an output, from equal specs."""
    found = []
    for cell, twin in _twins(old, new):
        if twin is not None and cell.id != twin.id:
            engine, before = cell.parameters["engine"], cell.parameters["semantics"]
            found.append(
                f"engine {engine} has version {before} there, {twin.parameters['semantics']} here"
            )
    if old.schema_version != new.schema_version:
        found.append(f"rows have version {old.schema_version} there, {new.schema_version} here")
    if old.streams != new.streams:
        found.append(
            f"numpy's random streams are {old.streams} there, {new.streams} here: numpy changed"
        )
    return list(dict.fromkeys(found))


def _twins(old: Contents, new: Contents) -> list[tuple[StoredCell, StoredCell | None]]:
    """Each old cell with the new one that trains the same."""
    by_training = {cell.training: cell for cell in new.cells}
    return [(cell, by_training.get(cell.training)) for cell in old.cells]


def _parameters(cell: StoredCell) -> dict[str, Any]:
    return {"block_size": cell.block_size, **cell.parameters}


def _asked_for(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What users choose; the version of an engine is not of them."""
    return {key: value for key, value in parameters.items() if key != "semantics"}


def _shrinkage(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    return [
        f"{key}: {value} there, {after.get(key)} here"
        for key, value in before.items()
        if after.get(key, -1) < value
    ]


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [
        f"{key}: {json.dumps(value)} there, {json.dumps(after.get(key))} here"
        for key, value in before.items()
        if value != after.get(key)
    ]
