"""Is there a cluster at an address that lets this account in? Ray would ask for minutes."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import grpc

from mcrelu.errors import ResourceError

PROBE_SECONDS = 8.0  # for each of three steps: TCP, gRPC, a first call

CLIENT = "ray://"
_CHECK_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"  # its request message has no content


def probe(address: str) -> bool:
    """Knock at a cluster's door; whether it asks for a token, as far as one can tell.

    Parameters
    ----------
    address : host:port of a head node, or ray://host:port

    Raises
    ------
    ResourceError
        If nothing there answers as Ray does, or the cluster refuses this account.
    """
    host, colon, port = address.removeprefix(CLIENT).rpartition(":")
    if not colon:
        raise no_cluster(address, "that is no host:port")
    try:
        socket.create_connection((host, int(port)), timeout=PROBE_SECONDS).close()
    except (OSError, ValueError) as error:
        raise no_cluster(address, str(error)) from None
    if os.environ.get("RAY_USE_TLS", "0") not in {"0", "false", "False"}:
        return True  # certificates are Ray's business
    with grpc.insecure_channel(f"{host}:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        _await_answer(channel, address)
        return address.startswith(CLIENT) or _asks_for_token(channel, address)


def no_cluster(address: str, why: str) -> ResourceError:
    """The error of an address without a cluster."""
    return ResourceError(
        f"no Ray cluster at {address} ({why}); give host:port as 'ray start --head' prints it, "
        "leave --address and RAY_ADDRESS out for a local cluster, or use --serial"
    )


def token_file() -> Path:
    """Where this account's token is, if it has one."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))


def _await_answer(channel: grpc.Channel, address: str) -> None:
    try:
        grpc.channel_ready_future(channel).result(timeout=PROBE_SECONDS)
    except grpc.FutureTimeoutError:
        why = f"what listens there did not answer as Ray does within {PROBE_SECONDS:.0f} s"
        raise no_cluster(address, why) from None


def _asks_for_token(channel: grpc.Channel, address: str) -> bool:
    """Whether a cluster refuses calls without a token; ResourceError if it refuses ours."""
    if _lets_in(channel, address, ""):
        return False
    sent = token()
    if not sent or not _lets_in(channel, address, sent):
        raise refused(address, sent)
    return True


def _lets_in(channel: grpc.Channel, address: str, sent: str) -> bool:
    metadata = (("authorization", f"Bearer {sent}"),) if sent else ()
    try:
        channel.unary_unary(_CHECK_ALIVE)(b"", metadata=metadata, timeout=PROBE_SECONDS)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAUTHENTICATED:
            return False
        raise no_cluster(address, error.details() or error.code().name) from None
    return True


def token() -> str:
    """The token that Ray will send, "" if none."""
    if os.environ.get("RAY_AUTH_MODE", "token") != "token":
        return ""
    if "RAY_AUTH_TOKEN" in os.environ:
        return os.environ["RAY_AUTH_TOKEN"].strip()
    try:
        return token_file().read_text().strip()
    except OSError:
        return ""


def refused(address: str, sent: str) -> ResourceError:
    """The error of a cluster that does not take the token that was sent, "" if none was."""
    if os.environ.get("RAY_AUTH_MODE", "token") != "token":
        why = f"no token is sent with RAY_AUTH_MODE = {os.environ['RAY_AUTH_MODE']}; unset it"
    elif not sent:
        why = f"this account has none; copy that of the head node to {token_file()}"
    elif "RAY_AUTH_TOKEN" in os.environ:
        why = "RAY_AUTH_TOKEN is another; give that of the head node"
    else:
        why = f"{token_file()} holds another; copy that of the head node"
    return ResourceError(f"the Ray cluster at {address} asks for its token: {why}")
