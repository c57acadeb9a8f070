"""Plain values as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from mcrelu.experiments.base import Section

Json = dict[str, Any]

_DIGITS = 6  # significant ones of numbers that are drawn


def encoded(value: Any) -> bytes:
    """In one line, with null for every number that JSON has not."""
    return json.dumps(_plain(value), allow_nan=False, separators=(",", ":")).encode() + b"\n"


def drawn(values: Any) -> Any:
    """An array of numbers as nested lists, rounded to what can be seen."""
    return _rounded(np.asarray(values, dtype=float).tolist())


def sections_json(sections: Iterable[Section]) -> list[Json]:
    """Sections to be rendered."""
    return [
        {
            "title": one.title,
            "headings": one.headings,
            "rows": one.rows,
            "remarks": one.remarks,
        }
        for one in sections
    ]


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.{_DIGITS}g}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
