"""What is shown of an output: running, finished, empty, damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_sweeps import run_serially, sweep

from mcrelu.experiments.base import CELLS, REGISTRY, experiment
from mcrelu.runtime.heartbeat import now, this_run
from mcrelu.serve.reading import Reading
from mcrelu.store.output import STATUS, Output
from mcrelu.sweep.sweep import Sweep


def reading_of(folder: Path) -> Reading:
    return Reading("key", "name", str(folder), str(folder))


def shown(reading: Reading | Path) -> dict[str, Any]:
    """What a page over an output is told."""
    one = reading_of(reading) if isinstance(reading, Path) else reading
    value = json.loads(one.look().body)
    assert isinstance(value, dict)
    return value


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """An output that may be damaged."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def let_run(folder: Path, **changes: Any) -> None:
    """Let it seem as if this process ran into an output."""
    status = {"state": "running", "run": this_run(), "updated": now(), **changes}
    (folder / STATUS).write_text(json.dumps(status))


def points(value: dict[str, Any]) -> dict[int, dict[str, Any]]:
    (panel,) = value["panels"]
    (curve,) = panel["curves"]
    return {point["x"]: point for point in curve["points"]}


def test_estimates_are_those_of_the_tables(folder: Path, finished: Output) -> None:
    value = shown(folder)
    assert value["state"] == "finished"
    rows = finished.read_table(CELLS).to_pylist()
    found = points(value)
    for row in rows:
        point = found[row["width"]]
        assert (point["k"], point["n"]) == (row["k_high"], row["networks"])
        assert point["y"] == pytest.approx(row["estimate"])
        assert point["cell"] == row["cell"]
        name = "clopper_pearson" if min(row["k_high"], 25 - row["k_high"]) < 10 else "wilson"
        assert point["low"] == pytest.approx(row[f"{name}_low"])
        assert point["high"] == pytest.approx(row[f"{name}_high"])
    for row in rows:
        counts = dict(zip(value["mix"]["names"], value["mix"]["counts"][row["cell"]], strict=True))
        assert counts["crossed"] == row["crossed"]
        assert sum(counts.values()) == row["networks"]


def test_the_paper_stands_beside(tmp_path: Path) -> None:
    output = run_serially(tmp_path / "paper", sweep(cells={"width": [16]}))
    (point,) = shown(Path(output.files.root))["panels"][0]["curves"][0]["paper"]
    published = output.experiment.published("fig5")
    (ours,) = (
        one
        for (setting, width), one in published.items()
        if width == 16 and setting.optimizer == "gd" and setting.stop == "crossing+sufficient"
    )
    assert (point["k"], point["n"]) == ours


def test_a_running_output_needs_no_shards(copy: Path) -> None:
    """Its curve comes from the manifest: shards and tables are gone."""
    whole = points(shown(copy))
    shutil.rmtree(copy / "shards")
    shutil.rmtree(copy / "tables")
    let_run(copy, networks_per_second=12.5, seconds_left=30.0)
    reading = reading_of(copy)
    reading._tables._next = float("inf")  # as if making tables had taken long
    value = shown(reading)
    assert value["state"] == "running"
    assert value["growing"]
    assert points(value) == whole
    assert value["run"]["networks_per_second"] == 12.5
    assert value["run"]["seconds_left"] == 30.0
    names, counts = value["mix"]["names"], value["mix"]["counts"]
    assert names == ["may have crossed", "the others"]
    assert all(sum(one) == 25 for one in counts.values())


def test_shards_count_when_nobody_runs(copy: Path) -> None:
    """The control: what the manifest has and the folder has not is missing."""
    shutil.rmtree(copy / "shards")
    shutil.rmtree(copy / "tables")
    (copy / STATUS).unlink()
    value = shown(copy)
    assert value["state"] == "unfinished"
    assert value["progress"]["blocks_done"] == 0
    assert value["panels"] == []


def test_a_run_without_a_sign_is_lost(copy: Path) -> None:
    let_run(copy, run={"host": "elsewhere", "id": "x"}, updated="2020-01-01T00:00:00+00:00")
    assert shown(copy)["state"] == "lost"


