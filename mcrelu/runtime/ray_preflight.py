"""What keeps Ray from starting in this process, found before Ray times out, aborts or raises."""

from __future__ import annotations

import os
import resource
import tempfile
from pathlib import Path

from ray._common.utils import get_default_system_temp_dir

from mcrelu.errors import ResourceError
from mcrelu.runtime.ray_probe import token_file

# A session of Ray's writes logs and sockets, some ten megabytes in some hundred files.
MIN_FREE_BYTES = 64 * 2**20
MIN_FREE_FILES = 1000

# Ray's processes reserve 2 GiB of addresses each; with less some abort, others wait for those.
MIN_ADDRESS_SPACE = 3 * 2**30


def check() -> None:
    """Look at the folders and limits that a local cluster needs.

    Raises
    ------
    ResourceError
        Names the folder or the limit, and what to do.
    """
    _check_address_space()
    _check_session_folder(session_folder())
    if _needs_token():
        remedy = "set HOME to a folder that can be written, or give a token as RAY_AUTH_TOKEN"
        _check_writable(token_file().parent, "Ray's token", remedy)


def session_folder() -> Path:
    """Where Ray keeps its sessions."""
    return Path(get_default_system_temp_dir()) / "ray"  # type: ignore[no-untyped-call]


def _check_address_space() -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < MIN_ADDRESS_SPACE:
        raise ResourceError(
            f"ulimit -v = {limit // 1024}: Ray needs at least {MIN_ADDRESS_SPACE // 1024}; "
            "give ulimit -v unlimited, or use --serial"
        )


def _needs_token() -> bool:
    """Whether Ray will make a token and write it."""
    if os.environ.get("RAY_AUTH_MODE", "token") != "token" or "RAY_AUTH_TOKEN" in os.environ:
        return False
    try:
        return not token_file().exists()
    except OSError:  # a part of its path is a file or may not be entered
        return True


def _check_session_folder(folder: Path) -> None:
    _check_writable(folder, "Ray's sessions", "set RAY_TMPDIR to another folder")
    free = os.statvfs(folder)
    if free.f_bavail * free.f_frsize < MIN_FREE_BYTES:
        lacking = f"{MIN_FREE_BYTES // 2**20} MiB"
    elif free.f_files and free.f_favail < MIN_FREE_FILES:  # some filesystems do not count
        lacking = f"{MIN_FREE_FILES} files"
    else:
        return
    raise ResourceError(
        f"{folder}: Ray's sessions need room for {lacking}; make room, or set RAY_TMPDIR to "
        "another folder"
    )


def _check_writable(folder: Path, purpose: str, remedy: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"mcrelu")
    except OSError as error:
        why = error.strerror or str(error)
        raise ResourceError(
            f"{folder}: cannot be written for {purpose} ({why}); {remedy}"
        ) from None
