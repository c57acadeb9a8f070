"""Machines of a cluster on this one: processes, network, home and Ray's folder of their own.

Each is a set of Linux namespaces, so that ports are free, ``ray stop`` finds nothing else to stop,
and nothing outlives a test: with the first process of a machine end all others. Needs root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COMMAND_SECONDS = 240.0  # for any command; machines may be busy
NAMESPACES = ("--mount", "--pid", "--net")

# A default route makes Ray take this address and not 127.0.0.1.
_BEGIN = """
set -e
mount --bind {passwd} /etc/passwd
mkdir -p /tmp/ray && mount --bind {folder}/ray /tmp/ray
mount -t tmpfs tmpfs /run && mkdir /run/sshd
ip link set lo up
{network}
echo ready
exec sleep infinity
"""
_ALONE = """
ip link add lan type veth peer name other
ip link set other up
ip addr add {address}/24 dev lan
ip link set lan up
ip route add default via {address}
"""


class Machine:
    """A machine that is up: runs commands."""

    def __init__(self, pid: int, home: Path, address: str) -> None:
        self.home = home
        self.address = address
        self.pid = pid
        self._enter = ["nsenter", "--target", str(pid), *NAMESPACES, "--wd=" + str(home)]

    def run(
        self, *command: object, env: Mapping[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with self.start(*command, env=env) as process:
            out, err = process.communicate(timeout=COMMAND_SECONDS)
        if check:
            assert process.returncode == 0, out + err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def start(
        self, *command: object, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command; it ends with the machine at the latest."""
        piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        own = self.environment() | dict(env or {})
        return subprocess.Popen([*self._enter, *map(str, command)], **piped, env=own)

    def environment(self) -> dict[str, str]:
        """Variables of a login there, with this Python first and this package before others."""
        kept = {key: os.environ[key] for key in ("LANG", "TERM") if key in os.environ}
        binaries = str(Path(sys.executable).parent)
        path = f"{binaries}:{os.environ['PATH']}"
        return kept | {"HOME": str(self.home), "PATH": path, "PYTHONPATH": str(ROOT)}


@contextmanager
def machine(folder: Path, address: str) -> Iterator[Machine]:
    """A machine with an address of its own, and no network to others."""
    home = folder / "home"
    for made in (home, folder / "ray"):
        made.mkdir(parents=True)
    user = pwd.getpwuid(os.geteuid())
    entry = f"{user.pw_name}:x:{user.pw_uid}:{user.pw_gid}::{home}:/bin/bash\n"
    (folder / "passwd").write_text(entry + "sshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n")
    network = _ALONE.format(address=address)
    begin = _BEGIN.format(passwd=folder / "passwd", folder=folder, network=network)
    command = ["unshare", "--fork", "--mount-proc", "--kill-child", *NAMESPACES, "sh", "-c", begin]
    piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **piped) as outside:
        try:
            assert outside.stdout is not None
            said = outside.stdout.readline()
            if said != "ready\n":
                pytest.skip(f"namespaces are not to be had here: {said.strip()}")
            children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text()
            yield Machine(int(children), home, address)
        finally:
            outside.kill()


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip where a program is not installed."""
    missing = [name for name in programs if shutil.which(name, path=_PATH) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
