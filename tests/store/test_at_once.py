"""Requests at once: in order, as many at a time as there are threads, as patient as the caller."""

from __future__ import annotations

from threading import Barrier

import pytest

from mcrelu.store import at_once as module
from mcrelu.store.at_once import THREADS, at_once
from mcrelu.store.retrying_store import impatience, tried


def test_answers_are_in_the_order_of_the_items() -> None:
    meet = Barrier(THREADS, timeout=10)  # breaks unless so many are under way together

    def late(item: int) -> int:
        meet.wait()
        return 10 * item

    assert at_once(late, range(THREADS)) == [10 * item for item in range(THREADS)]
    assert at_once(late, []) == []


def test_an_exception_leaves_the_rest_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "THREADS", 1)
    begun: list[int] = []

    def failing(item: int) -> None:
        begun.append(item)
        if item == 2:
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        at_once(failing, range(10_000))
    assert begun[:3] == [0, 1, 2]
    assert len(begun) < 10_000


def test_each_is_as_patient_as_the_caller() -> None:
    """By default a store that fails for the moment is asked for minutes."""
    tries: list[int] = []

    def busy(item: int) -> None:
        tries.append(item)
        raise OSError("SlowDown")

    with impatience(), pytest.raises(OSError, match="SlowDown"):
        at_once(lambda item: tried(lambda: busy(item)), [0])
    assert tries == [0]
