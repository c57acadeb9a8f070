"""The part of the reference on specs: which keys there are, and what they may be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from mcrelu.markdown import table

Schema = Mapping[str, Any]

# JSON's names of types in the words of this project's messages.
_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "nothing",
    "object": "mapping",
}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def keys_of(model: type[BaseModel]) -> str:
    """A table with a row per key of a spec, those of mappings in it too."""
    schema = model.model_json_schema()
    rows = _Keys(schema.get("$defs", {})).of(schema, "")
    return table(("key", "values", "default"), rows)


class _Keys:
    """Rows of keys; ``definitions`` are the mappings that a schema refers to by name."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def of(self, mapping: Schema, place: str) -> Iterator[tuple[str, str, str]]:
        """The keys of a mapping that stands at a place, each followed by those within it."""
        required = mapping.get("required", ())
        for key, schema in mapping["properties"].items():
            default = "required" if key in required else _default(schema.get("default"))
            yield f"`{place}{key}`", self._values(schema), default
            for name, within in self._within(schema):
                yield from self.of(within, f"{place}{key}{name}.")

    def _within(self, schema: Schema) -> Iterator[tuple[str, Schema]]:
        """The mappings that may be the value of a key, or entries of a list there.

        Those of a list are left out where the list is of what may stand there by itself.
        """
        found: dict[str, tuple[str, Schema]] = {}
        for one, suffix in self._alternatives(schema, ""):
            if "$ref" in one:
                name = one["$ref"].rpartition("/")[2]
                found.setdefault(name, (suffix, self._definitions[name]))
        yield from found.values()

    def _alternatives(self, schema: Schema, suffix: str) -> Iterator[tuple[Schema, str]]:
        several = schema.get("anyOf") or schema.get("oneOf")
        if several:
            for one in several:
                yield from self._alternatives(one, suffix)
        elif schema.get("type") == "array":
            yield from self._alternatives(schema["items"], f"{suffix}[]")
        else:
            yield schema, suffix

    def _values(self, schema: Schema) -> str:
        several = schema.get("anyOf") or schema.get("oneOf")
        if several:
            texts = (self._values(one) for one in several if one.get("type") != "null")
            return " or ".join(dict.fromkeys(texts))
        if schema.get("type") == "array":
            return f"list of ({self._values(schema['items'])})"
        if "$ref" in schema:
            return "mapping"
        return _plain(schema)


def _plain(schema: Schema) -> str:
    """What a value that is neither list nor mapping may be."""
    if "const" in schema or "enum" in schema:
        return _either(schema.get("enum", [schema.get("const")]))
    kind = _TYPES[schema["type"]] if "type" in schema else "any"
    bounds = [f"{sign} {_number(schema[key])}" for key, sign in _BOUNDS.items() if key in schema]
    return f"{kind} {', '.join(bounds)}" if bounds else kind


def _either(values: Iterable[Any]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _default(value: Any) -> str:
    if value is None:
        return "none"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _number(value: float) -> str:
    """A bound; large powers of two as such."""
    whole = int(value)
    if whole != value:
        return f"{value}"
    for more in (0, 1):  # 2^k, 2^k - 1
        if whole > 2**12 and (whole + more).bit_count() == 1:
            return f"2^{(whole + more).bit_length() - 1}" + " - 1" * more
    return f"{whole:_}".replace("_", " ")