def test_a_run_is_lost_while_one_looks(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_run(copy)
    reading = reading_of(copy)
    assert shown(reading)["state"] == "running"
    monkeypatch.setattr("mcrelu.serve.reading.is_running", lambda status: False)
    assert shown(reading)["state"] == "lost"


def test_what_is_new_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "grows"
    run_serially(folder, sweep(networks=10))
    reading = reading_of(folder)
    assert points(shown(reading))[4]["n"] == 10
    before = reading.look().version
    assert reading.look().version == before
    run_serially(folder, sweep(networks=25))
    assert reading.look().version != before
    assert points(shown(reading))[4]["n"] == 25


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("cells.json", b"{", "damaged"),
        ("cells.json", b'{"format": 99}', "format"),
        ("cells.json", None, "no output"),
    ],
)
def test_what_cannot_be_read_says_why(
    name: str, content: bytes | None, why: str, copy: Path
) -> None:
    if content is None:
        (copy / name).unlink()
        (copy / "spec.yaml").unlink()
    else:
        (copy / name).write_bytes(content)
    error = shown(copy)["error"]
    assert "\n" not in error
    assert why in error or "cells.json" in error


def test_an_output_can_be_mended_while_one_looks(copy: Path) -> None:
    whole = (copy / "cells.json").read_bytes()
    (copy / "cells.json").write_bytes(b"{")
    reading = reading_of(copy)
    assert shown(reading)["error"]
    (copy / "cells.json").write_bytes(whole)
    assert shown(reading)["error"] is None


def test_there_may_be_no_output_yet(tmp_path: Path) -> None:
    reading = reading_of(tmp_path / "later")
    assert "no output" in shown(reading)["error"]
    run_serially(tmp_path / "later", sweep(networks=10))
    assert shown(reading)["state"] == "finished"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"state": "running", "run": 3}', b"\xff"])
def test_a_damaged_status_is_no_end(content: bytes, copy: Path) -> None:
    (copy / STATUS).write_bytes(content)
    value = shown(copy)
    assert value["error"] is None or "\n" not in value["error"]


def test_torn_shards_are_named(copy: Path) -> None:
    shard = min((copy / "shards").rglob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:100])
    value = shown(copy)
    assert value["refused"] == [str(shard.relative_to(copy))]
    assert value["state"] == "unfinished"


def test_torn_tables_and_segments_are_no_end(copy: Path) -> None:
    whole = points(shown(copy))
    for path in [*(copy / "tables").iterdir(), *(copy / "manifest").iterdir()]:
        path.write_bytes(b"torn")
    assert points(shown(copy)) == whole


def test_failures_are_told(copy: Path) -> None:
    (copy / "errors").mkdir()
    failure = {
        "error": "ValueError: <b>bad</b>",
        "cell": {"width": 4},
        "block": 1,
        "seed": 1,
        "replay": "mcrelu run spec.yaml --block 4/1 --serial",
        "traceback": "Traceback <script>",
    }
    (copy / "errors" / "a-000001.json").write_text(json.dumps(failure))
    (copy / "errors" / "b-000002.json").write_text("{")
    found = shown(copy)["failures"]
    assert found["total"] == 2
    assert found["shown"][0] == {**failure, "seed": "1"}
    assert "damaged" in found["shown"][1]["error"]


def test_sections_are_those_of_the_report(folder: Path, finished: Output) -> None:
    titles = [section["title"] for section in shown(folder)["sections"]]
    told = finished.experiment.sections(finished.experiment.tables(finished.reader()))
    assert [section.title for section in told] == titles[: len(told)]
    assert shown(folder)["figures"] == ["crossing", "decision_steps"]


@pytest.mark.parametrize("name", REGISTRY)
def test_every_experiment_is_shown(name: str, tmp_path: Path) -> None:
    """What grows with a run are those points, out of all, that summaries of blocks count."""
    output = run_serially(tmp_path / name, Sweep.of(dict(experiment(name).example)))
    value = shown(tmp_path / name)
    assert value["state"] == "finished"
    assert points_of(value)
    let_run(tmp_path / name)
    reading = reading_of(tmp_path / name)
    reading._tables._next = float("inf")
    growing = shown(reading)
    assert growing["state"] == "running"
    assert bool(points_of(growing)) is (output.experiment.counted is not None)
    assert all(point in points_of(value) for point in points_of(growing))


def points_of(value: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        point for panel in value["panels"] for curve in panel["curves"] for point in curve["points"]
    ]
