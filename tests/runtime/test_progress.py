"""What a run shows: the share of its work, and estimates as they grow."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from scripted import done
from setup_sweeps import setup_sweep
from small_sweeps import inventory_of, output, run_serially, sweep
from star_sweeps import star_sweep

from mcrelu.runtime import progress
from mcrelu.runtime.progress import Bar, Lines, Silent, Tally
from mcrelu.runtime.serial import SerialExecutor
from mcrelu.runtime.sweeping import do_sweep
from mcrelu.runtime.work import AdaptiveWork, FixedWork, Work
from mcrelu.stats.intervals import clopper_pearson, wilson
from mcrelu.stats.sequential import confidence_sequence
from mcrelu.sweep.sweep import Sweep


def fixed(**changes: Any) -> FixedWork:
    wanted = sweep(**({"networks": 200, "block_size": 50} | changes))
    return FixedWork(wanted, inventory_of(wanted))


def take(work: Work, *counts: int, out_of_order: bool = False) -> None:
    blocks = [work.next() for _ in counts]
    pairs = list(zip(blocks, counts, strict=True))
    for block, k in reversed(pairs) if out_of_order else pairs:
        assert block is not None
        work.take(done(block, k))


def text(interval: Any, p: float) -> str:
    low, high = interval
    return f"{p:.3g} ({float(low):.3g} .. {float(high):.3g}) may have crossed"


def test_an_estimate_grows_with_its_blocks() -> None:
    work = fixed()
    assert work.tally.running is None
    take(work, 2)
    assert str(work.tally.running) == f"gd n=4 offset=0 he: {text(clopper_pearson(2, 50), 0.04)}"
    take(work, 18)
    assert text(wilson(20, 100), 0.2) in str(work.tally.running)


def test_blocks_behind_a_gap_do_not_count() -> None:
    """Those in which networks cross early finish first."""
    work = fixed()
    blocks = [work.next() for _ in range(3)]
    assert blocks[0]
    assert blocks[2]
    work.take(done(blocks[2], 50))
    assert work.tally.running is None
    work.take(done(blocks[0], 0))
    assert text(clopper_pearson(0, 50), 0.0) in str(work.tally.running)


def test_blocks_of_earlier_runs_count() -> None:
    wanted = sweep(networks=200, block_size=50)
    (cell,) = wanted.cells
    work = FixedWork(wanted, inventory_of(wanted, {wanted.block(cell, 0): 30}))
    take(work, 10)
    assert text(wilson(40, 100), 0.4) in str(work.tally.running)


def test_where_samples_end_by_what_is_seen_the_interval_holds_at_all_times() -> None:
    wanted = sweep(networks=1000, block_size=50, stop={"relative_width": 0.1})
    work = AdaptiveWork(wanted, inventory_of(wanted))
    take(work, 20)
    assert text(confidence_sequence(20, 50), 0.4) in str(work.tally.running)


def test_counts_that_are_no_result_are_not_shown() -> None:
    wanted: Sweep = setup_sweep()
    work = FixedWork(wanted, inventory_of(wanted))
    take(work, 1)
    assert work.tally.running is None


def shown(display: type[Bar] | type[Lines], work: Work, *, terminal: bool) -> str:
    file = StringIO()
    showing = display(Console(file=file, width=120, force_terminal=terminal))
    showing.update(work.tally)
    showing.close(work.tally)
    return file.getvalue()


def test_a_line_has_the_share_of_work_and_the_estimate() -> None:
    work = fixed()
    take(work, 20)
    first, *_ = shown(Lines, work, terminal=False).splitlines()
    assert first.startswith("25% of the work, 1/4 blocks, 50/200 networks, ")
    assert first.endswith(f"; gd n=4 offset=0 he: {text(wilson(20, 50), 0.4)}")


def test_a_bar_has_the_estimate_below() -> None:
    work = fixed()
    take(work, 20)
    lines = shown(Bar, work, terminal=True).splitlines()
    counts = next(k for k, line in enumerate(lines) if "1/4 blocks" in line)
    assert "gd n=4 offset=0 he: " in lines[counts + 1]


def test_a_bar_does_not_move_at_every_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each move makes its text anew: too dear for thousands of blocks a second."""
    moves: list[Tally] = []
    monkeypatch.setattr(progress.Bar, "_move", lambda _, tally: moves.append(tally))
    bar = Bar(Console(file=StringIO(), force_terminal=True))
    for _ in range(100):
        bar.update(Tally())
    assert len(moves) == 1
    bar.close(Tally())
    assert len(moves) == 2


def test_a_run_shows_it(tmp_path: Path) -> None:
    file = StringIO()
    display = Lines(Console(file=file, width=200))
    do_sweep(output(tmp_path, sweep()), SerialExecutor, display)
    assert "100% of the work, 3/3 blocks" in file.getvalue()
    assert "may have crossed" in file.getvalue()


def test_a_run_that_goes_on_begins_with_what_its_checkpoints_hold(tmp_path: Path) -> None:
    """It showed 0 % at epoch 370 000."""
    cells = {"width": [3], "data": ["star-3"]}
    run_serially(tmp_path, star_sweep(epochs=20_000, cells=cells, block_size=1))
    shares: list[float] = []

    class Watching(Silent):
        def update(self, tally: Tally) -> None:
            shares.append(tally.forecast.fraction)

    longer = star_sweep(epochs=40_000, cells=cells, block_size=1)
    do_sweep(output(tmp_path, longer), SerialExecutor, Watching())
    assert shares[0] == pytest.approx(0.5 + 0.5 / 5)  # one of five blocks is done
    assert shares[-1] == 1.0
