"""Asking a page over some outputs, without a browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from multidict import CIMultiDictProxy
from yarl import URL

from mcrelu.serve.application import WATCH, application

Client = TestClient[Request, Application]


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    headers: CIMultiDictProxy[str]

    @property
    def value(self) -> Any:
        """The JSON object in it, which is one line."""
        assert self.body.count(b"\n") == 1
        return json.loads(self.body)

    @property
    def refusal(self) -> str:
        """Why it was refused, in one line of JSON."""
        assert self.headers["Content-Type"].startswith("application/json")
        error = self.value["error"]
        assert isinstance(error, str)
        return error


def using(places: Sequence[object], use: Callable[[Client], Awaitable[Any]], **given: Any) -> Any:
    """Do something with a client of a page whose outputs were all looked at once."""

    async def do() -> Any:
        app = application([str(place) for place in places], **given)
        async with client_of(app) as client:
            await looked_at(app)
            return await use(client)

    return asyncio.run(do())


def client_of(app: Application) -> Client:
    """A client that keeps no cookies."""
    return TestClient(TestServer(app, host="127.0.0.1"), cookie_jar=DummyCookieJar())


async def looked_at(app: Application) -> None:
    """Wait until every output was looked at."""
    while any(one.seen is None for one in app[WATCH].outputs.values()):
        await asyncio.sleep(0.01)


async def request(client: Client, path: str, method: str = "GET", **given: Any) -> Answer:
    """Send a request whose path goes out as it is."""
    url = URL(f"http://127.0.0.1:{client.port}{path}", encoded=True)
    found = await client.session.request(method, url, allow_redirects=False, **given)
    return Answer(found.status, await found.read(), found.headers)


def ask(places: Sequence[object], path: str, method: str = "GET", **given: Any) -> Answer:
    """One request to a page over some outputs."""

    async def one(client: Client) -> Answer:
        return await request(client, path, method, **given)

    answer = using(places, one)
    assert isinstance(answer, Answer)
    return answer
