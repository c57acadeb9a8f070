"""Outputs are looked at while somebody watches; one that hangs stalls no other."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import Client, client_of, looked_at, request, using
from small_sweeps import run_serially, sweep

from mcrelu.serve import watching
from mcrelu.serve.application import WATCH, application
from mcrelu.serve.reading import Reading
from mcrelu.serve.watching import keys_of
from mcrelu.serve.workers import Worker
from mcrelu.store.uris import ASKING


def test_keys_are_words_of_their_own() -> None:
    places = ["results/fig5", "s3://key:secret@bucket/Fig5", "other/fig5/", "a b/ü", "s3://b/x?y=1"]
    assert keys_of(places) == ["fig5", "fig5-2", "fig5-3", "output", "x"]


def test_credentials_are_not_shown(tmp_path: Path) -> None:
    async def told(client: Client) -> bytes:
        outputs = (await request(client, "/api/outputs")).body
        return outputs + (await request(client, "/api/outputs/x")).body

    told_of = using(["file://key:topsecret@/nowhere/x"], told)
    assert b"topsecret" not in told_of


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An output of the name "hangs" whose store does not answer until it is let go."""
    go = threading.Event()
    look = Reading.look

    def slow(self: Reading) -> Any:
        if self.name == "hangs":
            go.wait(30)
        return look(self)

    monkeypatch.setattr(Reading, "look", slow)
    monkeypatch.setattr(watching, "SLOW", 0.05)
    yield go
    go.set()


@pytest.mark.slow
def test_an_output_that_hangs_stalls_no_other(folder: Path, hanging: threading.Event) -> None:
    async def both() -> None:
        app = application([str(folder.parent / "hangs"), str(folder)])
        async with client_of(app) as client:
            while app[WATCH].outputs["small"].seen is None:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            briefs = (await request(client, "/api/outputs")).value["outputs"]
            assert [one["late"] for one in briefs] == [True, False]
            assert briefs[1]["state"] == "finished"
            assert (await request(client, "/api/outputs/small")).value["panels"]
            assert (await request(client, "/api/outputs/hangs")).value["waiting"]
            with pytest.raises(TimeoutError):  # that one alone waits for its store
                await asyncio.wait_for(request(client, "/api/outputs/hangs/figures/x.svg"), 0.2)

    asyncio.run(both())


@pytest.mark.slow
def test_who_waits_too_long_is_told(
    folder: Path, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LIMIT", 0.1)

    async def one() -> None:
        app = application([str(folder.parent / "hangs")])
        async with client_of(app) as client:
            answer = await request(client, "/api/outputs/hangs/figures/x.svg")
            assert answer.status == 504
            assert "no answer" in answer.refusal

    asyncio.run(one())


def test_a_worker_goes_on_after_an_error() -> None:
    def fail() -> None:
        raise ValueError("no")

    async def both() -> int:
        with pytest.raises(ValueError, match="no"):
            await worker.do(fail)
        return await worker.do(lambda: 3)

    worker = Worker()
    assert asyncio.run(both()) == 3
    worker.end()


def test_workers_end_with_their_page(folder: Path) -> None:
    def busy() -> int:
        return sum(thread.name == ASKING for thread in threading.enumerate())

    async def count(client: Client) -> int:
        return busy()

    before = busy()
    assert using([folder], count) == before + 1
    assert busy() == before


async def events(client: Client, wanted: Callable[[Any], bool]) -> Any:
    """The first event that is wanted."""
    async with client.get("/api/events") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        async for line in stream.content:
            if line.startswith(b"data: "):
                found = json.loads(line[6:])
                if wanted(found["outputs"][0]):
                    return found
    raise AssertionError("the stream ended")


def test_what_is_new_is_told_to_who_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PAUSE", 0.05)
    monkeypatch.setattr(watching, "REST", 0.0)
    folder = tmp_path / "grows"

    async def watch() -> None:
        app = application([str(folder)])
        async with client_of(app) as client:
            await looked_at(app)
            first = await events(client, lambda one: True)
            assert "no output" in first["outputs"][0]["error"]
            run_serially(folder, sweep(networks=10))
            told = await asyncio.wait_for(
                events(client, lambda one: one.get("state") == "finished"), 20
            )
            assert told["outputs"][0]["progress"]["networks_done"] == 10

    asyncio.run(watch())


def test_nobody_is_asked_while_nobody_watches(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PAUSE", 0.01)
    monkeypatch.setattr(watching, "REST", 0.0)
    looks = []
    look = Reading.look

    def counted(self: Reading) -> Any:
        looks.append(1)
        return look(self)

    monkeypatch.setattr(Reading, "look", counted)

    async def idle(client: Client) -> None:
        await asyncio.sleep(0.3)
        assert len(looks) == 1
        async with client.get("/api/events") as stream:
            await stream.content.readline()
            await asyncio.sleep(0.3)
        assert len(looks) > 2

    using([folder], idle)
