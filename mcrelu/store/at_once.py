"""Many requests to a store at once: one by one they would wait for its every answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

THREADS = 16

T = TypeVar("T")
R = TypeVar("R")


def at_once(do: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """What ``do`` gives for each item, THREADS of them at a time, begun in the given order.

    Each is as patient with the store as the caller is. The first exception is raised; items that
    were not begun by then are left out.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        answers = [pool.submit(copy_context().run, do, item) for item in items]
        try:
            return [answer.result() for answer in answers]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
