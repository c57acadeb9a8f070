"""Whose an output is: what may be added to it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from s3_server import BUCKET, FaultyApp
from small_sweeps import assert_same_rows, output, publish_made_up, run_serially, sweep

import mcrelu
from mcrelu.errors import ExitCode, ForeignOutputError, ResourceError, UserError
from mcrelu.rng import stream_version
from mcrelu.store.contents import CELLS_FILE, Contents
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.ownership import SPEC, conflicts
from mcrelu.store.reduce import cell_table
from mcrelu.store.shards import shard_name
from mcrelu.sweep.cell import Block, digest

OLD: dict[str, Any] = {
    "networks": 100,
    "cells": {"width": [4, 8]},
    "stop": ["crossing", "early_stopping"],
    "checks": {"interval": 10, "maximum": 10},
}


def taken(folder: Path, **changes: Any) -> Output:
    """An output that belongs to the old sweep."""
    old = output(folder, sweep(**(OLD | changes)))
    old.take()
    return old


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(folder: Path, **changes: Any) -> str:
    """What a user is told who points a changed sweep at an output; nothing may be written."""
    before = contents(folder)
    with pytest.raises(ForeignOutputError) as caught:
        output(folder, sweep(**(OLD | changes)))
    assert contents(folder) == before
    assert caught.value.exit_code == ExitCode.FOREIGN_OUTPUT
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert str(folder) in message
    return message


def test_claiming_a_new_output_writes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    claimed = output(folder, sweep(**OLD))
    assert len(claimed.missing()) == 20
    assert not folder.exists()


PERMITTED: dict[str, dict[str, Any]] = {
    "identical": {},
    "more networks": {"networks": 250},
    "more widths": {"cells": {"width": [4, 8, 16]}},
    "more cells of every kind": {
        "cells": {"width": [16, 8, 4], "offset": [0, 0.1], "optimizer": ["adam", "gd"]},
        "networks": 101,
    },
    "defaults written out": {
        "stop": ["early_stopping", "crossing"],
        "step_size": "inv_lambda_max",
        "rng": "philox4x32",
        "engine": "auto",
        "device": "auto",
    },
    "a precision": {"stop": ["crossing", "early_stopping", {"relative_width": 0.1}]},
    "the engine that auto stands for": {"engine": "grouped"},
}


@pytest.mark.parametrize("changes", PERMITTED.values(), ids=PERMITTED.keys())
def test_what_only_adds_is_permitted(changes: dict[str, Any], tmp_path: Path) -> None:
    taken(tmp_path)
    before = contents(tmp_path)
    output(tmp_path, sweep(**(OLD | changes)))
    assert contents(tmp_path) == before


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "seed": ({"seed": 7}, ["seed: 20200212 there, 7 here"]),
    "step size": (
        {"step_size": {"over_width": 0.5}},
        ["step_size", '"inv_lambda_max" there', '{"over_width": 0.5} here'],
    ),
    "criterion": (
        {"stop": ["crossing", "sufficient"]},
        ["stop", "early_stopping", "there", "sufficient", "here"],
    ),
    "option of a criterion": (
        {"stop": ["crossing", {"early_stopping": {"patience": 11}}]},
        ["stop", '"patience": 10', "there", '"patience": 11', "here"],
    ),
    "fewer criteria": ({"stop": ["crossing"]}, ["stop", "early_stopping", "there", "here"]),
    "checks": (
        {"checks": {"interval": 10, "maximum": 20}},
        ["checks: [10, 10] there, [10, 20] here"],
    ),
    "block size": ({"block_size": 20}, ["block_size: 10 there, 20 here"]),
    "default block size": ({"block_size": None}, ["block_size: 10 there, 1000 here"]),
    "criterion beside a precision": (
        {"stop": {"relative_width": 0.1}},
        ["stop", "early_stopping", "there", "sufficient", "here"],
    ),
    "fewer networks": ({"networks": 99}, ["networks: 100 there, 99 here"]),
    "fewer cells": ({"cells": {"width": [4]}}, ["cells", "n=8", "there, not here"]),
    "other cells": (
        {"cells": {"width": [4, 8], "optimizer": ["sgd"]}},
        ["gd n=4", "gd n=8", "there, not here"],
    ),
    "another offset": (
        {"cells": {"width": [4, 8], "offset": [0.1]}},
        ["n=4 offset=0", "n=8 offset=0", "there, not here"],
    ),
    "several things": (
        {"seed": 7, "networks": 1},
        ["seed: 20200212 there, 7 here", "networks: 100 there, 1 here"],
    ),
}


@pytest.mark.parametrize(("changes", "fragments"), REFUSED.values(), ids=REFUSED.keys())
def test_what_changes_is_refused(
    changes: dict[str, Any], fragments: list[str], tmp_path: Path
) -> None:
    taken(tmp_path)
    message = refusal(tmp_path, **changes)
    missing = [fragment for fragment in fragments if fragment not in message]
    assert not missing, message


def test_another_rng_is_refused(tmp_path: Path) -> None:
    legacy = {"rng": "legacy", "block_size": None, "networks": 32, "cells": {"width": [2048]}}
    taken(tmp_path, **legacy)
    message = refusal(tmp_path, **(legacy | {"rng": "philox", "block_size": 32}))
    assert 'rng: "legacy" there, "philox" here' in message


def test_a_refusal_names_only_what_differs(tmp_path: Path) -> None:
    taken(tmp_path)
    message = refusal(tmp_path, seed=7)
    for same in ("block_size", "rng", "step_size", "stop:", "networks:", "cells:"):
        assert same not in message


@pytest.mark.parametrize(
    "content",
    [b"seed: 7\n", b"[not yaml", b"\xff\xfe\x00binary", b"version: 99\n"],
    ids=["torn", "no yaml", "binary", "of a later version"],
)
def test_an_unreadable_spec_is_refused(content: bytes, tmp_path: Path) -> None:
    """Whatever it is, it is not ours to overwrite."""
    (tmp_path / SPEC).write_bytes(content)
    assert "choose another --out" in refusal(tmp_path)


def test_an_empty_spec_is_what_a_power_loss_leaves(tmp_path: Path) -> None:
    (tmp_path / SPEC).write_bytes(b"")
    taken(tmp_path)
    assert Output.open(Files.at(tmp_path)).sweep.to_yaml() == sweep(**OLD).to_yaml()


def test_a_file_where_the_output_should_be_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("not a folder")
    with pytest.raises(UserError) as caught:
        output(path, sweep(**OLD))
    assert len(str(caught.value).splitlines()) == 1


def test_conflicts_are_judged_by_what_is_computed() -> None:
    old = Contents.of(sweep(**OLD))
    assert conflicts(old, old) == []
    wider = Contents.of(sweep(**(OLD | {"cells": {"width": [4, 8, 16]}})))
    assert conflicts(old, wider) == []
    assert conflicts(wider, old) != []


# --- what an output says of itself ----------------------------------------------------------


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change cells.json as another program would have written it."""
    value = json.loads((folder / CELLS_FILE).read_text())
    change(value)
    (folder / CELLS_FILE).write_text(json.dumps(value))


