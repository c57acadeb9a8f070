"""A sweep of many tiny blocks on an S3 server that takes its time: what is asked, what waits.

    python -m benchmarks.object_store --blocks 5000 --workers 8 --latency 30
    python -m benchmarks.object_store --blocks 5000 --workers 8 --local   # a folder instead

The server is moto in a process of its own; each request waits for the latency in a thread of its
own. Needs ``pip install "moto[server]" psutil``. What is measured begins when a tenth of the blocks
are done: before that workers start.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.blocks_per_second import resident_mebibytes, tiny_sweep
from mcrelu.api import Run
from mcrelu.errors import ExitCode
from mcrelu.runtime.progress import Silent, Tally
from mcrelu.runtime.ray_tasks import RayExecutor
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.store.compact import compact
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.reduce import reduce
from mcrelu.sweep.cell import Cell
from mcrelu.sweep.sweep import Sweep

BUCKET = "bucket"
SAID = "/said"  # where the server says what it was asked
KINDS = ("shards", "manifest", "status.json", "lease.json")  # of keys; others are few
ACTIONS = ("status", "resume", "reduce", "compact")
CLIENT = {
    "AWS_ACCESS_KEY_ID": "dummy",
    "AWS_SECRET_ACCESS_KEY": "dummy",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class SlowApp:
    """moto's web application after a pause, and a count of what it was asked."""

    def __init__(self, app: Callable[..., Any], latency: float) -> None:
        self._app, self._latency = app, latency
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer a request."""
        if environ["PATH_INFO"] == SAID:
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps([time.process_time(), self._asked]).encode()]
        with self._lock:
            self._asked[kind_of(environ)] += 1
        time.sleep(self._latency)
        return self._app(environ, start_response)


def kind_of(environ: dict[str, Any]) -> str:
    """What a request is about: its method and the kind of its key."""
    if "list-type" in environ["QUERY_STRING"]:
        return "listing"
    parts = environ["PATH_INFO"].split("/")
    return f"{environ['REQUEST_METHOD']} {next((one for one in KINDS if one in parts), 'other')}"


def serve(latency: float, told: Connection) -> None:
    """Run a server until this process is ended."""
    import logging

    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # else a line per request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    boto3.client("s3", endpoint_url=url).create_bucket(Bucket=BUCKET)
    server._server.app = SlowApp(server._server.app, latency)  # noqa: SLF001
    told.send(url)
    threading.Event().wait()


@contextmanager
def slow_server(latency: float) -> Iterator[str]:
    """The URL of a server in a process of its own; clients are set up to go there."""
    os.environ.update(CLIENT)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(latency, theirs))
    process.start()
    try:
        os.environ["AWS_ENDPOINT_URL"] = url = ours.recv()
        yield url
    finally:
        process.terminate()
        process.join()


def said(url: str | None) -> tuple[float, dict[str, int]]:
    """A server's processor seconds, and how often it was asked for what."""
    if url is None:
        return 0.0, {}
    with urllib.request.urlopen(url + SAID) as answer:  # noqa: S310 - our own server
        seconds, asked = json.load(answer)
    return seconds, asked


class TimedStore:
    """A store, and how long it was waited for, by other threads than daemons.

    Those are the loop and who works for it; the lease is renewed beside it, by a daemon.
    """

    def __init__(self, store: Any) -> None:
        self._store, self._lock = store, threading.Lock()
        self._under_way: Counter[bool] = Counter()  # by whether they list a folder
        self._since = 0.0
        self.seconds = {"listing": 0.0, "others": 0.0}  # a time of both counts as of others

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)
        if threading.current_thread().daemon:
            return method

        def timed(*given: Any) -> Any:
            self._count(name in ("names", "sizes"), 1)
            try:
                return method(*given)
            finally:
                self._count(name in ("names", "sizes"), -1)

        return timed

    def _count(self, lists: bool, more: int) -> None:
        with self._lock:
            now = time.perf_counter()
            if self._under_way.total():
                kind = "others" if self._under_way[False] else "listing"
                self.seconds[kind] += now - self._since
            self._under_way[lists] += more
            self._since = now


class Watched(RayExecutor):
    """Ray tasks, and the seconds that they took together."""

    busy = 0.0

    @classmethod
    def embed(cls, workers: int | None = None) -> Watched:
        """Tasks on a cluster of this process's own."""
        super().embed(workers)
        executor = cls()
        learn = executor._sizes.learn

        def noted(cell: Cell, blocks: int, seconds: float) -> None:
            executor.busy += seconds
            learn(cell, blocks, seconds)

        executor._sizes.learn = noted  # type: ignore[method-assign]
        return executor


