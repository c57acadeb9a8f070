"""Whole files under one root, on any filesystem that pyarrow knows, published atomically."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import fs

from mcrelu.errors import ResourceError, UserError
from mcrelu.store.local_store import MOST_BYTES, LocalStore
from mcrelu.store.remote_store import RemoteStore
from mcrelu.store.retrying_store import RetryingStore
from mcrelu.store.uris import first_line, open_uri, shown

_REMEDY = "fix that"
_MAKE_ROOM = "make room or permit writing, then give the same command again"
# A file where a folder should be, or a folder where a file should be.
_IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP)
_OTHER_PATH = "give another path, or move what is in the way"


class OversizedError(ResourceError):
    """A file has more bytes than there may be."""


class Files:
    """Files under a root: a local folder or an object store prefix.

    A file is published whole or not at all.
    """

    def __init__(
        self, store: LocalStore | RemoteStore | RetryingStore, root: str, uri: str
    ) -> None:
        self._store = store
        self.root = root  # path on the filesystem
        self.uri = uri  # what :meth:`at` gave these files for; may have credentials in it
        self.shown = shown(uri)  # the same to be shown

    @classmethod
    def at(cls, where: str | Path) -> Files:
        """The files at a local path or a URI such as s3://bucket/prefix.

        Raises
        ------
        UserError
            If no store goes by such a URI, it names no bucket, or the path is empty or of a file.
        ResourceError
            If the URI's store cannot be reached.
        """
        text = str(where)
        if not text:
            raise UserError("the path of an output is empty; give that of a folder, or a URI")
        if "\0" in unquote(text):
            raise UserError(f"{shown(text)}: has a zero byte in it; give a plain path or URI")
        if "://" not in text:
            text = str(Path(text).absolute())
            filesystem, root = fs.LocalFileSystem(), text
        else:
            filesystem, root = open_uri(text)
        if filesystem.type_name != "local":
            return cls(RetryingStore(RemoteStore(filesystem)), root, text)
        if Path(root).is_file():
            raise UserError(f"{text}: is a file; give the path of a folder")
        return cls(LocalStore(), root, text)

    def read(self, name: str, most: int = MOST_BYTES) -> bytes | None:
        """The content of a file of at most so many bytes, None if there is none.

        Raises
        ------
        ResourceError
            If the store does not give it; OversizedError if it has more bytes.
        """
        path = self.path(name)
        with _one_line(f"cannot read {path}", _REMEDY):
            try:
                return self._store.read(path, most)
            except OSError as error:
                if error.errno == errno.EFBIG:
                    raise OversizedError(f"{path}: {first_line(error)}; restore it") from None
                raise

    def publish(self, name: str, content: bytes | pa.Buffer) -> None:
        """Write a file, replacing what was there.

        Raises
        ------
        ResourceError
            If the store refuses: full, read-only, unreachable. The old file is then still there.
        """
        path = self.path(name)
        with _one_line(f"cannot write {path}", _MAKE_ROOM):
            self._store.publish(path, content)

    def create(self, name: str, content: bytes | pa.Buffer) -> bool:
        """Write a file unless there is one; False if there is.

        Of several who create a file at once, one gets True. On object stores that holds if their
        contents differ, and nobody stalls for a second between looking and writing.

        Raises
        ------
        ResourceError
            If the store refuses.
        """
        path = self.path(name)
        with _one_line(f"cannot write {path}", _MAKE_ROOM):
            return self._store.create(path, content)

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, without leading-dot files; [] if there is no folder.

        Raises
        ------
        ResourceError
            If the store does not list them.
        """
        path = self.path(folder)
        with _one_line(f"cannot list {path}", _REMEDY):
            return sorted(self._store.names(path))

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every file below a folder, by its path from there; {} if there is no folder.

        One listing, without what has a leading dot in its path.

        Raises
        ------
        ResourceError
            If the store does not list them.
        """
        path = self.path(folder)
        with _one_line(f"cannot list {path}", _REMEDY):
            return self._store.sizes(path)

    def delete(self, name: str) -> None:
        """Remove a file if it is there.

        Raises
        ------
        ResourceError
            If the store refuses.
        """
        path = self.path(name)
        with _one_line(f"cannot delete {path}", _REMEDY):
            self._store.delete(path)

    def is_at(self, other: Files) -> bool:
        """Whether both are at one place, however its path is written."""
        return self._place() == other._place()

    def _place(self) -> str:
        local = isinstance(self._store, LocalStore)
        return os.path.realpath(self.root) if local else self.shown.rstrip("/")

    def path(self, name: str) -> str:
        """Full path of a file on its filesystem."""
        return f"{self.root}/{name}"


@contextmanager
def _one_line(what: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = _OTHER_PATH if error.errno in _IN_THE_WAY else remedy
        raise ResourceError(f"{what}: {first_line(error)}; {remedy}") from None
