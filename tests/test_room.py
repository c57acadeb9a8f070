"""Rooms with only what they must have."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mcrelu.errors import UserError
from mcrelu.experiments.crossing import EXPERIMENT


def test_a_room_may_have_nothing_to_compare_with() -> None:
    bare = dataclasses.replace(EXPERIMENT, paper=None, package="mcrelu.figures")
    assert bare.figures_of_paper == ()
    assert bare.verify(Path("any.npz"), {}) is None
    with pytest.raises(UserError, match="give another output"):
        bare.published(None)
