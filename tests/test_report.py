"""The report: what it says, and that it fits on any screen."""

from __future__ import annotations

import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from small_sweeps import output, publish_made_up, run_serially, sweep

from mcrelu.figures.plot import draw
from mcrelu.report import MOST_ROWS, publish_report
from mcrelu.store.compact import compact
from mcrelu.store.output import STATUS, Output
from mcrelu.store.reduce import reduce
from mcrelu.store.timings import TIMINGS


def report_of(done: Output) -> str:
    reduce(done)
    draw(done)
    return Path(publish_report(done)).read_text()


def times_of(done: Output) -> list[dict[str, Any]]:
    reduce(done)
    return done.read_table(TIMINGS).to_pylist()


def drawings(page: str) -> list[str]:
    """The figures of a page, as SVG."""
    found = re.findall(r'<img src="data:image/svg\+xml;base64,([^"]*)"', page)
    return [b64decode(content).decode() for content in found]


def part(page: str, title: str) -> str:
    """What stands below a heading, without tags; cells are separated by bars."""
    inside = page.partition(f"<h2>{title}")[2].partition("<h2>")[0]
    return re.sub("<[^>]*>", "", re.sub("</t[dh]>", "|", inside))


def test_it_says_when_with_what_and_how_to_repeat_it(tmp_path: Path) -> None:
    done = run_serially(tmp_path / "mine", sweep(cells={"width": [16]}))
    status = done.read_json(STATUS)
    assert status is not None
    done.publish_json(STATUS, status | {"started": "2026-01-02T03:04:05+00:00"})
    said = part(report_of(done), "This output")
    assert "2026-01-02 03:04 UTC to 20" in said
    assert "UTC; done|" in said
    assert "/mine/spec.yaml --out results/again|" in said
    assert f"numpy {status['versions']['numpy']}" in said
    assert "networks|25|" in said
    assert "of one core|" in said
    assert "unfinished" not in said


def test_without_a_status_it_says_what_it_knows(tmp_path: Path) -> None:
    done = run_serially(tmp_path, sweep())
    done.files.delete(STATUS)
    said = part(report_of(done), "This output")
    assert "last run" not in said
    assert "made with|mcrelu" in said


def test_it_is_compared_with_the_paper_where_that_has_something(tmp_path: Path) -> None:
    done = run_serially(tmp_path / "in", sweep(cells={"width": [16, 24]}))
    said = part(report_of(done), "Comparison with paper")
    assert re.search(r"16\|0\.\d{4}\|25\|0\.3611\|10000\|", said)
    assert "1 of 1 points agree" in said
    other = run_serially(tmp_path / "out", sweep(cells={"width": [5]}))
    assert "Comparison" not in report_of(other)


def test_it_says_how_training_ended_and_how_long_each_cell_took(tmp_path: Path) -> None:
    page = report_of(run_serially(tmp_path, sweep(cells={"width": [4, 8]})))
    assert "GD|8|25|" in part(page, "How training ended")
    rows = part(page, "Compute time").split("gd n=")[1:]
    assert [row.split("|")[1:3] for row in rows] == [["3", "25"], ["3", "25"]]
    assert all(" s|" in row for row in rows)


def test_an_unfinished_output_says_so_first_and_on_its_figures(tmp_path: Path) -> None:
    half = output(tmp_path, sweep())
    half.take()
    publish_made_up(half, next(half.sweep.all_blocks()))
    page = report_of(half)
    assert page.index("Unfinished: 1 of 3 blocks") < page.index("<figure")
    assert "unfinished: 1 of 3 blocks" in drawings(page)[0]


def test_it_fits_on_any_screen(tmp_path: Path) -> None:
    """Whatever may be wider than the screen is in a box that scrolls."""
    page = report_of(run_serially(tmp_path, sweep(cells={"width": [4, 8]})))
    assert '<meta name="viewport" content="width=device-width' in page
    assert re.search(r"\.wide \{[^}]*overflow-x: auto", page)
    assert page.count("<table>") == page.count('<div class="wide"><table>') > 2
    assert len(drawings(page)) == page.count('<figure class="wide">') > 0


def test_long_tables_are_folded(tmp_path: Path) -> None:
    widths = list(range(4, 4 + MOST_ROWS + 1))
    done = run_serially(tmp_path, sweep(cells={"width": widths}, networks=1, block_size=1))
    assert f"<summary>{len(widths)} rows</summary>" in report_of(done)


def test_times_are_of_the_blocks_that_count(tmp_path: Path) -> None:
    done = run_serially(tmp_path, sweep())
    whole = times_of(done)[0]
    assert (whole["blocks"], whole["networks"]) == (3, 25)
    assert whole["seconds"] > 0.0
    next(iter(tmp_path.rglob("000001.parquet"))).unlink()
    first = times_of(done)[0]
    assert (first["blocks"], first["networks"]) == (1, 10)
    assert 0.0 < first["seconds"] < whole["seconds"]


def test_times_survive_compacting(tmp_path: Path) -> None:
    done = run_serially(tmp_path, sweep())
    before = [row["seconds"] for row in times_of(done)]
    assert compact(done).blocks == 3
    assert [row["seconds"] for row in times_of(done)] == pytest.approx(before)


def test_blocks_that_do_not_say_have_no_time(tmp_path: Path) -> None:
    untold = output(tmp_path, sweep())
    untold.take()
    for block in untold.sweep.all_blocks():
        publish_made_up(untold, block)
    page = report_of(untold)
    assert untold.read_table(TIMINGS)["seconds"].to_pylist() == [None]
    assert "compute time" not in part(page, "This output")
