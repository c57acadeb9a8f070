"""Makes the helper modules beside this file (oracle, problems, ...) importable from every test."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The power does not fail in tests, and waiting for the disk would take most of their time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
