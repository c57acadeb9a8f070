"""A local S3 (moto) on a free loopback port, with faults on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "bucket"


class FaultyApp:
    """moto's web application, except that it has faults.

    It refuses uploads beyond ``room`` bytes; and ``fault`` is asked at every request: it may wait,
    raise, or give a status to answer with instead.
    """

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app
        self.room: int | None = None
        self.fault: Callable[[dict[str, Any]], str | None] = no_fault

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        status = self.fault(environ)
        if status is not None:
            _drain(environ)
            start_response(status, [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>a fault of the test</Message></Error>"]
        if environ["REQUEST_METHOD"] == "PUT" and self.room is not None:
            # Older clients send no chunks, so that the plain length is that of the content.
            plain = environ.get("CONTENT_LENGTH") or 0
            size = int(environ.get("HTTP_X_AMZ_DECODED_CONTENT_LENGTH", plain))
            if size > self.room:
                return _refuse(environ, start_response)
            self.room -= size
        return self._app(environ, start_response)


def no_fault(environ: dict[str, Any]) -> str | None:
    return None


def _drain(environ: dict[str, Any]) -> None:
    if environ["REQUEST_METHOD"] in ("PUT", "POST"):
        # None of requests in chunks, which end by themselves
        length = environ.get("CONTENT_LENGTH")
        environ["wsgi.input"].read(int(length) if length else -1)


def _refuse(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    _drain(environ)
    start_response("403 Forbidden", [("Content-Type", "application/xml")])
    return [b"<Error><Code>QuotaExceeded</Code><Message>no room left</Message></Error>"]


def point_clients_at(patch: pytest.MonkeyPatch, url: str) -> None:
    """Let S3 clients of this process and its children talk to a URL with dummy credentials."""
    patch.setenv("AWS_ENDPOINT_URL", url)
    patch.setenv("AWS_ACCESS_KEY_ID", "dummy")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "dummy")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@contextmanager
def s3_server() -> Iterator[FaultyApp]:
    """A running server with one bucket, and the clients' environment to match."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    assert server._server is not None
    app = FaultyApp(server._server.app)
    server._server.app = app
    host, port = server.get_host_and_port()
    try:
        with pytest.MonkeyPatch.context() as patch:
            point_clients_at(patch, f"http://{host}:{port}")
            client = boto3.client("s3")
            client.create_bucket(Bucket=BUCKET)
            client.close()
            yield app
    finally:
        server.stop()
