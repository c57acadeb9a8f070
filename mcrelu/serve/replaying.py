"""One network trained again, in a process of its own that can be ended.

``python -m mcrelu.serve.replaying`` reads which on stdin, as one JSON object, and answers likewise:
a URI may have credentials in it, which have no place in the list of processes.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from collections import OrderedDict
from typing import NamedTuple

from mcrelu.errors import UserError
from mcrelu.experiments.base import Drawing, Replay, Trajectory
from mcrelu.figures.captions import add_caption
from mcrelu.figures.style import look
from mcrelu.runtime.replay import replay
from mcrelu.serve.encoding import Json, drawn, encoded, sections_json
from mcrelu.serve.errors import BusyError, TooLongError
from mcrelu.store.choosing import chosen_cell
from mcrelu.store.files import Files
from mcrelu.store.output import Output

LIMIT = 180.0  # seconds that a replay may take, compilation included
MOST_WAITING = 4
MOST_KEPT = 16
_NICE = 10  # a sweep on this machine goes first


class Wanted(NamedTuple):
    """Which network."""

    where: str
    cell: str
    network: int


class Replayer:
    """Trains one network at a time, and keeps the last few."""

    def __init__(self, limit: float = LIMIT) -> None:
        self._limit = limit
        self._one = asyncio.Lock()
        self._waiting = 0
        self._kept: OrderedDict[Wanted, Json] = OrderedDict()

    async def of(self, wanted: Wanted) -> Json:
        """The replay of a network.

        Raises
        ------
        UserError
            If it cannot be replayed, takes too long, or too many wait already.
        """
        if wanted in self._kept:
            return self._kept[wanted]
        if self._waiting >= MOST_WAITING:
            raise BusyError("too many networks wait to be replayed; try again in a while")
        self._waiting += 1
        try:
            async with self._one:
                if wanted not in self._kept:
                    self._keep(wanted, await self._replayed(wanted))
                return self._kept[wanted]
        finally:
            self._waiting -= 1

    def _keep(self, wanted: Wanted, found: Json) -> None:
        self._kept[wanted] = found
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    async def _replayed(self, wanted: Wanted) -> Json:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mcrelu.serve.replaying",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        asked = json.dumps(wanted._asdict()).encode()
        try:
            answer, _ = await asyncio.wait_for(process.communicate(asked), self._limit)
        except TimeoutError:
            raise TooLongError(
                f"network {wanted.network}: not done within {self._limit:.0f} s; "
                "give mcrelu replay, which has no limit"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise UserError(f"network {wanted.network}: the replay failed; see the server's log")
        found: Json = json.loads(answer)
        if "error" in found:
            raise UserError(found["error"])
        return found


def replay_json(found: Replay) -> Json:
    """A replay as a page shows it."""
    moving = None if found.trajectory is None else _trajectory(found.trajectory)
    return {
        "sections": sections_json(found.sections),
        "drawings": {one.name: _svg(one) for one in found.drawings},
        "trajectory": moving,
    }


def _trajectory(one: Trajectory) -> Json:
    return {
        "steps": one.steps.tolist(),
        "kinks": drawn(one.kinks),
        "x": drawn(one.x),
        "values": drawn(one.values),
        "data": {"x": drawn(one.data.x), "y": drawn(one.data.y), "share": drawn(one.shares)},
        "losses": {name: drawn(loss) for name, loss in one.losses.items()},
    }


def _svg(drawing: Drawing) -> str:
    with look():
        area = add_caption(drawing.figure, drawing.caption)
        stream = io.StringIO()
        drawing.figure.savefig(stream, format="svg", metadata={"Date": None}, bbox_inches=area)
    return stream.getvalue()


def main() -> None:
    """Answer one question."""
    os.nice(_NICE)
    signal.alarm(int(LIMIT) + 1)  # should the server vanish
    wanted = Wanted(**json.load(sys.stdin))
    try:
        output = Output.open(Files.at(wanted.where))
        found = replay(output, chosen_cell(output, wanted.cell), wanted.network)
        answer = replay_json(found)
    except UserError as error:
        answer = {"error": str(error)}
    sys.stdout.buffer.write(encoded(answer))


if __name__ == "__main__":
    main()
