"""Imports point down, only runtime/ imports ray, and torch stays out of the base install."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mcrelu"

# From the bottom up; a module may import its own layer and those before it.
LAYERS = (
    ("types", "errors", "jit", "memory", "problems"),
    ("data", "init", "philox", "rng", "theory"),
    ("engines",),
    ("sweep",),
    ("store", "published", "verify"),
    ("stats",),
    ("runtime",),
    ("figures",),
    ("experiments",),
    ("terminal", "report", "api"),
    ("cli", "__main__"),
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


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    own = layer_of(path)
    if own == "__init__":
        return  # the package's face may show anything
    for name in imports(path):
        if name.startswith("mcrelu."):
            assert RANK[name.split(".")[1]] <= RANK[own], f"{own} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_runtime_imports_ray(path: Path) -> None:
    if layer_of(path) != "runtime":
        assert not [name for name in imports(path) if name.split(".")[0] == "ray"]


def is_torch_engine(path: Path) -> bool:
    return path.parent.name == "r_d" and path.name.startswith("torch")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_torch_engines_import_torch(path: Path) -> None:
    """Other modules import these engines inside of the functions that use them."""
    if is_torch_engine(path):
        return
    assert not [name for name in imports(path) if name.split(".")[0] == "torch"]
    own = "mcrelu.engines.r_d.torch"
    assert not [name for name in imports_at_top(path) if name.startswith(own)]


def test_there_are_torch_engines() -> None:
    found = [path for path in MODULES if "torch" in imports(path)]
    assert found
    assert all(is_torch_engine(path) for path in found)


def test_the_command_line_starts_without_ray_and_torch() -> None:
    code = "import sys, mcrelu.cli; print(sorted({'ray', 'torch'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