def older_engine(value: dict[str, Any]) -> None:
    """Cells of the engine's version before, whose ids were others."""
    for cell in value["cells"]:
        cell["parameters"]["semantics"] -= 1
        cell["id"] = digest(cell["parameters"])


def older_rows(value: dict[str, Any]) -> None:
    value["schema_version"] -= 1


def older_numpy(value: dict[str, Any]) -> None:
    value["streams"] = "1"


OTHER_PROGRAMS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "engine": (older_engine, "engine grouped has version 2 there, 3 here"),
    "rows": (older_rows, "rows have version 2 there, 3 here"),
    "numpy": (older_numpy, f"numpy's random streams are 1 there, {stream_version()} here"),
}


@pytest.mark.parametrize(("change", "told"), OTHER_PROGRAMS.values(), ids=OTHER_PROGRAMS.keys())
def test_a_program_that_would_give_other_rows_is_refused(
    change: Callable[[dict[str, Any]], None], told: str, tmp_path: Path
) -> None:
    taken(tmp_path)
    rewrite(tmp_path, change)
    message = refusal(tmp_path)
    assert told in message
    assert "versions that began it" in message
    assert "choose another --out" in message
    assert "another spec" not in message
    assert Output.open(Files.at(tmp_path)).cells  # but can be read


