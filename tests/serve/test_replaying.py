"""A network is trained again in a process of its own, one at a time, and not for ever."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import Client, request, using

from mcrelu.errors import UserError
from mcrelu.runtime.replay import replay
from mcrelu.serve.errors import BusyError, TooLongError
from mcrelu.serve.replaying import MOST_WAITING, Replayer, Wanted, replay_json
from mcrelu.store.output import Output


def test_a_trajectory_is_what_moves(finished: Output) -> None:
    cell = finished.cells[0]
    found = replay_json(replay(finished, cell, 3))
    moving = found["trajectory"]
    frames = len(moving["steps"])
    assert moving["steps"] == sorted(set(moving["steps"]))
    assert np.shape(moving["values"]) == (frames, len(moving["x"]))
    assert np.shape(moving["kinks"]) == (frames, 4)
    assert moving["kinks"][0] == [0.0] * 4  # where kinks of sweeps start
    assert {name: len(loss) for name, loss in moving["losses"].items()} == {
        "training loss": frames,
        "validation loss": frames,
    }
    # The loss that is told is that of the function that is drawn.
    at = np.interp(moving["data"]["x"], moving["x"], moving["values"][0])
    loss = 0.5 * np.dot(moving["data"]["share"], (at - moving["data"]["y"]) ** 2)
    assert moving["losses"]["training loss"][0] == pytest.approx(loss, rel=0.02)
    assert set(found["drawings"]) == {"kinks", "function"}
    assert all("<svg" in svg for svg in found["drawings"].values())


@pytest.mark.slow
def test_a_network_is_shown(folder: Path, finished: Output) -> None:
    path = f"/api/outputs/small/cells/{finished.cells[0].id}/networks/3"

    async def twice(client: Client) -> None:
        found = (await request(client, f"{path}/replay")).value
        assert found["sections"][0]["title"] == "What happened"
        assert len(found["trajectory"]["steps"]) > 1
        started = time.monotonic()
        figure = await request(client, f"{path}/figures/kinks.svg")
        assert time.monotonic() - started < 1.0  # it is not trained again
        assert "sandbox" in figure.headers["Content-Security-Policy"]
        assert b"<svg" in figure.body
        assert (await request(client, f"{path}/figures/other.svg")).status == 404

    using([folder], twice)


@pytest.mark.slow
def test_what_takes_too_long_is_ended(folder: Path, finished: Output) -> None:
    async def one() -> None:
        before = _children()
        replayer = Replayer(limit=0.2)
        with pytest.raises(TooLongError, match="mcrelu replay"):
            await replayer.of(Wanted(str(folder), finished.cells[0].id, 3))
        assert _children() == before

    asyncio.run(one())


@pytest.mark.slow
def test_why_a_replay_fails_is_told(tmp_path: Path) -> None:
    async def one() -> None:
        with pytest.raises(UserError, match="no output of a sweep"):
            await Replayer().of(Wanted(str(tmp_path), "ffff", 0))

    asyncio.run(one())


def test_few_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[Wanted] = []
    most = 0

    async def slow(self: Any, wanted: Wanted) -> dict[str, Any]:
        nonlocal most
        running.append(wanted)
        most = max(most, len(running))
        await asyncio.sleep(0.05)
        running.remove(wanted)
        return {"network": wanted.network}

    monkeypatch.setattr(Replayer, "_replayed", slow)

    async def many() -> list[Any]:
        replayer = Replayer()
        asked = [replayer.of(Wanted("out", "cell", k)) for k in range(MOST_WAITING + 2)]
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(many())
    assert most == 1
    assert [one["network"] for one in found[:MOST_WAITING]] == list(range(MOST_WAITING))
    assert all(isinstance(one, BusyError) for one in found[MOST_WAITING:])


def _children() -> set[str]:
    """Processes that this one started and that are still there."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = path.read_text().rpartition(")")[2].split()[1]
        except OSError:  # it ended
            continue
        if int(parent) == os.getpid():
            found.add(path.parent.name)
    return found
