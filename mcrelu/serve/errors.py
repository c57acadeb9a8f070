"""What a request can be answered with where there is nothing to give."""

from __future__ import annotations

from mcrelu.errors import UserError


class NotThereError(UserError):
    """Something was asked for that an output does not have."""


class BusyError(UserError):
    """Too much was asked for at once."""


class TooLongError(UserError):
    """Something took longer than it may."""