def test_rows_of_an_older_engine_are_read_as_they_were(tmp_path: Path) -> None:
    today = sweep(**(OLD | {"cells": {"width": [4]}}))
    old_sweep = replace(today, cells=(replace(today.cells[0], semantics=1),))
    before = output(tmp_path, old_sweep)
    before.take()
    publish_blocks(before, list(old_sweep.all_blocks()))
    opened = Output.open(Files.at(tmp_path))
    assert opened.sweep.cells[0].id != opened.cells[0].id
    assert opened.networks(opened.cells[0]).num_rows == 100
    assert cell_table(opened)["networks"].to_pylist() == [100]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[1]", b"{}", b'{"format": 2}'], ids=repr
)
def test_contents_that_cannot_be_read_are_refused(content: bytes, tmp_path: Path) -> None:
    taken(tmp_path)
    (tmp_path / CELLS_FILE).write_bytes(content)
    assert CELLS_FILE in refusal(tmp_path)
    with pytest.raises(ForeignOutputError, match=CELLS_FILE):
        Output.open(Files.at(tmp_path))


def test_an_experiment_of_another_program_is_named(tmp_path: Path) -> None:
    taken(tmp_path)
    rewrite(tmp_path, lambda value: value.update(experiment="circle", program="9.0"))
    message = refusal(tmp_path)
    assert "'circle'" in message
    assert "9.0" in message


def test_shards_without_contents_are_of_an_old_version(tmp_path: Path) -> None:
    old = taken(tmp_path)
    publish_blocks(old, old.missing()[:1])
    (tmp_path / CELLS_FILE).unlink()
    assert "versions before 0.2" in refusal(tmp_path)


def test_a_run_that_ended_before_it_wrote_its_contents_goes_on(tmp_path: Path) -> None:
    old = taken(tmp_path)
    (tmp_path / CELLS_FILE).unlink()
    assert "seed: 20200212 there, 7 here" in refusal(tmp_path, seed=7)
    output(tmp_path, old.sweep).take()
    assert Output.open(Files.at(tmp_path)).contents == Contents.of(old.sweep)


def test_two_sweeps_cannot_take_the_same_place(tmp_path: Path) -> None:
    """Both claimed it while it was empty; the slower one is refused and writes nothing."""
    slower = output(tmp_path, sweep(**(OLD | {"seed": 7})))
    taken(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ForeignOutputError, match="seed: 20200212 there, 7 here"):
        slower.take()
    assert contents(tmp_path) == before


# --- opening --------------------------------------------------------------------------------


def test_an_output_can_be_opened_with_its_sweep(tmp_path: Path) -> None:
    taken(tmp_path)
    opened = Output.open(Files.at(tmp_path))
    assert opened.sweep.cells == sweep(**OLD).cells
    assert opened.sweep.spec.networks == 100


def test_opening_nothing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no output of a sweep") as caught:
        Output.open(Files.at(tmp_path / "nowhere"))
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "nowhere").exists()


def test_taking_replaces_the_spec(tmp_path: Path) -> None:
    taken(tmp_path)
    output(tmp_path, sweep(**(OLD | {"networks": 300}))).take()
    assert Output.open(Files.at(tmp_path)).sweep.spec.networks == 300


def publish_blocks(done: Output, blocks: list[Block]) -> None:
    for block in blocks:
        publish_made_up(done, block)


def test_missing_is_expected_minus_present(tmp_path: Path) -> None:
    half = taken(tmp_path)
    blocks = list(half.sweep.all_blocks())
    publish_blocks(half, blocks[::2])
    assert half.missing() == blocks[1::2]


