"""How far a run is: counted here, shown on a terminal, as plain lines, or not at all."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from mcrelu.runtime.forecast import Forecast
from mcrelu.runtime.prefix import Running
from mcrelu.sweep.cell import Block
from mcrelu.texts import printable

LINE_SECONDS = 30.0
BAR_SECONDS = 0.2  # between two updates


class Left(NamedTuple):
    """What is left to do."""

    blocks: int
    networks: int


NOTHING = Left(0, 0)


@dataclass
class Tally:
    """Blocks and networks of a run, those that earlier runs left included.

    Where a relative width is asked for the totals are projections, of which ``at_least`` says that
    they are bound to grow, and ``reached`` of the ``cells`` have it.
    """

    blocks: int = 0
    networks: int = 0
    blocks_done: int = 0
    networks_done: int = 0
    failed: int = 0
    cells: int = 0
    reached: int | None = None
    forecast: Forecast = field(default_factory=Forecast)
    running: Running | None = None  # the estimate that grew last
    _started: float = field(default_factory=time.monotonic)
    _fresh_networks: int = 0
    _projected: dict[str, tuple[Left, bool, bool]] = field(default_factory=dict)  # by cell
    _unknown: int = 0  # cells of which nothing can be projected yet

    @property
    def at_least(self) -> bool:
        """Whether the totals are bound to grow."""
        return self._unknown > 0

    def start(self, blocks_done: int, networks_done: int, blocks: int, networks: int) -> None:
        """Count a cell whose blocks are all wanted, and what of it is there."""
        self.blocks += blocks
        self.networks += networks
        self.blocks_done += blocks_done
        self.networks_done += networks_done

    def done(self, block: Block, seconds: float | None) -> None:
        """Count a block that is finished, of those wanted; ``seconds`` as for :meth:`spent`."""
        self.blocks_done += 1
        self.networks_done += block.networks
        self.spent(block, seconds)

    def spent(self, block: Block, seconds: float | None) -> None:
        """Count the work of a block, which took a worker so long; None if another run's."""
        if seconds is None:
            self.forecast.leave(block)
            return
        self._fresh_networks += block.networks
        self.forecast.finish(block, seconds)

    def failure(self, block: Block) -> None:
        """Count a block that failed."""
        self.failed += 1
        self.forecast.drop(block)

    def watch(self, running: Running) -> None:
        """Show an estimate as it grows, if it is one to be watched."""
        if running.sample.n and running.counted is not None:
            self.running = running

    def found(self, blocks: int, networks: int) -> None:
        """Count blocks that are there, where totals are projected."""
        self.blocks_done += blocks
        self.networks_done += networks
        self.blocks += blocks
        self.networks += networks

    def project(self, cell: str, left: Left, reached: bool, unknown: bool) -> None:
        """Correct the totals by what is left of a cell, given by its id."""
        before, was_reached, was_unknown = self._projected.get(cell, (NOTHING, False, False))
        self._projected[cell] = left, reached, unknown
        self.blocks += left.blocks - before.blocks
        self.networks += left.networks - before.networks
        self._unknown += unknown - was_unknown
        self.reached = (self.reached or 0) + reached - was_reached

    @property
    def seconds(self) -> float:
        """Time since the run started."""
        return time.monotonic() - self._started

    @property
    def rate(self) -> float:
        """Networks per second in this run."""
        return self._fresh_networks / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Forecast of the time that the rest will take, None where nothing is known yet."""
        return None if self.at_least else self.forecast.seconds_left

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f", {duration(self.seconds_left)} left"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self._counts()}, {self.rate:.0f} networks/s{left}{failed}"

    def lines(self) -> list[str]:
        """What there is to say: the counts, and the estimate that grew last."""
        return [str(self), *([] if self.running is None else [str(self.running)])]

    def _counts(self) -> str:
        if self.reached is None:
            return (
                f"{self.blocks_done}/{self.blocks} blocks, "
                f"{self.networks_done}/{self.networks} networks"
            )
        return (
            f"{self.reached}/{self.cells} cells narrow enough, "
            f"{self.so_far(self.blocks_done, self.blocks)} blocks, "
            f"{self.so_far(self.networks_done, self.networks)} networks"
        )

    def so_far(self, done: int, total: int) -> str:
        """``3 of 7``, with a word where the total is projected."""
        if self.reached is None:
            return f"{done} of {total}"
        if done == total:
            return f"{done}"
        return f"{done} of {'at least' if self.at_least else 'about'} {total}"


class Display(Protocol):
    """Shows a tally now and then."""

    def say(self, text: str) -> None:
        """Show a line once."""

    def update(self, tally: Tally) -> None:
        """Something may have changed."""

    def close(self, tally: Tally) -> None:
        """The run has ended."""


class Silent:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """Nothing to show."""

    def update(self, tally: Tally) -> None:
        """Nothing to show."""

    def close(self, tally: Tally) -> None:
        """Nothing to show."""


class Lines:
    """A plain line every LINE_SECONDS, for job logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = time.monotonic()

    def say(self, text: str) -> None:
        """Print it."""
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def update(self, tally: Tally) -> None:
        """Print if it is time."""
        if time.monotonic() >= self._next:
            self._print(tally)
            self._next = time.monotonic() + LINE_SECONDS

    def close(self, tally: Tally) -> None:
        """Print the last state."""
        self._print(tally)

    def _print(self, tally: Tally) -> None:
        self.say(f"{tally.forecast.fraction:.0%} of the work, {'; '.join(tally.lines())}")


class Bar:
    """A bar on a terminal, from the first tally on."""

    def __init__(self, console: Console) -> None:
        columns = (BarColumn(20), TaskProgressColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("starting", total=None)
        self._next = time.monotonic()

    def say(self, text: str) -> None:
        """Print it above the bar."""
        self._progress.console.print(printable(text), markup=False, highlight=False)

    def update(self, tally: Tally) -> None:
        """Move the bar if it is time."""
        if time.monotonic() >= self._next:
            self._move(tally)
            self._next = time.monotonic() + BAR_SECONDS

    def close(self, tally: Tally) -> None:
        """Leave the last state on the screen."""
        self._move(tally)
        self._progress.stop()

    def _move(self, tally: Tally) -> None:
        self._progress.start()
        self._progress.update(
            self._task,
            total=1.0,
            completed=tally.forecast.fraction,
            description=escape(printable("\n".join(tally.lines()))),
        )


def display_on(console: Console) -> Display:
    """A bar on a terminal, lines elsewhere."""
    return Bar(console) if console.is_terminal else Lines(console)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
