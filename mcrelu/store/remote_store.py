"""Files of any filesystem that pyarrow knows, object stores above all."""

from __future__ import annotations

import time
from pathlib import PurePosixPath

import pyarrow as pa
from pyarrow import fs

from mcrelu.store.local_store import MOST_BYTES, refuse_size

SETTLING_SECONDS = 1.0
_WITHOUT_FOLDERS = ("s3", "gcs")  # a folder is there if a file is in it


class RemoteStore:
    """Files by their path on the filesystem. Errors are OSErrors, as pyarrow raises them.

    Object stores publish an upload when it is closed, so nobody sees a part of a file.
    """

    def __init__(self, filesystem: fs.FileSystem) -> None:
        self._fs = filesystem

    def read(self, path: str, most: int) -> bytes | None:
        """The content of a file, None if there is none; OSError if it has more than ``most``."""
        try:
            with self._fs.open_input_file(path) as stream:
                refuse_size(stream.size(), most)
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def publish(self, path: str, content: bytes | pa.Buffer) -> None:
        """Write a file, replacing what was there."""
        if self._fs.type_name not in _WITHOUT_FOLDERS:
            self._fs.create_dir(str(PurePosixPath(path).parent), recursive=True)
        # Not a with block: leaving it by an exception would publish a part.
        stream = self._fs.open_output_stream(path)
        stream.write(content)
        stream.close()

    def create(self, path: str, content: bytes | pa.Buffer) -> bool:
        """Write a file unless there is one; whether it was written.

        pyarrow has no conditional request, so whoever finds no file writes one, waits for
        ``SETTLING_SECONDS``, and reads whose it is then.
        """
        if self._fs.get_file_info(path).type != fs.FileType.NotFound:
            return False
        self.publish(path, content)
        time.sleep(SETTLING_SECONDS)
        return self.read(path, MOST_BYTES) == content

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, without leading-dot files."""
        infos = self._listed(folder, recursive=False)
        return [info.base_name for info in infos if not info.base_name.startswith(".")]

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of every file below a folder, by its path from there."""
        start = len(folder.rstrip("/")) + 1
        found = {info.path[start:]: info.size for info in self._listed(folder, recursive=True)}
        return {name: size for name, size in found.items() if "/." not in f"/{name}"}

    def delete(self, path: str) -> None:
        """Remove a file if it is there."""
        try:
            self._fs.delete_file(path)
        except FileNotFoundError:
            return

    def _listed(self, folder: str, recursive: bool) -> list[fs.FileInfo]:
        selector = fs.FileSelector(folder, allow_not_found=True, recursive=recursive)
        return [info for info in self._fs.get_file_info(selector) if info.is_file]
