"""Serving the page until somebody ends it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence

from aiohttp import web

from mcrelu.errors import ExitCode, ResourceError
from mcrelu.serve.application import WATCH, application
from mcrelu.store.uris import first_line

ADDRESS = "127.0.0.1"
TOKEN = "MCRELU_SERVE_TOKEN"  # noqa: S105 - the name of an environment variable

_END_SECONDS = 1.0  # for answers that are under way
_LONGEST_LINE = 2**16  # bytes of a request's first line that we answer ourselves


def serve(places: Sequence[str], port: int, say: Callable[[str], None]) -> ExitCode:
    """Serve the page over some outputs until Ctrl-C or SIGTERM.

    Parameters
    ----------
    port : 0 for any that is free
    say : told the address

    Raises
    ------
    ResourceError
        If another program listens on the port.
    """
    return asyncio.run(_serve(places, port, say))


async def _serve(places: Sequence[str], port: int, say: Callable[[str], None]) -> ExitCode:
    ended = _signal()
    token = os.environ.get(TOKEN) or None
    app = application(places, token)
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=_END_SECONDS, max_line_size=_LONGEST_LINE
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, ADDRESS, port).start()
        except OSError as error:
            raise ResourceError(
                f"port {port}: {first_line(error)}; give another --port, or 0 for any"
            ) from None
        address = f"http://{ADDRESS}:{runner.addresses[0][1]}/"
        say(address if token is None else f"{address}?token={token}")
        received = await ended
        app[WATCH].close()
    finally:
        await runner.cleanup()
    return ExitCode.DONE if received is signal.SIGINT else ExitCode.TERMINATED


def _signal() -> asyncio.Future[signal.Signals]:
    """Ctrl-C or SIGTERM, as soon as it comes."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[signal.Signals] = loop.create_future()

    def end(one: signal.Signals) -> None:
        if not ended.done():
            ended.set_result(one)

    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, end, one)
    return ended
