"""Specs by the experiment they ask for."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from mcrelu.errors import SpecError
from mcrelu.experiments.crossing.spec import CrossingSpec
from mcrelu.experiments.star.spec import StarSpec
from mcrelu.sweep.messages import explain
from mcrelu.sweep.spec import CommonSpec

SPECS: dict[str, type[CommonSpec]] = {"crossing": CrossingSpec, "star": StarSpec}


def validate(values: dict[str, Any]) -> CommonSpec:
    """The spec in plain values, as YAML gives them.

    Raises
    ------
    SpecError
        In one line: the field, its value, and what would be right.
    """
    experiment = values.get("experiment", "crossing")
    kind = SPECS.get(experiment) if isinstance(experiment, str) else None
    if kind is None:
        known = " or ".join(repr(name) for name in SPECS)
        raise SpecError(f"experiment = {experiment!r}: must be {known}")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise SpecError(explain(error, kind)) from None
