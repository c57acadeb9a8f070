"""Machines of a cluster on this one: processes, network, home and temporary folders of their own.

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
from processes import descendants

ROOT = Path(__file__).parents[2]
COMMAND_SECONDS = 600.0  # for any command; machines may be busy
NAMESPACES = ("--mount", "--pid", "--uts", "--net")

_BEGIN = """
set -e
hostname {name}
mount --bind {passwd} /etc/passwd
for private in ray mcrelu-$(id -u); do
    mkdir -p -m 700 /tmp/$private {folder}/$private
    mount --bind {folder}/$private /tmp/$private
done
mount -t tmpfs tmpfs /run && mkdir /run/sshd
ip link set lo up
{network}
echo ready
exec sleep infinity
"""
# A default route makes Ray take this address and not 127.0.0.1.
_ADDRESS = """
ip addr add {address}/24 dev lan
ip link set lan up
ip route add default via {address}
"""
_ALONE = f"""
ip link add lan type veth peer name other
ip link set other up
{_ADDRESS}
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
        own = {"HOME": str(self.home), "PATH": path, "PYTHONPATH": str(ROOT)}
        return kept | own | {"RAY_worker_niceness": "0"}  # else a busy machine has no time for them


@contextmanager
def machine(folder: Path, address: str, beside: Machine | None = None) -> Iterator[Machine]:
    """A machine with an address of its own, and no network to others.

    ``beside`` another one it shares that one's network.
    """
    home = folder / "home"
    home.mkdir(parents=True)
    user = pwd.getpwuid(os.geteuid())
    entry = f"{user.pw_name}:x:{user.pw_uid}:{user.pw_gid}::{home}:/bin/bash\n"
    (folder / "passwd").write_text(entry + "sshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n")
    network = "" if beside else _ALONE.format(address=address)
    begin = _BEGIN.format(
        passwd=folder / "passwd", folder=folder, name=folder.name, network=network
    )
    own, enter = [*NAMESPACES], []
    if beside:
        own.remove("--net")
        enter = ["nsenter", "--target", str(beside.pid), "--net"]
    isolated = ["unshare", "--fork", "--mount-proc", "--kill-child", *own]
    command = [*enter, *isolated, "sh", "-c", begin]
    piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **piped) as outside:
        try:
            assert outside.stdout is not None
            said = outside.stdout.readline()
            if said != "ready\n":
                pytest.skip(f"namespaces are not to be had here: {said.strip()}")
            yield Machine(descendants(outside.pid)[0], home, address)
        finally:
            outside.kill()


def connect(one: Machine, other: Machine) -> None:
    """Lay the cable of one machine's network to another, whose own is taken away."""
    other.run("ip", "link", "del", "lan")
    within = ["nsenter", "--target", str(one.pid), "--net"]  # one's processes see no other's
    lay = [*within, "ip", "link", "set", "other", "netns", str(other.pid)]
    subprocess.run(lay, check=True)
    other.run("ip", "link", "set", "other", "name", "lan")
    other.run("sh", "-ec", _ADDRESS.format(address=other.address))


def listen_for_ssh(there: Machine, public_key: str) -> None:
    """Let a key's owner in by ssh."""
    folder = there.home / ".ssh"
    folder.mkdir(mode=0o700)
    (folder / "authorized_keys").write_text(public_key)
    there.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host")
    (folder / "sshd").write_text(
        f"HostKey {folder}/host\nListenAddress {there.address}\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPermitRootLogin prohibit-password\nPidFile none\n"
    )
    there.run("/usr/sbin/sshd", "-f", folder / "sshd")


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip where a program is not installed."""
    missing = [name for name in programs if shutil.which(name, path=_PATH) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
