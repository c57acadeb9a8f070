"""Setups sweeps that take a moment."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from mcrelu.experiments.setups.cell import SetupCell
from mcrelu.sweep.sweep import Sweep

_PLAIN: dict[str, Any] = {
    "version": 1,
    "experiment": "setups",
    "seed": 5,
    "networks": 5,
    "epochs": 6,
    "validate_every": 2,
    "train_points": 16,
    "cells": {
        "data": ["ex"],
        "parametrization": ["he"],
        "optimizer": ["adam"],
        "width": [8],
        "batch": [8],
        "learning_rate": [0.01],
    },
    "block_size": 2,
}


def setup_spec(*, lists: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A small valid spec with keys replaced, and lists of its cells; what is None is left out."""
    merged = deepcopy(_PLAIN) | changes
    if lists is not None:
        merged["cells"] = _given(merged["cells"] | lists)
    return _given(merged)


def setup_sweep(*, lists: dict[str, Any] | None = None, **changes: Any) -> Sweep:
    """The sweep of :func:`setup_spec`."""
    return Sweep.of(setup_spec(lists=lists, **changes))


def setup_cells(wanted: Sweep) -> list[SetupCell]:
    """The cells of a sweep of the setups experiment."""
    return [cell for cell in wanted.cells if isinstance(cell, SetupCell)]


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
