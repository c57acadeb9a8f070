"""What AWS tells a machine of itself, with a notice that a test gives."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

TOKEN = "a token of this server"


class Metadata:
    """A server of metadata; asked without the token that it gave it refuses, as AWS does."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/latest"
        self.notice = False
        self.asked: list[tuple[str, int]] = []  # paths, and the status of the answer


@contextmanager
def metadata_server() -> Iterator[Metadata]:
    """A running server on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self._answer(200 if self.path.endswith("/api/token") else 404, TOKEN)

        def do_GET(self) -> None:
            known = self.headers.get("X-aws-ec2-metadata-token") == TOKEN
            wanted = self.path.endswith("/meta-data/spot/instance-action") and metadata.notice
            self._answer((200 if wanted else 404) if known else 401, '{"action": "terminate"}')

        def _answer(self, status: int, text: str) -> None:
            metadata.asked.append((self.path.removeprefix("/latest"), status))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        metadata = Metadata(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield metadata
        finally:
            server.shutdown()
            thread.join()


def script(folder: Path, name: str, text: str) -> None:
    """A program of this name in a folder."""
    path = folder / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


def path_with(folder: Path) -> str:
    """A search path with a folder in front."""
    return f"{folder}:{os.environ['PATH']}"
