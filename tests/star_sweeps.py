"""Star sweeps that take a moment."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from mcrelu.experiments.star.cell import StarCell
from mcrelu.sweep.sweep import Sweep

_PLAIN: dict[str, Any] = {
    "version": 1,
    "experiment": "star",
    "seed": 5,
    "networks": 5,
    "epochs": 3000,
    "cells": {"width": [6, 9], "data": ["star-3"]},
    "block_size": 2,
}


def star_spec(**changes: Any) -> dict[str, Any]:
    """A small valid spec with keys replaced; a key whose value is None is left out."""
    merged = deepcopy(_PLAIN) | changes
    return {key: value for key, value in merged.items() if value is not None}


def star_sweep(**changes: Any) -> Sweep:
    """The sweep of :func:`star_spec`."""
    return Sweep.of(star_spec(**changes))


def star_cells(wanted: Sweep) -> list[StarCell]:
    """The cells of a sweep of the star experiment."""
    return [cell for cell in wanted.cells if isinstance(cell, StarCell)]
