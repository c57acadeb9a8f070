"""Ctrl-C and SIGTERM as a flag that loops look at."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from mcrelu.errors import ExitCode


class Interrupts:
    """Within this context SIGINT and SIGTERM set ``received``.

    With ``raising`` they also raise KeyboardInterrupt where the program stands. Not for Ray: an
    exception raised inside its calls is swallowed. Enter the context after Ray has started, which
    sets a handler of its own. Outside the main thread, where Python gives no signals, it does
    nothing.
    """

    def __init__(self, raising: bool) -> None:
        self.received: int | None = None
        self._raising = raising
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> ExitCode:
        """128 + the signal's number, as shells have it."""
        terminated = self.received == signal.SIGTERM
        return ExitCode.TERMINATED if terminated else ExitCode.INTERRUPTED

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if self._raising:
            raise KeyboardInterrupt
