"""Reading of golden files: archives of named arrays, which may be damaged."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mcrelu.errors import UserError
from mcrelu.store.local_store import read_at_most
from mcrelu.store.npz import DAMAGED, MOST_BYTES, arrays_in
from mcrelu.store.uris import first_line
from mcrelu.types import Floats, Ints

Arrays = dict[str, Any]
Shape = tuple[int | None, ...]


def read_arrays(path: Path) -> Arrays:
    """All arrays of an .npz archive.

    Raises
    ------
    UserError
        If the file is not there, is damaged, too large, or no archive of plain arrays.
    """
    remedy = "give a golden file, an .npz archive"
    try:
        arrays = arrays_in(read_at_most(path, MOST_BYTES))
    except (*DAMAGED, OSError) as error:
        raise UserError(f"{path}: {_reason(error)}; {remedy}") from None
    if not arrays:
        raise UserError(f"{path}: holds no named arrays; {remedy}")
    return arrays


def _reason(error: Exception) -> str:
    """Why an archive cannot be read, in words; what numpy says is meant for programmers."""
    if isinstance(error, OSError):
        return f"cannot be read ({first_line(error)})"
    return f"is damaged, no archive of arrays, or of over {MOST_BYTES // 2**20} MiB"


def require(path: Path, golden: Arrays, keys: Iterable[str]) -> None:
    """Raise UserError if a key is missing."""
    missing = [key for key in keys if key not in golden]
    if missing:
        raise UserError(f"{path}: no golden file of the original program, lacks {missing[0]}")


class Checked(NamedTuple):
    """Arrays of a file by key, shape and kind; UserError if one is missing or does not fit."""

    path: Path
    golden: Arrays

    def floats(self, key: str, shape: Shape) -> Floats:
        """An array of numbers; None in the shape is any length but 0."""
        return np.asarray(self._array(key, shape, "iuf"), dtype=np.float64)

    def whole(self, key: str, shape: Shape) -> Ints:
        """An array of whole numbers."""
        return np.asarray(self._array(key, shape, "iu"), dtype=np.int64)

    def _array(self, key: str, shape: Shape, kinds: str) -> Any:
        require(self.path, self.golden, [key])
        array = self.golden[key]
        fits = len(array.shape) == len(shape) and all(
            size > 0 and expected in (None, size)
            for size, expected in zip(array.shape, shape, strict=True)
        )
        if not fits or array.dtype.kind not in kinds:
            expected = tuple("any" if size is None else size for size in shape)
            raise UserError(
                f"{self.path}: {key} is {array.dtype} of shape {array.shape}, expected are numbers "
                f"of shape {expected}; the file is damaged, give another copy"
            )
        return array
