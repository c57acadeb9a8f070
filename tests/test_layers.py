"""Imports point down, only runtime/ imports ray, and torch stays out of the base install."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from mcrelu.experiments.base import REGISTRY

PACKAGE = Path(__file__).parent.parent / "mcrelu"

# From the bottom up; a module may import its own layer and those before it. The longest name that
# fits a module is its place.
LAYERS = (
    ("types", "errors", "texts", "counting", "jit", "markdown", "memory", "problems"),
    (
        "bias_init",
        "data",
        "distributions",
        "init",
        "normals",
        "philox",
        "rng",
        "shuffles",
        "theory",
    ),
    ("engines",),
    ("stats.intervals", "stats.powerlaw", "stats.sequential", "stats.step_histogram"),
    (
        "store.at_once",
        "store.files",
        "store.local_store",
        "store.remote_store",
        "store.retrying_store",
        "store.uris",
        "store.npz",
        "store.pages",
        "store.parquet",
        "store.columns",
        "store.manifest",
        "verify.archive",
    ),
    ("sweep.cell", "sweep.messages", "sweep.reading", "sweep.spec"),
    ("experiments.base", "experiments.columns", "experiments.published", "experiments.room"),
    ("sweep",),
    ("store",),
    ("stats",),
    ("figures",),
    ("verify", "film"),
    ("experiments",),
    ("runtime",),
    ("terminal", "facts", "report", "api", "crosscheck"),
    ("serve",),
    ("cli", "reference", "reference_commands", "reference_specs", "__main__"),
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    return names_of(ast.walk(ast.parse(path.read_text())))


def imports_at_top(path: Path) -> Iterator[str]:
    return names_of(ast.parse(path.read_text()).body)


def names_of(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield node.module or ""


def module_of(path: Path) -> str:
    """A module's name within the package."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def rank_of(module: str) -> int:
    """The layer of a module, given without the package."""
    parts = module.split(".")
    names = [".".join(parts[:k]) for k in range(len(parts), 0, -1)]
    return next(RANK[name] for name in names if name in RANK)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = module_of(path)
    if own == "__init__":
        return  # the package's face may show anything
    for name in imports(path):
        if name.startswith("mcrelu."):
            assert rank_of(name.removeprefix("mcrelu.")) <= rank_of(own), f"{own} imports {name}"


def test_generic_layers_know_no_experiment() -> None:
    """An experiment is named in its room and in the registry, and nowhere else."""
    names = "|".join(REGISTRY)
    word = re.compile(rf"\b({names})\b", re.IGNORECASE)
    found = {}
    for path in MODULES:
        own = module_of(path)
        if own.split(".")[:2] in [["experiments", name] for name in REGISTRY]:
            continue
        text = path.read_text()
        if own == "experiments.base":
            before, registry = text.split("REGISTRY = {")
            text = before + registry[registry.index("}") :]
        lines = [line for line in text.splitlines() if word.search(line) and named_in(line, names)]
        if lines:
            found[own] = lines
    assert not found


def named_in(line: str, names: str) -> bool:
    """Whether a line names an experiment as such, and does not use the word in its own sense."""
    code = line.split("#", maxsplit=1)[0]
    return bool(re.search(rf"""["']({names})(?!-)|experiments\.({names})\b""", code))


@pytest.mark.parametrize("room", REGISTRY)
def test_rooms_know_no_other_room(room: str) -> None:
    for path in (PACKAGE / "experiments" / room).glob("*.py"):
        for other in REGISTRY.keys() - {room}:
            assert not [name for name in imports(path) if f"experiments.{other}" in name]
            assert not [name for name in imports(path) if name.startswith("mcrelu.runtime")]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_runtime_imports_ray(path: Path) -> None:
    if not module_of(path).startswith("runtime"):
        assert not [name for name in imports(path) if name.split(".")[0] == "ray"]


def is_torch_engine(path: Path) -> bool:
    return path.is_relative_to(PACKAGE / "engines") and path.name.startswith("torch")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_torch_engines_import_torch(path: Path) -> None:
    """Other modules import these engines inside of the functions that use them."""
    if is_torch_engine(path):
        return
    assert not [name for name in imports(path) if name.split(".")[0] == "torch"]
    engine = re.compile(r"mcrelu\.engines\.\w+\.torch")
    assert not [name for name in imports_at_top(path) if engine.match(name)]


def test_there_are_torch_engines() -> None:
    found = [path for path in MODULES if "torch" in imports(path)]
    assert found
    assert all(is_torch_engine(path) for path in found)


def test_the_command_line_starts_without_ray_and_torch() -> None:
    code = "import sys, mcrelu.cli; print(sorted({'ray', 'torch'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
