"""Archives of named plain arrays (.npz), read in bounded memory.

numpy believes what an archive says of the size of an array; here it must be the size that there is.
"""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 2**29  # of all arrays together, unless whoever reads them knows better
MOST_ARRAYS = 1000

# What numpy and zipfile raise on damaged archives, whichever part is hit.
DAMAGED = (
    ValueError, EOFError, RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error, struct.error,
    tokenize.TokenError,
)  # fmt: skip

_SUFFIX = ".npy"
_KINDS = "biufU"  # of numbers, and texts of a fixed length
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def arrays_in(content: bytes, most: int = MOST_BYTES) -> dict[str, NDArray[Any]]:
    """All arrays of an archive, of at most so many bytes.

    Raises
    ------
    one of DAMAGED
        If it is damaged, no archive of plain arrays, or larger.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > most or len(members) > MOST_ARRAYS:
            raise ValueError(f"{len(members)} arrays of {total} bytes, more than {most}")
        return {
            member.filename.removesuffix(_SUFFIX): _array(archive, member) for member in members
        }


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.compress_type not in _PACKINGS:
        raise ValueError("packed in another way")
    stream = io.BytesIO(archive.read(member))
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError("another version of arrays")
    shape, _, kind = _HEADERS[version](stream)
    size = prod(shape) * kind.itemsize
    if kind.kind not in _KINDS or size != member.file_size - stream.tell():
        raise ValueError("an array of another size than it says")
    stream.seek(0)
    return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
