"""What the server answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from importlib.resources import files

from aiohttp import web

from mcrelu.figures.plot import FIGURES
from mcrelu.serve.encoding import Json, encoded
from mcrelu.serve.errors import BusyError, NotThereError
from mcrelu.serve.guard import Guard, RefusedError, add_headers
from mcrelu.serve.networks import cell_of, networks_page
from mcrelu.serve.reading import figure_names
from mcrelu.serve.replaying import Replayer, Wanted
from mcrelu.serve.watching import Watch, Watched
from mcrelu.store.output import Output

MOST_STREAMS = 64
PING_SECONDS = 15.0

WATCH = web.AppKey("WATCH", Watch)
REPLAYER = web.AppKey("REPLAYER", Replayer)

_KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_FIGURE = {
    # Whatever is in a figure: it runs nothing, loads nothing, and is of no site.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}
_DIGITS = 12  # of the largest number that a request may have


def application(
    places: Sequence[str], token: str | None = None, replayer: Replayer | None = None
) -> web.Application:
    """The page over some outputs, given by path or URI."""
    app = web.Application(middlewares=[Guard(token).answer])
    app[WATCH] = Watch(places)
    app[REPLAYER] = replayer or Replayer()
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(_following)
    cell = "/api/outputs/{key}/cells/{cell}/networks"
    app.add_routes([
        web.get("/", _index),
        web.get("/static/{name}", _static),
        web.get("/api/outputs", _outputs),
        web.get("/api/events", _events),
        web.get("/api/outputs/{key}", _output),
        web.get("/api/outputs/{key}/figures/{name}.svg", _figure),
        web.get(cell, _networks),
        web.get(f"{cell}/{{network}}/replay", _replay),
        web.get(f"{cell}/{{network}}/figures/{{name}}.svg", _replay_figure),
    ])  # fmt: skip
    return app


async def _following(app: web.Application) -> AsyncIterator[None]:
    following = asyncio.ensure_future(app[WATCH].follow())
    yield
    following.cancel()
    await app[WATCH].end()


def _json(value: Json, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(body=encoded(value), status=status, content_type="application/json")


def _svg(content: str | bytes) -> web.Response:
    body = content.encode() if isinstance(content, str) else content
    return web.Response(body=body, content_type="image/svg+xml", headers=_FIGURE)


async def _index(_: web.Request) -> web.Response:
    return _file("index.html")


async def _static(request: web.Request) -> web.Response:
    return _file(request.match_info["name"])


def _file(name: str) -> web.Response:
    """A file of the page; only those that the package has."""
    for one in files(__package__).joinpath("static").iterdir():
        kind = _KINDS.get(f".{name.rpartition('.')[2]}")
        if one.name == name and kind is not None:
            return web.Response(body=one.read_bytes(), content_type=kind, charset="utf-8")
    raise NotThereError(f"{name}: there is no such file")


async def _outputs(request: web.Request) -> web.Response:
    return _json(_briefs(request))


def _briefs(request: web.Request) -> Json:
    return {"outputs": [one.brief for one in request.app[WATCH].outputs.values()]}


async def _output(request: web.Request) -> web.Response:
    one = _watched(request)
    if one.seen is None:
        return _json(one.brief)
    response = web.Response(body=one.seen.body, content_type="application/json")
    response.etag = one.seen.version
    return response


async def _events(request: web.Request) -> web.StreamResponse:
    """A stream of lists of outputs: one now, and one whenever something changed."""
    watch = request.app[WATCH]
    if watch.watchers >= MOST_STREAMS:
        raise BusyError("too many pages are open; close some")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    watch.come()
    try:
        told = None
        while not watch.closed:
            count, now = watch.changes.count, encoded(_briefs(request))
            await response.write(b": here\n\n" if now == told else b"data: " + now + b"\n")
            told = now
            await watch.changes.after(count, PING_SECONDS)
    except ConnectionError:  # the page is closed
        pass
    finally:
        watch.leave()
    return response


async def _figure(request: web.Request) -> web.Response:
    name = request.match_info["name"]

    def read(output: Output) -> bytes | None:
        if name not in figure_names(output.files):
            return None
        return output.files.read(f"{FIGURES}/{name}.svg")

    content = await _watched(request).do(read)
    if content is None:
        raise NotThereError(f"{name}: the output has no such figure")
    return _svg(content)


async def _networks(request: web.Request) -> web.Response:
    first, cell = _number(request.query.get("first", "0"), "first"), request.match_info["cell"]
    page = lambda output: networks_page(output, cell_of(output, cell), first)  # noqa: E731
    return _json(await _watched(request).do(page))


async def _replay(request: web.Request) -> web.Response:
    found = await _replayed(request)
    return _json({**found, "drawings": list(found["drawings"])})


async def _replay_figure(request: web.Request) -> web.Response:
    drawings, name = (await _replayed(request))["drawings"], request.match_info["name"]
    if name not in drawings:
        raise NotThereError(f"{name}: the replay has no such figure")
    return _svg(drawings[name])


async def _replayed(request: web.Request) -> Json:
    watched, cell = _watched(request), request.match_info["cell"]
    network = _number(request.match_info["network"], "network")

    def check(output: Output) -> None:
        networks_page(output, cell_of(output, cell), network)

    await watched.do(check)
    return await request.app[REPLAYER].of(Wanted(watched.reading.where, cell, network))


def _watched(request: web.Request) -> Watched:
    return request.app[WATCH].output(request.match_info["key"])


def _number(text: str, name: str) -> int:
    """A number of a request."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"{name}: must be a whole number")
    return int(text)
