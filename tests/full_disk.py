"""A filesystem with a fault: what is written to it stops at a number of bytes."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from mcrelu.store.files import Files


class Disk:
    """Bytes that may still be written; None while there is room enough.

    A disk that notices late takes everything and complains when a file is closed, as network
    filesystems do.
    """

    def __init__(self, room: int | None = None, notices_late: bool = False) -> None:
        self.room = room
        self.notices_late = notices_late

    def take(self, count: int) -> int:
        """How many of ``count`` bytes still go on the disk."""
        if self.room is None:
            return count
        taken = min(count, self.room)
        self.room -= taken
        return taken


class FullStream(io.RawIOBase):
    """A file that takes the bytes for which there is room, then raises ENOSPC, as a disk does."""

    def __init__(self, path: str, disk: Disk) -> None:
        self._file = Path(path).open("wb", buffering=0)  # noqa: SIM115
        self._disk = disk
        self._complaint: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:
        view = memoryview(content)
        taken = self._disk.take(len(view))
        self._file.write(view[:taken])
        if taken < len(view):
            self._complaint = OSError(errno.ENOSPC, "No space left on device")
            if not self._disk.notices_late:
                self._complain()
        return len(view)

    def close(self) -> None:
        self._file.close()
        super().close()
        self._complain()

    def _complain(self) -> None:
        complaint, self._complaint = self._complaint, None
        if complaint is not None:
            raise complaint


class FullDiskHandler(fs.FileSystemHandler):
    """The local filesystem behind a :class:`Disk`; what is not writing is passed on."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._local = fs.LocalFileSystem()

    def get_type_name(self) -> str:
        return "local"

    def open_output_stream(self, path: str, metadata: object) -> pa.PythonFile:
        return pa.PythonFile(FullStream(path, self._disk), mode="w")

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return self._local.get_file_info(paths)

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        return self._local.get_file_info(selector)

    def create_dir(self, path: str, recursive: bool) -> None:
        self._local.create_dir(path, recursive=recursive)

    def delete_dir(self, path: str) -> None:
        self._local.delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self._local.delete_dir_contents(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError

    def delete_file(self, path: str) -> None:
        self._local.delete_file(path)

    def move(self, source: str, target: str) -> None:
        self._local.move(source, target)

    def copy_file(self, source: str, target: str) -> None:
        self._local.copy_file(source, target)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        return self._local.open_input_stream(path)

    def open_input_file(self, path: str) -> pa.NativeFile:
        return self._local.open_input_file(path)

    def open_append_stream(self, path: str, metadata: object) -> pa.NativeFile:
        raise NotImplementedError

    def normalize_path(self, path: str) -> str:
        return path


def files_on(disk: Disk, folder: Path) -> Files:
    """Files in a local folder on a disk that may be full."""
    filesystem = fs.PyFileSystem(FullDiskHandler(disk))
    return LocalFiles(filesystem, str(folder), str(folder))


class LocalFiles(Files):
    """Files that rename as on a local disk, whatever pyarrow calls the filesystem."""

    def __init__(self, filesystem: fs.FileSystem, root: str, uri: str) -> None:
        super().__init__(filesystem, root, uri)
        self._renames = True
