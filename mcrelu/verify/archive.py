"""Reading of golden files: archives of named arrays, which may be damaged."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mcrelu.errors import UserError

Arrays = dict[str, Any]


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
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error}); {remedy}") from None
    if not arrays:
        raise UserError(f"{path}: holds no named arrays; {remedy}")
    return arrays


def require(path: Path, golden: Arrays, keys: Iterable[str]) -> None:
    """Raise UserError if a key is missing."""
    missing = [key for key in keys if key not in golden]
    if missing:
        raise UserError(f"{path}: no golden file of the original program, lacks {missing[0]}")
