"""What is installed: the files that the code reads, under the version that all documents name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mcrelu"


@pytest.fixture(scope="module")
def configuration() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_all_files_beside_the_code_are_installed(configuration: dict[str, Any]) -> None:
    patterns = configuration["tool"]["setuptools"]["package-data"]["mcrelu"]
    files = [path for path in PACKAGE.rglob("*") if path.is_file()]
    data = {path for path in files if path.suffix != ".py" and path.parent.name != "__pycache__"}
    page = set((PACKAGE / "serve" / "static").iterdir())
    assert {path.name for path in data - page} == {"py.typed", "published.csv"}
    assert data == {path for pattern in patterns for path in PACKAGE.glob(pattern)}


def test_documents_name_the_version(configuration: dict[str, Any]) -> None:
    version = configuration["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    versions = re.findall(r"\n## .*?([0-9]+[.][0-9.]+)", (ROOT / "CHANGELOG.md").read_text())
    assert versions[0] == version
