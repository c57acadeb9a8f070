"""Makes the helper modules beside this file (oracle, problems, ...) importable from every test."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

SLOW_SECONDS = 1200  # until a slow test, or one that starts Ray, counts as hanging


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Give slow tests and those that start Ray more time than ``timeout`` of pyproject.toml."""
    for item in items:
        if item.get_closest_marker("slow") or item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The power does not fail in tests, and waiting for the disk would take most of their time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
