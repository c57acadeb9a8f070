"""What is said of outputs that are not finished."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from small_sweeps import output, publish_made_up, run_serially, sweep

from mcrelu.experiments.base import CELLS
from mcrelu.store.completeness import notices, unfinished
from mcrelu.store.contents import Contents
from mcrelu.store.output import Output
from mcrelu.store.reduce import reduce

TWO_WIDTHS = {"cells": {"width": [4, 8]}}


def begun(folder: Path, blocks: int) -> Output:
    """An output with the first of six blocks, three per cell."""
    wanted = sweep(**TWO_WIDTHS)
    found = output(folder, wanted)
    found.take()
    for block in list(wanted.all_blocks())[:blocks]:
        publish_made_up(found, block)
    return found


def said_of(*outputs: Output) -> str | None:
    return unfinished((one.contents, reduce(one).tables[CELLS]) for one in outputs)


def test_a_finished_output_needs_no_word(tmp_path: Path) -> None:
    done = run_serially(tmp_path, sweep())
    assert said_of(done) is None
    assert notices(done, reduce(done).tables) == []


def test_blocks_are_counted_the_short_last_ones_too(tmp_path: Path) -> None:
    assert said_of(begun(tmp_path / "none", 0)) == "unfinished: 0 of 6 blocks"
    assert said_of(begun(tmp_path / "last", 3)) == "unfinished: 3 of 6 blocks"
    assert said_of(begun(tmp_path / "more", 5)) == "unfinished: 5 of 6 blocks"


def test_blocks_behind_a_gap_do_not_count(tmp_path: Path) -> None:
    found = begun(tmp_path, 3)
    next(iter((tmp_path / "shards").rglob("000001.parquet"))).unlink()
    assert said_of(found) == "unfinished: 1 of 6 blocks"


def test_several_outputs_are_told_of_as_one(tmp_path: Path) -> None:
    done = run_serially(tmp_path / "done", sweep(cells={"width": [16]}))
    assert said_of(begun(tmp_path / "half", 4), done) == "unfinished: 7 of 9 blocks"


def test_cells_that_came_after_the_tables_are_missing(tmp_path: Path) -> None:
    """As where a run with more widths was interrupted, and nothing was reduced since."""
    done = run_serially(tmp_path, sweep())
    table = reduce(done).tables[CELLS]
    more = Contents.of(sweep(**TWO_WIDTHS))
    assert unfinished([(more, table)]) == "unfinished: 3 of 6 blocks"


def test_with_a_relative_width_cells_are_counted() -> None:
    narrow = ["crossing", "sufficient", {"relative_width": 0.5}]
    contents = Contents.of(sweep(stop=narrow, **TWO_WIDTHS))
    first, second = (cell.id for cell in contents.cells)

    def table(*widths: float | None) -> pa.Table:
        return pa.table(
            {"cell": [first, second], "networks": [10, 0], "relative_width": pa.array(widths)}
        )

    assert unfinished([(contents, table(0.4, None))]) == "unfinished: 1 of 2 cells narrow enough"
    assert unfinished([(contents, table(0.4, 0.5))]) is None


def test_a_notice_says_how_to_go_on(tmp_path: Path) -> None:
    found = begun(tmp_path, 1)
    (notice,) = notices(found, reduce(found).tables)
    assert notice.title == "Unfinished: 1 of 6 blocks"
    assert f"mcrelu run {tmp_path}/spec.yaml --out {tmp_path} goes on" in notice.remarks[0]
