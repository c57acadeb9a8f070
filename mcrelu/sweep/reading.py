"""Reading specs: YAML to plain values, and ``--set`` on top of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mcrelu.errors import SpecError
from mcrelu.store.files import Files, OversizedError
from mcrelu.store.local_store import read_at_most
from mcrelu.store.uris import first_line
from mcrelu.sweep.messages import cut, shortened

# What a spec may take; larger ones only exhaust the memory. Points by the thousand fit.
MOST_BYTES = 16 * 2**20
MOST_VALUES = 250_000  # with aliases written out, and a text counted once per TEXT_CHARACTERS
TEXT_CHARACTERS = 100
MOST_LEVELS = 32  # of lists and mappings in each other


class _Extent(NamedTuple):
    """How much there is to a node of YAML."""

    values: int
    levels: int  # below it


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML in bounded memory that refuses a key written twice (YAML would keep the last)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values = 0
        self._level = 0
        self._deepest = 0
        self._anchored: dict[yaml.Node, _Extent] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Count what there is before it is built: an alias as all that it stands for."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            alias = super().compose_node(parent, index)
            if alias is not None:
                self._add_alias(self._anchored.get(alias), event.start_mark)
            return alias
        values, deepest = self._values, self._deepest
        self._level += 1
        self._deepest = self._level
        text = len(event.value) if isinstance(event, yaml.ScalarEvent) else 0
        self._add(1 + text // TEXT_CHARACTERS, self._level, event.start_mark)
        node = super().compose_node(parent, index)
        if node is not None and event.anchor is not None:
            self._anchored[node] = _Extent(self._values - values, self._deepest - self._level)
        self._level -= 1
        self._deepest = max(deepest, self._deepest)
        return node

    def _add_alias(self, extent: _Extent | None, mark: Any) -> None:
        if extent is None:
            raise yaml.composer.ComposerError(None, None, "an alias stands within itself", mark)
        self._add(extent.values, self._level + 1 + extent.levels, mark)

    def _add(self, values: int, level: int, mark: Any) -> None:
        self._values += values
        self._deepest = max(self._deepest, level)
        if self._values > MOST_VALUES:
            what = f"more than {MOST_VALUES} values with aliases written out, the most there may be"
            raise yaml.composer.ComposerError(None, None, what, mark)
        if level > MOST_LEVELS:
            what = f"nested deeper than {MOST_LEVELS} levels, the most there may be"
            raise yaml.composer.ComposerError(None, None, what, mark)


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"key {shortened(key)} is not a name; write names as keys",
                key_node.start_mark,
            )
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {shortened(key)} stands twice; remove one", key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


# What YAML 1.1 takes for a date, for a number to the base 60 (1:30) or for one to the base 8 (010)
# stays text, and is refused as such.
_SURPRISES = (":timestamp", ":int", ":float")
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(_SURPRISES)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)$")
_FLOAT = re.compile(
    r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
)
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file at a path, or at a URI such as s3://bucket/prefix/spec.yaml.

    Raises
    ------
    SpecError
        If the file is missing, unreadable, not YAML, has unsafe tags, or is no mapping.
    """
    try:
        content = read_content(str(path), MOST_BYTES)
        text = content.decode()
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file; give the path of a sweep spec") from None
    except OversizedError as error:
        raise SpecError(str(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = first_line(error)
        raise SpecError(f"{path}: cannot be read ({reason}); give a YAML text file") from None
    return parse_yaml(text, str(path))


def read_content(where: str, most: int) -> bytes:
    """The content of a file at a path or URI.

    Raises
    ------
    FileNotFoundError
        If there is none.
    OSError
        If it cannot be read, or has more than ``most`` bytes.
    """
    if not where:
        raise FileNotFoundError
    if "://" not in where:
        return read_at_most(Path(where), most)
    folder, _, name = where.rpartition("/")
    content = Files.at(folder).read(name, most)
    if content is None:
        raise FileNotFoundError
    return content


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """The mapping in a YAML text; ``name`` says in messages where it is from."""
    value = _load(text, name)
    if not isinstance(value, dict):
        raise SpecError(f"{name}: holds {_kind(value)}, not a spec; write keys and values")
    return value


Settings = Iterable[str] | Mapping[str, Any]


def apply_settings(spec: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The spec with settings applied: ``key=value`` with values in YAML, or a mapping.

    Dots in keys go into mappings.
    """
    result: dict[str, Any] = _deep_copy(dict(spec))
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            _set(result, key, value, f"settings[{key!r}]")
        return result
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not all(key.split(".")):
            raise SpecError(f"--set {setting}: write key=value, as in --set networks=1000")
        _set(result, key, _load(text, f"--set {key}"), f"--set {setting}")
    return result


def _set(spec: dict[str, Any], key: str, value: Any, place: str) -> None:
    *parents, last = key.split(".")
    target = spec
    for parent in parents:
        inner = target.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise SpecError(f"{place}: {_keyless(parent, inner)}")
        target = inner
    target[last] = value


def _keyless(name: str, value: Any) -> str:
    if isinstance(value, list):
        return f"{name} is a list; give all of it, as in --set '{name}=[...]'"
    return f"{name} has no keys; it is {shortened(value)}"


def _load(text: str, name: str) -> Any:
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a safe loader
    except RecursionError:
        raise SpecError(f"{name}: is nested without end; fix the YAML") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a tagged number that is none
        mark = getattr(error, "problem_mark", None)
        where = f"{name}, line {mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or str(error)
        remedy = "remove the tag" if "tag" in problem else "fix the YAML"
        raise SpecError(f"{where}: {cut(' '.join(problem.split()))}; {remedy}") from None


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "text"
    return "nothing" if value is None else shortened(value)


def _deep_copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _deep_copy(inner) for key, inner in value.items()}
    return value
