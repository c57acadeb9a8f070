"""Texts from files that anybody may have written: which are shown, and how."""

from __future__ import annotations

import re
from typing import Any

# What names and parameters in outputs are made of. Nothing in it is markup to a terminal, HTML,
# LaTeX or matplotlib.
_PLAIN = re.compile(r"[A-Za-z0-9 .,:;=+*/^()_'-]*")


def is_plain(value: Any) -> bool:
    """Whether all texts in plain values are names and numbers as we write them."""
    if isinstance(value, str):
        return _PLAIN.fullmatch(value) is not None
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(inner) for key, inner in value.items())
    return all(map(is_plain, value)) if isinstance(value, list | tuple) else True


def printable(text: str) -> str:
    """A text with its control characters written out, so that no terminal obeys them.

    Line ends stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _written_out(c) for c in text)


def one_line(text: str) -> str:
    """A text as :func:`printable`, in one line."""
    return printable(" ".join(text.splitlines()))


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()
