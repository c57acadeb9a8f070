"""A disk with a fault: what is written to it stops at a number of bytes."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import BinaryIO

from typing_extensions import Buffer

from mcrelu.store.files import Files
from mcrelu.store.local_store import LocalStore


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

    def __init__(self, path: Path, disk: Disk) -> None:
        self._file = path.open("wb", buffering=0)
        self._disk = disk
        self._complaint: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def write(self, content: Buffer) -> int:
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


class FullDiskStore(LocalStore):
    """The local store on a :class:`Disk`."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def _opened(self, path: Path) -> BinaryIO:
        return FullStream(path, self._disk)  # type: ignore[return-value]


def files_on(disk: Disk, folder: Path) -> Files:
    """Files in a local folder on a disk that may be full."""
    return Files(FullDiskStore(disk), str(folder), str(folder))
