"""Whole files under one root, on any filesystem that pyarrow knows, published atomically."""

from __future__ import annotations

import uuid
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import fs

from mcrelu.errors import ResourceError, UserError


class Files:
    """Files under a root: a local folder or an object store prefix.

    A file is published whole or not at all. Locally it is written under a temporary name that
    readers of Parquet datasets pass over (a leading dot) and then renamed; object stores publish
    when an upload is closed, so the one request that carries it is enough.
    """

    def __init__(self, filesystem: fs.FileSystem, root: str, uri: str) -> None:
        self._fs = filesystem
        self.root = root  # path on the filesystem
        self.uri = uri  # what :meth:`at` gave these files for
        self._renames = filesystem.type_name == "local"

    @classmethod
    def at(cls, where: str | Path) -> Files:
        """The files at a local path or a URI such as s3://bucket/prefix.

        Raises
        ------
        UserError
            If no store goes by such a URI, or the path is that of a file.
        ResourceError
            If the URI's store cannot be reached.
        """
        text = str(where)
        if "://" not in text:
            text = str(Path(text).absolute())
            filesystem, root = fs.LocalFileSystem(), text
        else:
            filesystem, root = _at_uri(text)
        if filesystem.type_name == "local" and Path(root).is_file():
            raise UserError(f"{text}: is a file; give the path of a folder")
        return cls(filesystem, root, text)

    def read(self, name: str) -> bytes | None:
        """The content of a file, None if there is none.

        Raises
        ------
        ResourceError
            If the store does not give it.
        """
        path = self.path(name)
        try:
            with self._fs.open_input_file(path) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ResourceError(f"cannot read {path}: {_first_line(error)}; mend that") from None

    def publish(self, name: str, content: bytes | pa.Buffer) -> None:
        """Write a file, replacing what was there.

        Raises
        ------
        ResourceError
            If the store refuses: full, read-only, unreachable. The old file is then still there.
        """
        path = self.path(name)
        parent = PurePosixPath(path).parent
        target = f"{parent}/.{uuid.uuid4().hex}.tmp" if self._renames else path
        try:
            self._fs.create_dir(str(parent), recursive=True)
            self._write(target, content)
            if self._renames:
                self._fs.move(target, path)
        except OSError as error:
            self._discard(target)
            raise ResourceError(
                f"cannot write {path}: {_first_line(error)}; "
                "make room or permit writing, then give the same command again"
            ) from None
        except BaseException:  # an interrupt must not leave half a file either
            self._discard(target)
            raise

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, without leading-dot files; [] if there is no folder.

        Raises
        ------
        ResourceError
            If the store does not list them.
        """
        path = self.path(folder)
        selector = fs.FileSelector(path, allow_not_found=True)
        try:
            infos = self._fs.get_file_info(selector)
        except OSError as error:
            raise ResourceError(f"cannot list {path}: {_first_line(error)}; mend that") from None
        return sorted(
            info.base_name
            for info in infos
            if info.type == fs.FileType.File and not info.base_name.startswith(".")
        )

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every file below a folder, by its path from there; one listing.

        Leading-dot files and folders are left out; {} if there is no folder.

        Raises
        ------
        ResourceError
            If the store does not list them.
        """
        path = self.path(folder)
        selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
        try:
            infos = self._fs.get_file_info(selector)
        except OSError as error:
            raise ResourceError(f"cannot list {path}: {_first_line(error)}; mend that") from None
        skipped = len(path.rstrip("/")) + 1
        found = {info.path[skipped:]: info.size for info in infos if info.is_file}
        return {name: size for name, size in found.items() if "/." not in f"/{name}"}

    def delete(self, name: str) -> None:
        """Remove a file if it is there."""
        path = self.path(name)
        try:
            self._fs.delete_file(path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ResourceError(f"cannot delete {path}: {_first_line(error)}; mend that") from None

    def path(self, name: str) -> str:
        """Full path of a file on its filesystem."""
        return f"{self.root}/{name}"

    def _write(self, target: str, content: bytes | pa.Buffer) -> None:
        # Not a with block: on object stores leaving it by an exception would publish a part.
        stream = self._fs.open_output_stream(target)
        stream.write(content)
        stream.close()

    def _discard(self, target: str) -> None:
        if self._renames:
            try:
                self._fs.delete_file(target)
            except OSError:
                return


def _at_uri(uri: str) -> tuple[fs.FileSystem, str]:
    try:
        filesystem, root = fs.FileSystem.from_uri(uri)
    except pa.ArrowInvalid as error:
        raise UserError(f"{uri}: {_first_line(error)}; give a path or URI") from None
    except OSError as error:
        raise ResourceError(f"{uri}: {_first_line(error)}; give a path or URI") from None
    return filesystem, root


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
