"""Progress in a notebook: one line below the cell that replaces itself."""

from __future__ import annotations

import sys
import time
from html import escape
from importlib import import_module
from typing import Any

from rich.console import Console

from mcrelu.runtime.progress import Display, Tally, display_on

SECONDS = 0.5  # between two updates


def default_display() -> Display:
    """A bar in a notebook or on a terminal, lines on stderr elsewhere."""
    return Notebook() if in_notebook() else display_on(Console(stderr=True))


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this: IPython with a front end that shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class Notebook:
    """A progress bar in HTML."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._next = 0.0
        self._handle: Any = None

    def say(self, text: str) -> None:
        """Add a line above the bar."""
        self._lines.append(text)
        self._show("")

    def update(self, tally: Tally) -> None:
        """Move the bar if it is time."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + SECONDS
            self._show(_bar(tally))

    def close(self, tally: Tally) -> None:
        """Show the last state."""
        self._show(_bar(tally))

    def _show(self, bar: str) -> None:
        ipython = import_module("IPython.display")  # it is there, in a notebook
        said = "".join(f"{escape(line)}<br>" for line in self._lines)
        content = ipython.HTML(f"<div>{said}{bar}</div>")
        if self._handle is None:
            self._handle = ipython.display(content, display_id=True)
        else:
            self._handle.update(content)


def _bar(tally: Tally) -> str:
    done = f'value="{tally.forecast.fraction:.4f}" max="1"'
    return f"<progress {done}></progress> {'<br>'.join(map(escape, tally.lines()))}"
