"""Specs by the experiment they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mcrelu.errors import SpecError, UserError
from mcrelu.experiments.base import REGISTRY, experiment
from mcrelu.sweep.messages import explain
from mcrelu.sweep.spec import FOLDER, CommonSpec


def validate(values: dict[str, Any], folder: str | Path = ".") -> CommonSpec:
    """The spec in plain values, as YAML gives them; files it names are relative to ``folder``.

    Raises
    ------
    SpecError
        In one line: the field, its value, and what would be right.
    """
    model = _model(values)
    try:
        return model.model_validate(values, context={FOLDER: folder})
    except ValidationError as error:
        raise SpecError(explain(error, model)) from None


def _model(values: dict[str, Any]) -> type[CommonSpec]:
    """The model of the experiment; where none is named, any will say that it is missing."""
    try:
        return experiment(values.get("experiment", next(iter(REGISTRY)))).spec
    except UserError as error:
        raise SpecError(str(error)) from None
