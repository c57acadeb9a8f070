"""Sections and other tables as people read them on a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mcrelu.experiments.base import Agreement, Section
from mcrelu.runtime.plan import START_SECONDS, Plan
from mcrelu.runtime.progress import duration
from mcrelu.stats.verdicts import comparison_section
from mcrelu.texts import printable

MANY_CORES = (1, 16, 1000)  # beside those of this machine, forecasts are for so many

_NUMBER = re.compile(r"[-+]?[0-9.]|infinite|$")  # what a cell of a column of numbers begins with


def section_table(section: Section) -> Group:
    """A section: its table, and its remarks below."""
    remarks = (_plain(f" {remark}") for remark in section.remarks)
    if not section.headings:
        return Group(_plain(section.title), *remarks)
    return Group(_table(section.title, section.headings, section.rows), *remarks)


def comparison_table(comparison: pa.Table, other: str, unfinished: str | None = None) -> Group:
    """Points compared, with the verdict of each; what all points share stands below."""
    return section_table(comparison_section(comparison, other, unfinished))


def agreement_table(agreements: Iterable[Agreement]) -> Table:
    """Golden files and how far we agree with them."""
    headings = ["file", "networks", "agreement", "verdict"]
    rows = [
        (
            one.file.rsplit("/", 1)[-1],
            str(one.networks),
            one.measures,
            "agrees" if one.agrees else "DIFFERS",
        )
        for one in agreements
    ]
    return _table("Agreement with the original program", headings, rows)


def status_table(status: dict[str, Any]) -> Table:
    """How far a run is, and what its last session said."""
    last = status["last_run"] or {"state": "none", "updated": "", "seconds": 0.0}
    reached, left = status["cells_reached"], status["blocks"] - status["blocks_done"]
    about = "about " if reached is not None and left else ""
    rows = [
        *([] if reached is None else [("cells narrow enough", f"{reached} of {status['cells']}")]),
        ("blocks", f"{status['blocks_done']} of {about}{status['blocks']}"),
        ("networks", f"{status['networks_done']} of {about}{status['networks']}"),
        *([("begun blocks", _begun(status))] if status["blocks_begun"] else []),
        ("failed blocks", str(status["failed_blocks"])),
        *([("damaged files", _damaged(status))] if status["refused"] else []),
        ("last run", f"{last['state']}, {duration(last['seconds'])}, {last['updated']}"),
    ]
    return facts_table(status["out"], rows)


def plan_table(plan: Plan, cores: int, adaptive: bool) -> Table:
    """What each kind of cells will take, and what all of them will on few and on many cores."""
    up_to = "up to " if adaptive else ""
    rows = [
        (
            kind[0].cell.label + (f" and {len(kind) - 1} like it" if len(kind) > 1 else ""),
            kind[0].cell.engine,
            f"{up_to}{sum(one.networks for one in kind)}",
            f"{up_to}{sum(one.blocks for one in kind)}",
            f"{up_to}{duration(sum(one.core_seconds for one in kind))}",
        )
        for kind in plan.by_kind()
    ]
    table = _table("Forecast", ("cell", "engine", "networks", "blocks", "core time"), rows)
    later = round(plan.later_share * len(plan.cells))
    more = f" with some {later} cells that results will ask for" if later else ""
    walls = ", ".join(f"{duration(plan.wall_seconds(number))} on {number}" for number in MANY_CORES)
    table.caption = (
        f" {up_to.capitalize() or 'About '}{duration(plan.wall_seconds(cores))} on the {cores} "
        f"cores of this machine{more}; {walls}"
        + ("; a cell ends as soon as its interval is narrow enough." if adaptive else ".")
        + f" Of each {duration(START_SECONDS)} are start-up and results. First networks of each "
        "kind were measured, one after the other: workers that share caches and memory, other "
        "programs, and training that is costlier later may double it."
    )
    return table


def facts_table(title: str, rows: Sequence[tuple[str, str]]) -> Table:
    """Names and values."""
    table = Table(title=_plain(title), title_justify="left", show_header=False, box=None)
    for name, value in rows:
        table.add_row(_plain(name), _plain(value))
    return table


def show(console: Console, *tables: Table | Group) -> None:
    """Print tables with an empty line between them."""
    for table in tables:
        console.print(table)
        console.print()


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table; columns of numbers are flush right, columns of words flush left."""
    table = Table(title=_plain(title), title_justify="left", caption_justify="left", box=None)
    for k, heading in enumerate(headings):
        numbers = all(_NUMBER.match(row[k]) for row in rows)
        table.add_column(_plain(heading), justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*map(_plain, row))
    return table


def _plain(text: str) -> Text:
    """A text that rich takes as it is: neither its markup nor control characters do anything."""
    return Text(printable(text))


def _damaged(status: dict[str, Any]) -> str:
    """How many, and what to do about them."""
    count, out = len(status["refused"]), status["out"]
    return f"{count} (mcrelu check {out} names them; the run's command replaces them)"


def _begun(status: dict[str, Any]) -> str:
    """How far the blocks are that have a checkpoint but no rows yet."""
    first, last = status["epochs_of_begun"]
    span = f"{last}" if first == last else f"{first} to {last}"
    return f"{status['blocks_begun']}, at epoch {span}"
