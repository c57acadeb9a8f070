"""URIs of filesystems: opened, and shown without the credentials in them."""

from __future__ import annotations

import re

import pyarrow as pa
from pyarrow import fs

from mcrelu.errors import ResourceError, UserError

_HIDDEN = "***"
# What stands before the host. A secret that was not percent-encoded may have a slash.
_USER = re.compile(r"(?<=://)(?:[^/?\s]*|[^/?@\s]*:[^?\s]*)@")
_PARAMETER = re.compile(
    r"(?<=[?&])([^=&\s]*(?:key|secret|token|sig|pass)[^=&\s]*=)[^&\s'\"]*", re.IGNORECASE
)


def shown(text: str) -> str:
    """A URI, or a text with URIs, with ``***`` for every credential."""
    return _PARAMETER.sub(rf"\1{_HIDDEN}", _USER.sub(f"{_HIDDEN}@", text))


def open_uri(uri: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of a URI, and the path there.

    Raises
    ------
    UserError
        If no filesystem goes by such a URI, or no bucket or no plain path is in it.
    ResourceError
        If the filesystem cannot be reached.
    """
    try:
        filesystem, root = fs.FileSystem.from_uri(uri)
    except pa.ArrowInvalid as error:
        raise UserError(f"{shown(uri)}: {first_line(error)}; give a path or URI") from None
    except OSError as error:
        raise ResourceError(f"{shown(uri)}: {first_line(error)}; give a path or URI") from None
    if filesystem.type_name != "local":
        if not root.strip("/"):
            raise UserError(f"{shown(uri)}: names no bucket; give a URI such as s3://bucket/run")
        if not {"", ".", ".."}.isdisjoint(root.strip("/").split("/")):
            raise UserError(f"{shown(uri)}: has an empty segment, . or ..; give the plain path")
    return filesystem, root


def first_line(error: Exception) -> str:
    """What an error says, in one line and without credentials."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return shown(text.splitlines()[0])
