"""Timing of several contestants in turns, A B A B, and the table of their medians."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table


class Contestant(NamedTuple):
    """Something to time."""

    name: str
    run: Callable[[], object]
    units: float  # of work that a run does


class Ratio(NamedTuple):
    """How many times longer one takes than another, over the pairs of one round each."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.1f} ({self.low:.1f}..{self.high:.1f})"


TABLE_WIDTH = 120  # columns; tables are not cut to narrower terminals
Times = dict[str, list[float]]


def seconds_of(run: Callable[[], object]) -> float:
    """CPU seconds of this process: what others do on the machine does not count."""
    start = time.process_time_ns()
    run()
    return (time.process_time_ns() - start) / 1e9


def take_turns(contestants: Sequence[Contestant], rounds: int) -> Times:
    """Seconds per unit of every contestant in each round, after one round to warm up."""
    times: Times = {contestant.name: [] for contestant in contestants}
    for number in range(rounds + 1):
        for contestant in contestants:
            seconds = seconds_of(contestant.run)
            if number > 0:
                times[contestant.name].append(seconds / contestant.units)
    return times


def ratio(times: Times, slow: str, fast: str) -> Ratio:
    """Ratios of the rounds."""
    ratios = [u / v for u, v in zip(times[slow], times[fast], strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios))


def medians(times: Times, scale: float) -> dict[str, float]:
    """Median of each contestant, times ``scale``."""
    return {name: scale * median(values) for name, values in times.items()}


def arguments(description: str, rounds: int) -> argparse.ArgumentParser:
    """Options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=rounds, help="timed rounds per row")
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 256, 2048])
    return parser


Rows = Sequence[Mapping[str, Any]]


def show(tables: Mapping[str, Rows], as_json: bool) -> None:
    """Print titled tables, each of rows with equal keys, or one JSON object of them."""
    if as_json:
        print(json.dumps({title: [_plain(row) for row in rows] for title, rows in tables.items()}))
        return
    console = Console()
    console.width = max(console.width, TABLE_WIDTH)
    for title, rows in tables.items():
        console.print(_table(title, rows))


def _table(title: str, rows: Rows) -> Table:
    table = Table(title=title)
    for key in rows[0]:
        table.add_column(key, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v._asdict() if isinstance(v, Ratio) else v for k, v in row.items()}


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if value < 100 else f"{value:.0f}"
    return str(value)
