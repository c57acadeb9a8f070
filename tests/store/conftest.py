from __future__ import annotations

from collections.abc import Iterator

import pytest
from s3_server import FaultyApp, s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[FaultyApp]:
    """A local S3 server; the environment points clients at it."""
    with s3_server() as app:
        yield app
