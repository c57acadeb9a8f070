"""What is wrong with a spec, in one line: the field, its value, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from math import isfinite, nan
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MOST_PROBLEMS = 5
MOST_SHOWN = 120  # characters of a value
MOST_SAID = 500  # characters of a problem


def explain(error: ValidationError, root: type[BaseModel]) -> str:
    """All problems that pydantic found, or the first few of many."""
    details = error.errors(include_url=False)
    lines = [cut(_line(detail, root)) for detail in details[:MOST_PROBLEMS]]
    more = len(details) - len(lines)
    return "; also ".join(lines) + (f" (and {more} more)" if more else "")


def _line(detail: ErrorDetails, root: type[BaseModel]) -> str:
    field, shown = cut(_field(detail["loc"]), MOST_SHOWN), shortened(detail["input"])
    if detail["type"] == "value_error" and not field:
        return str(detail["ctx"]["error"])
    if detail["type"] == "missing":
        return f"{field}: is missing; add it"
    if detail["type"] == "extra_forbidden":
        return f"{field} = {shown}: unknown key{_known_keys(detail['loc'], root)}"
    return f"{field} = {shown}: {_remedy(detail)}"


def shortened(value: object) -> str:
    """A value as a spec has it, without the middle of long lists and texts."""
    return cut(as_yaml(value), MOST_SHOWN)


def cut(text: str, most: int = MOST_SAID) -> str:
    """A text without its middle if it is long."""
    return text if len(text) <= most else f"{text[: most // 2]} .. {text[-20:]}"


def as_yaml(value: object) -> str:
    """A value as a spec has it, in one line, with texts in quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {as_yaml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    try:
        return repr(value)
    except ValueError:  # Python writes out no integer of more than 4300 digits
        return "a number of thousands of digits"


def _field(loc: tuple[int | str, ...]) -> str:
    """``cells.width[0]`` from pydantic's location, without the tags of unions."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not part.startswith("<"):
            text += f".{part}" if text else part
    return text


def _remedy(detail: ErrorDetails) -> str:
    if detail["loc"] == ("step_size", "<name>"):
        return "must be 'inv_lambda_max' or {over_width: 0.01}, for 0.01 over the width"
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind in ("float_type", "int_type") and isinstance(value, str):
        return _number_as_text(value, whole=kind == "int_type")
    if kind == "value_error":
        return str(context["error"])
    simple = _REMEDIES.get(kind)
    return simple(context) if simple else f"{detail['msg'].lower()}; see the README's spec keys"


_REMEDIES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": lambda _: "must be a whole number; write it without quotes or decimal point",
    "float_type": lambda _: "must be a number",
    "finite_number": lambda _: "must be finite; give an ordinary number",
    "list_type": lambda _: "must be a list; write it in square brackets",
    "too_short": lambda _: "is empty; give at least one value",
    "too_long": lambda context: f"too long; give {context['max_length']} values at most",
    "model_type": lambda _: "must be a mapping of keys to values",
    "literal_error": lambda context: f"must be {context['expected']}",
    "greater_than_equal": lambda context: f"too small; use {context['ge']} or more",
    "greater_than": lambda context: f"too small; use more than {context['gt']}",
    "less_than_equal": lambda context: f"too large; use {context['le']} or less",
    "multiple_of": lambda context: f"must be a multiple of {context['multiple_of']}",
    "bool_type": lambda _: "must be true or false",
    "string_type": lambda _: "must be text",
    "less_than": lambda context: f"too large; use less than {context['lt']}",
}


def _number_as_text(value: str, whole: bool) -> str:
    try:
        number = float(value)
    except ValueError:
        number = nan
    if not isfinite(number) or (whole and not (number.is_integer() and abs(number) < 2**53)):
        return f"is text; give a {'whole number' if whole else 'number'}"
    shown = str(int(number)) if whole else repr(number)
    if "e" in shown and "." not in shown:
        shown = shown.replace("e", ".0e")
    return f"YAML reads this as text; write {shown}"


def _known_keys(loc: tuple[int | str, ...], root: type[BaseModel]) -> str:
    """The keys that stand beside an unknown one, the nearest first if it is a misspelling."""
    model = _model_at(loc[:-1], root)
    if model is None:
        return "; remove it"
    keys = list(model.model_fields)
    close = difflib.get_close_matches(str(loc[-1])[:MOST_SHOWN], keys, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; use one of {', '.join(keys)}" if keys else "; remove it"


def _model_at(loc: tuple[int | str, ...], root: type[BaseModel]) -> type[BaseModel] | None:
    """The model that holds the keys at a location."""
    model: type[BaseModel] | None = root
    for part in loc:
        if isinstance(part, int) or part.startswith("<") or model is None:
            continue
        model = _model_in(model.model_fields[part].annotation)
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first model that an annotation names, looking through lists, unions and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    parts = getattr(annotation, "__args__", ())
    return next((found for part in parts if (found := _model_in(part))), None)