def test_a_short_last_block_is_redone_when_networks_are_added(tmp_path: Path) -> None:
    short = taken(tmp_path, networks=25, cells={"width": [4]})
    publish_blocks(short, list(short.sweep.all_blocks()))
    assert short.missing() == []
    longer = output(tmp_path, sweep(**(OLD | {"networks": 47, "cells": {"width": [4]}})))
    assert [(block.index, block.networks) for block in longer.missing()] == [
        (2, 10),
        (3, 10),
        (4, 7),
    ]


def test_more_widths_leave_what_is_there(tmp_path: Path) -> None:
    old = taken(tmp_path)
    publish_blocks(old, list(old.sweep.all_blocks()))
    wider = output(tmp_path, sweep(**(OLD | {"cells": {"width": [16, 8, 4]}})))
    assert {block.cell.width for block in wider.missing()} == {16}


def test_tables_are_written_as_parquet_and_csv(tmp_path: Path) -> None:
    done = taken(tmp_path)
    table = pa.table({"width": [4, 8], "estimate": [0.5, None]})
    done.publish_table("cells", table)
    assert done.read_table("cells").equals(table)
    assert (tmp_path / "tables/cells.csv").read_text() == '"width","estimate"\n4,0.5\n8,\n'


def test_tables_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mcrelu reduce") as caught:
        taken(tmp_path).read_table("cells")
    assert len(str(caught.value).splitlines()) == 1


def test_a_damaged_table_is_one_line(tmp_path: Path) -> None:
    done = taken(tmp_path)
    done.publish_table("cells", pa.table({"width": [4, 8]}))
    torn = (tmp_path / "tables/cells.parquet").read_bytes()[:-10]
    (tmp_path / "tables/cells.parquet").write_bytes(torn)
    with pytest.raises(UserError, match="cells is damaged; give mcrelu reduce") as caught:
        done.read_table("cells")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b'{"state": "run', b"\xff\xfe\x00", b"[1]", b"3"])
def test_a_damaged_json_file_counts_as_absent(content: bytes, tmp_path: Path) -> None:
    done = taken(tmp_path)
    done.publish_json("status.json", {"state": "done"})
    assert done.read_json("status.json") == {"state": "done"}
    (tmp_path / "status.json").write_bytes(content)
    assert done.read_json("status.json") is None


def test_a_sweep_on_s3_is_the_sweep_on_disk(s3: FaultyApp, tmp_path: Path) -> None:
    small = sweep(networks=25, cells={"width": [4, 8]})
    uri = f"s3://{BUCKET}/{tmp_path.name}"
    run = mcrelu.run(small, uri, executor="serial")
    assert run.exit_code == ExitCode.DONE
    assert_same_rows(run.output, run_serially(tmp_path, small))
    files = Files.at(uri)
    assert files.names("tables") == [
        "cells.csv",
        "cells.parquet",
        "power_laws.csv",
        "power_laws.parquet",
        "timings.csv",
        "timings.parquet",
    ]
    files.publish(shard_name(next(small.all_blocks())), b"torn")
    assert len(Output.open(files).missing()) == 1
    assert_same_rows(run_serially(uri, small), run.output)


def test_a_full_store_ends_a_run_in_one_line_and_the_run_resumes(
    s3: FaultyApp, tmp_path: Path
) -> None:
    small = sweep(networks=100)
    uri = f"s3://{BUCKET}/{tmp_path.name}"
    s3.room = 40_000  # a few shards
    try:
        with pytest.raises(ResourceError, match="no room left") as caught:
            mcrelu.run(small, uri, executor="serial")
    finally:
        s3.room = None
    assert len(str(caught.value).splitlines()) == 1
    left = len(output(uri, small).missing())
    assert 0 < left < 10
    assert_same_rows(run_serially(uri, small), run_serially(tmp_path, small))


def test_a_precision_may_change_and_go(tmp_path: Path) -> None:
    before = ["crossing", "early_stopping", {"relative_width": 0.1}]
    taken(tmp_path, stop=before)
    for after in ({"relative_width": 0.2}, {"relative_width": 0.05}, None):
        changed = [*before[:2], after] if after else before[:2]
        assert output(tmp_path, sweep(**(OLD | {"stop": changed}))).files.read("spec.yaml")
