"""Reading of golden files: archives of named arrays, which may be damaged."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mcrelu.errors import UserError
from mcrelu.store.uris import first_line
from mcrelu.types import Floats, Ints

# What numpy and zipfile raise on damaged archives, whichever part is hit.
DAMAGED = (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)

Arrays = dict[str, Any]
Shape = tuple[int | None, ...]


def read_arrays(path: Path) -> Arrays:
    """All arrays of an .npz archive.

    Raises
    ------
    UserError
        If the file is not there, is damaged, or is no archive of plain arrays.
    """
    remedy = "give a golden file, an .npz archive"
    try:
        # Read whole first: numpy leaves a damaged file open.
        archive = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        arrays = {key: archive[key] for key in getattr(archive, "files", ())}
    except (*DAMAGED, OSError) as error:
        raise UserError(f"{path}: {_reason(error)}; {remedy}") from None
    if not arrays:
        raise UserError(f"{path}: holds no named arrays; {remedy}")
    return arrays


def _reason(error: Exception) -> str:
    """Why an archive cannot be read, in words; what numpy says is meant for programmers."""
    if isinstance(error, OSError):
        return f"cannot be read ({first_line(error)})"
    return "is damaged or no archive of arrays"


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
