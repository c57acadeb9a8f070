"""What keeps other programs' pages from reading this one, and anything from being written.

The server listens on this machine alone, but pages of the web run on it, too: in the user's
browser. So a request must name this machine as its host (a page of the web that had its own name
point here names itself), must not come from another site's page, and must only read. With a token,
other users of the machine are kept out as well.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from mcrelu.errors import ResourceError, UserError
from mcrelu.serve.encoding import encoded
from mcrelu.serve.errors import BusyError, NotThereError, TooLongError

LONGEST = 2048  # characters of path and query

_LOG = logging.getLogger(__name__)
_METHODS = ("GET", "HEAD")
_NAMES = ("127.0.0.1", "localhost", "[::1]")
_OWN_SITE = ("same-origin", "none")  # none: the user typed the address
_STATUS = {
    NotThereError: HTTPStatus.NOT_FOUND,
    BusyError: HTTPStatus.SERVICE_UNAVAILABLE,
    TooLongError: HTTPStatus.GATEWAY_TIMEOUT,
    ResourceError: HTTPStatus.BAD_GATEWAY,  # of the store
}

POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RefusedError(Exception):
    """A request that is not answered."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


def refused(status: HTTPStatus, why: str) -> web.Response:
    """A refusal in one line of JSON."""
    allowed = {"Allow": ", ".join(_METHODS)} if status is HTTPStatus.METHOD_NOT_ALLOWED else {}
    return web.Response(
        status=status,
        body=encoded({"error": why}),
        content_type="application/json",
        headers=allowed,
    )


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """What every answer says, unless it says something stricter itself."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


class Guard:
    """Lets requests through that may be answered."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    @web.middleware
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, or say in one line why not."""
        try:
            self._check(request)
            entry = self._entry(request)
            return entry or await handler(request)
        except RefusedError as refusal:
            return refused(refusal.status, str(refusal))
        except UserError as error:
            status = _STATUS.get(type(error), HTTPStatus.UNPROCESSABLE_ENTITY)
            return refused(status, str(error))
        except web.HTTPException as error:
            return refused(HTTPStatus(error.status), error.reason)
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - whatever it was, others are answered
            _LOG.exception("%s was not answered", request.path)
            why = "unexpected error; the terminal of the server says which"
            return refused(HTTPStatus.INTERNAL_SERVER_ERROR, why)

    def _check(self, request: web.Request) -> None:
        if request.method not in _METHODS:
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "this page can only be read")
        if request.headers.getall("Host", []) not in [[host] for host in _hosts(request)]:
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST, "host: must be 127.0.0.1 or localhost"
            )
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"http://{request.headers['Host']}":
            raise RefusedError(
                HTTPStatus.FORBIDDEN, "origin: another site's page may not read this"
            )
        if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITE:
            raise RefusedError(
                HTTPStatus.FORBIDDEN, "origin: another site's page may not read this"
            )
        if len(request.raw_path) > LONGEST:
            raise RefusedError(HTTPStatus.REQUEST_URI_TOO_LONG, "address: is too long")

    def _entry(self, request: web.Request) -> web.Response | None:
        """Check the token; a redirect that leaves it in a cookie if it came in the address."""
        if self._token is None:
            return None
        cookie = f"mcrelu-{_port(request)}"  # cookies do not tell ports apart
        if request.path == "/" and self._is_token(request.query.get("token", "")):
            found = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/"})
            found.set_cookie(cookie, self._token, httponly=True, samesite="Strict", path="/")
            return found
        if not self._is_token(request.cookies.get(cookie, "")):
            why = "token: is missing or wrong; open the address that mcrelu serve printed"
            raise RefusedError(HTTPStatus.UNAUTHORIZED, why)
        return None

    def _is_token(self, given: str) -> bool:
        assert self._token is not None
        return hmac.compare_digest(given.encode(), self._token.encode())


def _port(request: web.Request) -> int:
    """The port that the request came in by."""
    assert request.transport is not None
    return int(request.transport.get_extra_info("sockname")[1])


def _hosts(request: web.Request) -> list[str]:
    """What requests may name as their host."""
    port = _port(request)
    plain = list(_NAMES) if port == 80 else []
    return [*plain, *(f"{name}:{port}" for name in _NAMES)]
