"""``mcrelu serve`` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


class Server:
    """``mcrelu serve`` in a process of its own."""

    def __init__(self, places: Sequence[object], port: int = 0, token: str | None = None) -> None:
        environment = {**os.environ, **({"MCRELU_SERVE_TOKEN": token} if token else {})}
        command = [sys.executable, "-m", "mcrelu", "serve", *map(str, places), "--port", str(port)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        self.port = int(re.findall(r":([0-9]+)/", self.address)[0])

    def end(self, by: signal.Signals = signal.SIGINT) -> int:
        """Its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(by)
        code = self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code


@contextmanager
def served(*places: object, **given: Any) -> Iterator[Server]:
    server = Server(list(places), **given)
    try:
        yield server
    finally:
        server.end()