class Clocks(Silent):
    """Reads some clocks when a tenth of the blocks are done, and when all are."""

    def __init__(self, url: str | None, store: TimedStore) -> None:
        self._url, self._store = url, store
        self.executor: Watched | None = None
        self.memory: dict[int, int] = {}  # MiB, by percentage of blocks done
        self.read: list[dict[str, float]] = []

    def update(self, tally: Tally) -> None:
        """Look at the tally."""
        done = tally.blocks_done / tally.blocks
        for part in (0, 50, 100):
            if part not in self.memory and 100 * done >= part:
                self.memory[part] = resident_mebibytes()
        if (done >= 0.1 and not self.read) or (done == 1.0 and len(self.read) == 1):
            self.read.append({"blocks": tally.blocks_done, **self._now()})

    def _now(self) -> dict[str, float]:
        assert self.executor is not None
        return {
            "wall": time.perf_counter(),
            **self._store.seconds,
            "busy": self.executor.busy,
            "main thread": time.thread_time(),
            "driver": time.process_time(),
            "workers": workers_processor_seconds(),
            "server": said(self._url)[0],
        }

    def report(self, workers: int) -> str:
        """What they said between the two times."""
        begin, end = self.read
        spent = {name: end[name] - begin[name] for name in begin}
        share = {name: f"{100 * value / spent['wall']:.1f} %" for name, value in spent.items()}
        memory = ", ".join(f"{size} MiB at {part} %" for part, size in self.memory.items())
        processors = ", ".join(
            f"{name} {1000 * spent[name] / spent['blocks']:.2f} ms a block ({share[name]})"
            for name in ("driver", "workers", "server")
        )
        return (
            f"{spent['blocks'] / spent['wall']:.0f} blocks/s, measured for {spent['wall']:.0f} s "
            f"at a load of {os.getloadavg()[0]:.0f}; workers busy "
            f"{100 * spent['busy'] / spent['wall'] / workers:.0f} %\n"
            f"driver's main thread: on a processor {share['main thread']} of the time, waiting for "
            f"the store {share['others']}, and {share['listing']} for its listings\n"
            f"driver: {memory}\n"
            f"processors: {processors}"
        )


def workers_processor_seconds() -> float:
    """What all of Ray's workers below this process have had."""
    import psutil

    found = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::"):
                found += sum(process.cpu_times()[:2])
    return found


def run(place: str, sweep: Sweep, workers: int, url: str | None) -> None:
    """Do a sweep and print what it was like."""
    files = Files.at(place)
    files._store = store = TimedStore(files._store)  # type: ignore[assignment]  # noqa: SLF001
    clocks = Clocks(url, store)

    def start() -> Watched:
        clocks.executor = Watched.embed(workers)
        return clocks.executor

    code = do_sweep(Output.claim(files, sweep), start, clocks)
    if code != ExitCode.DONE:
        raise SystemExit(f"the sweep ended otherwise: {code.name}")
    print(clocks.report(workers))


def act(action: str, place: str, sweep: Sweep) -> str:
    """Do something with the finished output; what came of it."""
    output = Output.claim(Files.at(place), sweep)
    if action == "status":
        return f"{Run(output).status()['blocks_done']} blocks"
    if action == "resume":
        return do_sweep(output, Watched.embed).name.lower()
    if action == "reduce":
        return f"{reduce(output).tables['cells']['networks'].to_pylist()} networks"
    return f"{compact(output).files} files"


@contextmanager
def asked(what: str, url: str | None, blocks: int) -> Iterator[None]:
    """Print how long something takes and what it asks of the server."""
    started, before = time.perf_counter(), Counter(said(url)[1])
    yield
    print(f"{what}: {time.perf_counter() - started:.1f} s")
    for kind, count in (Counter(said(url)[1]) - before).most_common():
        print(f"    {count:8d} = {count / blocks:.3f} per block: {kind}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--latency", type=float, default=30.0, help="ms of every request")
    parser.add_argument("--local", action="store_true", help="a local folder, no server")
    parser.add_argument("--then", nargs="*", choices=ACTIONS, default=["status", "resume"])
    given = parser.parse_args()
    sweep = tiny_sweep(given.blocks, 1, 4)
    server = nullcontext(None) if given.local else slow_server(given.latency / 1000)
    with tempfile.TemporaryDirectory() as folder, server as url:
        place = folder if url is None else f"s3://{BUCKET}/run"
        with asked("sweep", url, given.blocks):
            run(place, sweep, given.workers, url)
        for action in given.then:
            with asked(action, url, given.blocks):
                print(act(action, place, sweep), end=", ")


if __name__ == "__main__":
    main()
