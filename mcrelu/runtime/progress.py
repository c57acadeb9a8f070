"""How far a run is: counted here, shown on a terminal, as plain lines, or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from mcrelu.sweep.cell import Block, Cell

LINE_SECONDS = 30.0


class Left(NamedTuple):
    """What is left to do."""

    blocks: int
    networks: int
    work: float


@dataclass
class Tally:
    """Blocks and networks of a run, those that earlier runs left included.

    Where a precision is asked for the totals are projections, of which ``at_least`` says that
    they are bound to grow, and ``precise`` of the ``cells`` have it.
    """

    blocks: int
    networks: int
    blocks_done: int = 0
    networks_done: int = 0
    failed: int = 0
    cells: int = 0
    precise: int | None = None
    at_least: bool = False
    _started: float = field(default_factory=time.monotonic)
    _fresh_networks: int = 0
    _fresh_work: float = 0.0
    _work_left: float = 0.0

    @classmethod
    def of(cls, everything: Iterable[Block], missing: Iterable[Block]) -> Tally:
        """The tally at the start of a run that has to do the ``missing`` blocks."""
        blocks, networks = _count(everything)
        blocks_missing, networks_missing = _count(missing)
        tally = cls(blocks, networks, blocks - blocks_missing, networks - networks_missing)
        tally._work_left = sum(work(block.networks, block.cell) for block in missing)
        return tally

    def done(self, block: Block) -> None:
        """Count a block that is finished."""
        self.blocks_done += 1
        self.networks_done += block.networks
        self._fresh_networks += block.networks
        done = work(block.networks, block.cell)
        self._fresh_work += done
        self._work_left -= done

    def expect(self, left: Iterable[Left]) -> None:
        """Correct the totals by what is left, cell by cell."""
        blocks, networks, work_left = (sum(column) for column in zip(*left, strict=True))
        self.blocks = self.blocks_done + int(blocks)
        self.networks = self.networks_done + int(networks)
        self._work_left = work_left

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
        """Rough forecast from the rough costs that cells state."""
        if self._fresh_work == 0 or self.at_least:
            return None
        return self.seconds * self._work_left / self._fresh_work

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f", {duration(self.seconds_left)} left"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self._counts()}, {self.rate:.0f} networks/s{left}{failed}"

    def _counts(self) -> str:
        if self.precise is None:
            return (
                f"{self.blocks_done}/{self.blocks} blocks, "
                f"{self.networks_done}/{self.networks} networks"
            )
        return (
            f"{self.precise}/{self.cells} cells precise, "
            f"{self.so_far(self.blocks_done, self.blocks)} blocks, "
            f"{self.so_far(self.networks_done, self.networks)} networks"
        )

    def so_far(self, done: int, total: int) -> str:
        """``3 of 7``, with a word where the total is projected."""
        if self.precise is None:
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
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, tally: Tally) -> None:
        """Print if it is time."""
        if time.monotonic() >= self._next:
            self._print(tally)
            self._next = time.monotonic() + LINE_SECONDS

    def close(self, tally: Tally) -> None:
        """Print the last state."""
        self._print(tally)

    def _print(self, tally: Tally) -> None:
        self.say(str(tally))


class Bar:
    """A bar on a terminal, from the first tally on."""

    def __init__(self, console: Console) -> None:
        columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("starting", total=None)

    def say(self, text: str) -> None:
        """Print it above the bar."""
        self._progress.console.print(text, markup=False, highlight=False)

    def update(self, tally: Tally) -> None:
        """Move the bar."""
        self._progress.start()
        self._progress.update(
            self._task,
            total=tally.networks,
            completed=tally.networks_done,
            description=str(tally),
        )

    def close(self, tally: Tally) -> None:
        """Leave the last state on the screen."""
        self.update(tally)
        self._progress.stop()


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


def _count(blocks: Iterable[Block]) -> tuple[int, int]:
    sizes = [block.networks for block in blocks]
    return len(sizes), sum(sizes)


def work(networks: int, cell: Cell) -> float:
    """Rough cost of networks, in units of no meaning."""
    return networks * cell.cost
