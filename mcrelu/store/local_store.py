"""Files of a local disk: published whole, and on the disk when they are there."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

MOST_BYTES = 2**30  # of any file that we write

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)


def read_at_most(path: Path, most: int) -> bytes:
    """The content of a file, or of a pipe; OSError if it has more than ``most`` bytes."""
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        if stat.S_ISREG(status.st_mode):
            refuse_size(status.st_size, most)
            return stream.read()
        content = bytearray()
        while piece := stream.read(2**16):
            content += piece
            refuse_size(len(content), most)
        return bytes(content)


def refuse_size(size: int, most: int) -> None:
    """Raise OSError if a file has more bytes than there may be."""
    if size > most:
        raise OSError(
            errno.EFBIG, f"it has more than the {most / 2**20:g} MiB that such a file may have"
        )


class LocalStore:
    """Plain files by absolute path. Errors are those of the operating system.

    A file is written under a temporary name that readers of Parquet datasets pass over (a leading
    dot), forced to the disk, and then renamed; its folder is forced to the disk too. Else a power
    failure would leave files without content.
    """

    def read(self, path: str, most: int) -> bytes | None:
        """The content of a file, None if there is none; OSError if it has more than ``most``."""
        try:
            return read_at_most(Path(path), most)
        except FileNotFoundError:
            return None

    def publish(self, path: str, content: bytes | pa.Buffer) -> None:
        """Write a file, replacing what was there."""
        target = Path(path)
        with self._written_beside(target, content) as temporary:
            temporary.replace(target)
        _sync_folder(target.parent)

    def create(self, path: str, content: bytes | pa.Buffer) -> bool:
        """Write a file unless there is one; whether it was written."""
        target = Path(path)
        with self._written_beside(target, content) as temporary:
            try:
                target.hardlink_to(temporary)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                if not self._created_in_place(target, content):
                    return False
        _sync_folder(target.parent)
        return True

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, without leading-dot files."""
        return [entry.name for entry in _entries(folder) if entry.is_file()]

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every file below a folder, by its path from there."""
        return dict(_sizes(folder, ""))

    def delete(self, path: str) -> None:
        """Remove a file if it is there."""
        Path(path).unlink(missing_ok=True)

    @contextmanager
    def _written_beside(self, target: Path, content: bytes | pa.Buffer) -> Iterator[Path]:
        """A temporary file in the folder of another, which is gone in the end."""
        _make_folder(target.parent)
        temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            self._write(temporary, content)
            yield temporary
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _created_in_place(self, target: Path, content: bytes | pa.Buffer) -> bool:
        """For filesystems without links: as exclusive, but the file is there before its content."""
        try:
            target.touch(exist_ok=False)
        except FileExistsError:
            return False
        try:
            self._write(target, content)
        except BaseException:
            target.unlink()
            raise
        return True

    def _write(self, path: Path, content: bytes | pa.Buffer) -> None:
        with self._opened(path) as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

    def _opened(self, path: Path) -> BinaryIO:
        return path.open("wb")


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What is in a folder, if it is there, without what has a leading dot."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []


def _sizes(folder: str, prefix: str) -> Iterator[tuple[str, int]]:
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _sizes(entry.path, f"{prefix}{entry.name}/")
        elif entry.is_file():
            with suppress(FileNotFoundError):  # deleted meanwhile
                yield prefix + entry.name, entry.stat().st_size


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the filesystem cannot do that with folders
            raise
    finally:
        os.close(descriptor)
