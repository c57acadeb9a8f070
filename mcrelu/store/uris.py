"""URIs of filesystems: opened, and shown without the credentials in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from threading import enumerate as enumerate_threads
from typing import TypeVar

import pyarrow as pa
from pyarrow import fs

from mcrelu.errors import ResourceError, UserError
from mcrelu.store.retrying_store import tried

SCHEMES = ("file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")
CONNECT_SECONDS, REQUEST_SECONDS = 3.0, 5.0  # of one request
FIRST_PATIENCE_SECONDS = 3.0  # with a store that is busy when it is asked for the first time
ANSWER_SECONDS = 8.0  # that a store may take for each of its first two answers

ASKING = "asks a store"  # name of threads that may wait for one without end

T = TypeVar("T")

_HIDDEN = "***"
# What stands before the host. A secret that was not percent-encoded may have a slash.
_USER = re.compile(r"(?<=://)(?:[^/?\s]*|[^/?@\s]*:[^?\s]*)@")
_PARAMETER = re.compile(
    r"(?<=[?&])([^=&\s]*(?:key|secret|token|sig|pass)[^=&\s]*=)[^&\s'\"]*", re.IGNORECASE
)


def shown(text: str) -> str:
    """A URI, or a text with URIs, with ``***`` for every credential."""
    return _PARAMETER.sub(rf"\1{_HIDDEN}", _USER.sub(f"{_HIDDEN}@", text))


def open_uri(uri: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of a URI, which has answered a first question, and the path there.

    Raises
    ------
    UserError
        If no filesystem goes by such a URI, or no bucket or no plain path is in it.
    ResourceError
        If the filesystem cannot be reached, or does not answer in twice ANSWER_SECONDS.
    """
    scheme = uri.partition("://")[0]
    if scheme not in SCHEMES:
        raise UserError(
            f"{shown(uri)}: there are no stores of the kind {scheme}://; give a path, or a URI "
            f"with one of {', '.join(SCHEMES)}, such as s3://bucket/run"
        )
    try:
        filesystem, root = _answer(uri, lambda: _open(uri))
    except pa.ArrowInvalid as error:
        raise UserError(f"{shown(uri)}: {first_line(error)}; give a path or URI") from None
    if filesystem.type_name != "local":
        if not root.strip("/"):
            raise UserError(f"{shown(uri)}: names no bucket; give a URI such as s3://bucket/run")
        if not {"", ".", ".."}.isdisjoint(root.strip("/").split("/")):
            raise UserError(f"{shown(uri)}: has an empty segment, . or ..; give the plain path")
        _answer(uri, lambda: tried(lambda: filesystem.get_file_info(root), FIRST_PATIENCE_SECONDS))
    return filesystem, root


def _open(uri: str) -> tuple[fs.FileSystem, str]:
    filesystem, root = fs.FileSystem.from_uri(uri)
    return _for_small_files(filesystem) if filesystem.type_name == "s3" else filesystem, root


def _for_small_files(filesystem: fs.FileSystem) -> fs.FileSystem:
    """An S3 client that writes a small file by one request, and gives up after seconds.

    By default every file is a multipart upload, of three requests, and a request that gets no
    answer is tried again for a minute and a half, deaf to signals; retrying_store.py does that
    better. There is no way to say otherwise in a URI, so this is a copy, made as pickle makes one.
    """
    make, (options,) = filesystem.__reduce__()
    return make(
        {
            **options,
            "allow_delayed_open": True,
            "connect_timeout": CONNECT_SECONDS,
            "request_timeout": REQUEST_SECONDS,
            "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=1),
        }
    )


def _answer(uri: str, ask: Callable[[], T]) -> T:
    """What a store answers, ResourceError if it does not within ANSWER_SECONDS.

    Clients of stores try again for minutes, some without a way to tell them not to; looking up a
    name has no time limit at all. So a thread asks, and is left alone if it gets no answer.
    """
    answer: Future[T] = Future()

    def settle() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            answer.set_exception(error)

    Thread(target=settle, name=ASKING, daemon=True).start()
    try:
        return answer.result(ANSWER_SECONDS)
    except TimeoutError:
        why = f"no answer within {ANSWER_SECONDS:.0f} s"
    except pa.ArrowInvalid:
        raise  # the URI is none
    except (OSError, pa.ArrowException) as error:
        why = first_line(error)
    raise ResourceError(f"{shown(uri)}: {why}; check the network, your credentials and the URI")


def still_asking() -> bool:
    """Whether a store was left alone that may still answer: pyarrow's end waits for that."""
    return any(thread.name == ASKING for thread in enumerate_threads())


def first_line(error: Exception) -> str:
    """What an error says, in one line and without credentials."""
    if isinstance(error, UnicodeDecodeError):
        return "it is no text"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return shown(text.splitlines()[0])
