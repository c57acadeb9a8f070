"""The commands as a shell sees them: stdout, stderr, exit codes.

Nearly all of them run in this process, since importing takes longer than what they do.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.csv
import pytest

from mcrelu.cli import main
from mcrelu.runtime.heartbeat import _started
from mcrelu.stats.intervals import wilson

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden" / "gd_swap_n16.npz"
SPEC = """
version: 1
experiment: crossing
seed: 7
networks: 60
cells: {width: [4, 8]}
stop: [crossing, sufficient]
block_size: 20
"""


class Said(NamedTuple):
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


def mcrelu(*arguments: str | Path, cwd: Path) -> Said:
    """Run a command in this process, from its arguments to its exit."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, chdir(cwd):
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setattr(sys, "argv", ["mcrelu", *map(str, arguments)])
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
    assert isinstance(ended.value.code, int)
    return Said(ended.value.code, out.getvalue(), err.getvalue())


def mcrelu_in_a_shell(*arguments: str | Path, cwd: Path) -> Said:
    """Run a command in a process of its own."""
    return in_a_shell(*arguments, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def in_a_shell(*arguments: str | Path, cwd: Path, stdout: int, stderr: int) -> Said:
    command = [sys.executable, "-m", "mcrelu", *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    environment["PYTHONPATH"] = str(ROOT)  # whatever else is installed
    done = subprocess.run(
        command, stdout=stdout, stderr=stderr, text=True, cwd=cwd, env=environment, check=False
    )
    return Said(done.returncode, done.stdout or "", done.stderr or "")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with spec.yaml and a finished output in out/."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "spec.yaml").write_text(SPEC)
    command = ("run", "spec.yaml", "--out", "out", "--serial", "--json")
    done = mcrelu_in_a_shell(*command, cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "run.json").write_text(done.stdout)
    return folder


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    return path


def test_run_prints_one_json_object_and_writes_what_it_names(finished: Path) -> None:
    said = json.loads((finished / "run.json").read_text())
    assert said["exit_code"] == 0
    assert [cell["networks"] for cell in said["cells"]] == [60, 60]
    for path in [*said["figures"], said["report"]]:
        assert Path(path).stat().st_size > 0
    assert json.loads((finished / "out" / "status.json").read_text())["exit_code"] == 0


def test_run_prints_tables_for_people(finished: Path) -> None:
    again = mcrelu("run", "spec.yaml", "--out", "out", "--serial", cwd=finished)
    assert again.returncode == 0
    assert "95 % interval" in again.stdout
    assert "locally converged" in again.stdout
    assert "report.html" in again.stdout
    assert "6/6 blocks" in again.stderr


def test_the_default_output_is_named_after_the_spec(spec: Path) -> None:
    done = mcrelu("run", "spec.yaml", "--serial", "--set", "networks=10", cwd=spec.parent)
    assert done.returncode == 0
    assert (spec.parent / "results" / "spec" / "spec.yaml").exists()


def test_status_counts_what_is_there(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished / "out", out)
    next(out.glob("shards/*/*.parquet")).unlink()
    status = json.loads(mcrelu("status", out, "--json", cwd=tmp_path).stdout)
    assert (status["blocks_done"], status["blocks"]) == (5, 6)
    assert (status["networks_done"], status["networks"]) == (100, 120)


def test_status_says_that_a_file_is_damaged_and_what_to_do(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished / "out", out)
    assert "damaged" not in mcrelu("status", "out", cwd=tmp_path).stdout
    shard = next(out.glob("shards/*/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-9])
    said = mcrelu("status", "out", cwd=tmp_path).stdout
    assert "5 of 6" in said
    (line,) = [line for line in said.splitlines() if "damaged files" in line]
    assert line.split()[2:6] == ["1", "(mcrelu", "check", str(out)]


@pytest.mark.parametrize("content", ['{"state": "runn', ""])
def test_a_torn_status_file_counts_as_none(content: str, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished / "out", out)
    (out / "status.json").write_text(content)
    said = mcrelu("status", out, cwd=tmp_path)
    assert said.returncode == 0
    assert "6 of 6" in said.stdout
    assert json.loads(mcrelu("status", out, "--json", cwd=tmp_path).stdout)["last_run"] is None


@pytest.mark.parametrize("other", ["papers", "Paper", "papr:fig5"])
def test_a_misspelt_paper_is_recognised(other: str, finished: Path) -> None:
    done = mcrelu("compare", "out", other, cwd=finished)
    assert done.returncode == 2
    assert "did you mean paper, or paper:fig5?" in done.stderr


def test_a_comparison_says_what_is_unfinished(half: Path, other_seed: Path) -> None:
    done = mcrelu("compare", half, "seed8", cwd=other_seed)
    assert "Comparison with seed8" in done.stdout
    assert "Unfinished: 9 of 12 blocks: points without results" in done.stdout
    value = json.loads(mcrelu("compare", "out", "seed8", "--json", cwd=other_seed).stdout)
    assert value["unfinished"] is None


def test_replay_says_what_happened_and_draws_it(finished: Path, tmp_path: Path) -> None:
    done = mcrelu("replay", "out", "width=8", "3", "--to", tmp_path, "--json", cwd=finished)
    value = json.loads(done.stdout)
    assert value["row"]["network"] == 3
    assert all(Path(path).stat().st_size > 1000 for path in value["figures"])
    assert {Path(path).suffix for path in value["figures"]} == {".png", ".pdf", ".svg"}
    shown = mcrelu("replay", "out", value["cell"][:6], "3", "--to", tmp_path, cwd=finished).stdout
    assert "What happened" in shown
    assert "certificate (modewise)" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("out", "width=9", "0"), "cell width=9: no such cell; there are: "),
        (("out", "width=8", "100000"), "has networks 0 to"),
        (("out", "width=8", "-1"), "No such option"),
        (("nowhere", "width=8", "0"), "nowhere: no output of a sweep"),
    ],
)
def test_what_cannot_be_replayed(arguments: tuple[str, ...], message: str, finished: Path) -> None:
    done = mcrelu("replay", *arguments, cwd=finished)
    assert done.returncode == 2
    assert message in done.stderr


def test_reduce_and_plot_write_anew(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished / "out", out)
    shutil.rmtree(out / "tables")
    shutil.rmtree(out / "figures")
    assert mcrelu("plot", out, cwd=tmp_path).returncode == 2
    assert mcrelu("reduce", out, cwd=tmp_path).returncode == 0
    assert (out / "tables" / "cells.csv").exists()
    assert mcrelu("plot", out, cwd=tmp_path).returncode == 0
    same = (out / "figures" / "crossing.svg").read_bytes()
    assert same == (finished / "out" / "figures" / "crossing.svg").read_bytes()


@pytest.fixture
def half(finished: Path, tmp_path: Path) -> Path:
    """An output of which one cell is there, and of the other nothing."""
    out = tmp_path / "half"
    shutil.copytree(finished / "out", out)
    shutil.rmtree(min(out.glob("shards/*")))
    return out


def test_report_writes_all_anew_and_says_that_it_is_unfinished(half: Path, tmp_path: Path) -> None:
    for name in ("tables", "figures", "report.html"):
        path = half / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    said = mcrelu("report", half, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "Unfinished: 3 of 6 blocks" in said.stdout
    assert str(half / "report.html") in said.stdout
    assert "unfinished: 3 of 6 blocks" in (half / "report.html").read_text().lower()
    value = json.loads(mcrelu("report", half, "--json", cwd=tmp_path).stdout)
    assert value["unfinished"] == "unfinished: 3 of 6 blocks"
    assert sorted(cell["networks"] for cell in value["cells"]) == [0, 60]
    assert {Path(path).suffix for path in value["figures"]} >= {".png", ".pdf", ".svg", ".tex"}


def test_cells_without_results_have_empty_rows(half: Path, tmp_path: Path) -> None:
    said = mcrelu("reduce", half, cwd=tmp_path).stdout
    estimates = said.partition("may cross")[2].partition("How training ended")[0]
    rows = [line.split() for line in estimates.splitlines()]
    assert sorted(row[0] for row in rows if row and row[0] in "48") == ["4", "8"]
    assert [row for row in rows if row[1:] == ["0"]]


def test_a_finished_output_is_not_called_unfinished(finished: Path) -> None:
    assert "nfinished" not in mcrelu("reduce", "out", cwd=finished).stdout
    assert json.loads(mcrelu("reduce", "out", "--json", cwd=finished).stdout)["unfinished"] is None


NARROW = ("--serial", "--set", "stop={relative_width: 0.7}", "--set")


def test_a_budget_that_is_used_up_exits_5_and_says_what_to_raise(spec: Path) -> None:
    said = mcrelu("run", "spec.yaml", "--out", "out", *NARROW, "networks=40", cwd=spec.parent)
    assert said.returncode == 5
    assert "TOO WIDE" in said.stdout
    last = said.stderr.splitlines()[-1]
    assert last.startswith(
        "Relative width above 0.7: gd n=8 offset=0 he. Raise networks from 40 to"
    )
    assert json.loads((spec.parent / "out" / "status.json").read_text())["state"] == "budget"
    shown = mcrelu("status", "out", cwd=spec.parent).stdout
    assert "cells narrow enough  1 of 2" in shown
    assert "of about" not in shown  # nothing is left to do
    more = mcrelu(
        "run", "spec.yaml", "--out", "out", *NARROW, "networks=4000", "--json", cwd=spec.parent
    )
    assert more.returncode == 0
    assert "2/2 cells narrow enough" in more.stderr
    assert all(cell["relative_width"] <= 0.7 for cell in json.loads(more.stdout)["cells"])


def test_relative_widths_are_shown_only_where_it_is_asked_for(finished: Path) -> None:
    assert "relative width" not in mcrelu("reduce", "out", cwd=finished).stdout


def test_a_plan_says_up_to_where_a_relative_width_is_asked_for(spec: Path) -> None:
    setting = ("--set", "stop={relative_width: 0.7}")
    said = mcrelu("plan", "spec.yaml", *setting, cwd=spec.parent).stdout
    assert said.count("up to 60") == 2
    assert "Up to" in said
    assert "up to" not in mcrelu("plan", "spec.yaml", cwd=spec.parent).stdout


def test_plan_forecasts_and_writes_nothing(spec: Path) -> None:
    planned = mcrelu("plan", "spec.yaml", "--json", cwd=spec.parent)
    said = json.loads(planned.stdout)
    assert [(cell["networks"], cell["blocks"]) for cell in said["cells"]] == [(60, 3), (60, 3)]
    assert said["wall_seconds"] > 0
    assert [path.name for path in spec.parent.iterdir()] == ["spec.yaml"]


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A folder with a copy of the finished output, to be changed."""
    shutil.copytree(finished / "out", tmp_path / "out")
    shutil.copy(finished / "spec.yaml", tmp_path / "spec.yaml")
    return tmp_path


def test_check_names_damaged_shards_and_exits_1(copied: Path) -> None:
    assert mcrelu("check", "out", cwd=copied).returncode == 0
    shard = sorted((copied / "out" / "shards").rglob("*.parquet"))[1]
    shard.write_bytes(shard.read_bytes()[::-1])
    checked = mcrelu("check", "out", "--json", cwd=copied)
    assert checked.returncode == 1
    name = str(shard.relative_to(copied / "out"))
    assert json.loads(checked.stdout)["refused"] == [name]
    reduced = mcrelu("reduce", "out", cwd=copied)
    assert reduced.returncode == 0
    assert "Shards that were refused" in reduced.stdout
    assert name in reduced.stdout
    again = mcrelu("run", "spec.yaml", "--out", "out", "--serial", cwd=copied)
    assert again.returncode == 0
    assert "refused" not in again.stdout
    assert mcrelu("check", "out", cwd=copied).returncode == 0


def test_compact_merges_and_the_rest_goes_on(copied: Path) -> None:
    before = mcrelu("reduce", "out", "--json", cwd=copied).stdout
    compacted = mcrelu("compact", "out", "--json", cwd=copied)
    assert compacted.returncode == 0
    said = json.loads(compacted.stdout)
    assert (said["blocks"], said["files"]) == (6, 2)
    assert mcrelu("reduce", "out", "--json", cwd=copied).stdout == before
    longer = mcrelu(
        "run", "spec.yaml", "--out", "out", "--serial", "--set", "networks=80", cwd=copied
    )
    assert longer.returncode == 0
    assert "8/8 blocks" in longer.stderr


def test_an_output_that_is_being_written_is_refused_unless_joined(copied: Path) -> None:
    parent = os.getppid()
    process = {"host": socket.gethostname(), "pid": parent, "process_started": _started(parent)}
    lease = process | {"lease": "another", "renewed": "2026-01-01T00:00:00+00:00"}
    (copied / "out" / "lease.json").write_text(json.dumps(lease))
    command = ("run", "spec.yaml", "--out", "out", "--serial")
    refused = mcrelu(*command, cwd=copied)
    assert refused.returncode == 6
    assert f"process {os.getppid()}" in refused.stderr
    assert "--join" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert mcrelu(*command, "--join", cwd=copied).returncode == 0


def test_compare_exits_1_where_the_sides_disagree(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "out", tmp_path / "copy")
    own = mcrelu("compare", finished / "out", "copy", cwd=tmp_path)
    assert own.returncode == 0
    assert own.stdout.count("McNemar") == 2
    other = tmp_path / "other.yaml"
    # One step is not enough to prove anything: nearly all networks stay unfinished.
    other.write_text(SPEC + "checks: {interval: 1, maximum: 1}\n")
    assert mcrelu("run", other, "--out", "b", "--serial", cwd=tmp_path).returncode == 0
    differs = mcrelu("compare", finished / "out", "b", cwd=tmp_path)
    assert differs.returncode == 1
    assert "DIFFERS" in differs.stdout


@pytest.fixture(scope="module")
def other_offset(finished: Path) -> Path:
    """A second output beside the first, without cells in common."""
    command = ("run", "spec.yaml", "--out", "other", "--serial", "--set", "cells.offset=[0.1]")
    assert mcrelu(*command, cwd=finished).returncode == 0
    return finished


def test_several_outputs_are_compared_at_once(other_offset: Path, tmp_path: Path) -> None:
    shutil.copytree(other_offset / "out", tmp_path / "copy")
    both = mcrelu("compare", "out", "other", tmp_path / "copy", "--json", cwd=other_offset)
    assert both.returncode == 0
    assert len(json.loads(both.stdout)["points"]) == 2  # those of the last one
    twice = mcrelu("compare", "out", "out", "other", cwd=other_offset)
    assert twice.returncode == 2
    assert "seed 7: the networks of gd n=4 offset=0 he are in" in twice.stderr


@pytest.fixture(scope="module")
def other_seed(finished: Path) -> Path:
    """A second output beside the first, of the same sweep with another seed."""
    command = ("run", "spec.yaml", "--out", "seed8", "--serial", "--set", "seed=8")
    assert mcrelu(*command, cwd=finished).returncode == 0
    return finished


def test_outputs_of_several_seeds_are_one_sample(other_seed: Path, tmp_path: Path) -> None:
    drawn = mcrelu("plot", "out", "seed8", "--to", tmp_path / "all", cwd=other_seed)
    assert drawn.returncode == 0
    first, second, together = (
        pyarrow.csv.read_csv(path / "cells.csv").to_pylist()
        for path in (other_seed / "out/tables", other_seed / "seed8/tables", tmp_path / "all")
    )
    assert [row["networks"] for row in together] == [120, 120]
    counts = [one["k_high"] + two["k_high"] for one, two in zip(first, second, strict=True)]
    assert [row["k_high"] for row in together] == counts
    low, high = wilson(counts, 120)
    assert [row["wilson_low"] for row in together] == pytest.approx(low)
    assert [row["wilson_high"] for row in together] == pytest.approx(high)


def test_outputs_of_other_seeds_are_independent(other_seed: Path) -> None:
    said = mcrelu("compare", "out", "seed8", "--json", cwd=other_seed)
    assert said.returncode == 0, said.stderr
    assert [point["test"] for point in json.loads(said.stdout)["points"]] == ["Fisher"] * 2


def test_a_seed_on_both_sides_beside_another_is_refused(other_seed: Path, tmp_path: Path) -> None:
    shutil.copytree(other_seed / "out", tmp_path / "copy")
    said = mcrelu("compare", "out", "seed8", tmp_path / "copy", cwd=other_seed)
    assert said.returncode == 2
    (line,) = said.stderr.splitlines()
    assert "seed 7: is on both sides of gd n=4 offset=0 he, beside other seeds" in line


@pytest.mark.parametrize("again", ["out", "./out", "../{name}/out/", "file://{folder}/out", "link"])
def test_an_output_is_not_compared_with_itself(again: str, copied: Path) -> None:
    """It used to agree, whatever it was."""
    (copied / "link").symlink_to("out")
    other = again.format(name=copied.name, folder=copied)
    said = mcrelu("compare", "out", other, cwd=copied)
    assert said.returncode == 2
    (line,) = said.stderr.splitlines()
    assert "stands on both sides; give another output, or paper" in line


def test_the_paper_comes_last(finished: Path) -> None:
    said = mcrelu("compare", "paper:fig5", "out", cwd=finished)
    assert said.returncode == 2
    (line,) = said.stderr.splitlines()
    assert "paper:fig5: stands before an output; give the paper last: OUT... paper:fig5" in line


def test_several_outputs_make_one_figure(other_offset: Path, tmp_path: Path) -> None:
    drawn = mcrelu("plot", "out", "other", "--to", tmp_path / "all", "--json", cwd=other_offset)
    assert drawn.returncode == 0
    paths = [Path(path) for path in json.loads(drawn.stdout)["figures"]]
    assert {path.name for path in paths} >= {"crossing.pdf", "cells.csv", "power_laws.csv"}
    assert all(path.parent == tmp_path / "all" and path.stat().st_size for path in paths)
    assert len((tmp_path / "all" / "cells.csv").read_text().splitlines()) == 1 + 4
    nowhere = mcrelu("plot", "out", "other", cwd=other_offset)
    assert nowhere.returncode == 2
    assert "--to" in nowhere.stderr


@pytest.mark.parametrize("place", ["fig.png", "deep/er/fig.PDF", "{folder}/fig.svg"])
def test_a_figure_may_go_to_a_file(place: str, other_offset: Path, tmp_path: Path) -> None:
    """It used to make a folder of that name."""
    where = place.format(folder=tmp_path)
    outs = [other_offset / "out", other_offset / "other"]
    drawn = mcrelu("plot", *outs, "--to", where, "--json", cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    (path,) = json.loads(drawn.stdout)["figures"]
    assert Path(path) == tmp_path / where
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}
    assert Path(path).read_bytes().startswith(starts[Path(path).suffix.lower()])
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [Path(path)]


IN_ITS_PLACE = "(Is a directory|Not a directory|File exists); give another path, or move"
MISPLACED = {
    "a folder as a spec": (
        ["plan", "folder"],
        2,
        r"folder: cannot be read \(Is a directory\); give",
    ),
    "no spec": (["plan", ""], 2, "no such file; give the path of a sweep spec"),
    "points from a folder": (
        ["plan", "spec.yaml", "--set", "data.file=folder"],
        2,
        r"data = {file: 'folder'}: folder: cannot be read \(Is a directory\); give CSV or Parquet",
    ),
    "points from an empty file": (
        ["plan", "spec.yaml", "--set", "data.file=empty"],
        2,
        r"empty: cannot be read \(Empty CSV file\); give CSV or Parquet",
    ),
    "points from what is no text": (
        ["plan", "spec.yaml", "--set", "data.file=binary"],
        2,
        r"binary: cannot be read \(it is no text\); give CSV or Parquet",
    ),
    "no output": (
        ["run", "spec.yaml", "--serial", "--out", ""],
        2,
        "output is empty; give that of",
    ),
    "a file as an output": (["status", "empty"], 2, "empty: is a file; give the path of a folder"),
    "a path below a file": (["run", "spec.yaml", "--serial", "--out", "empty/x"], 3, IN_ITS_PLACE),
    "a folder as a golden file": (
        ["verify", "folder"],
        2,
        r"folder: cannot be read \(Is a directory\); give a golden file",
    ),
    "a text as a golden file": (
        ["verify", "spec.yaml"],
        2,
        "spec.yaml: is damaged, no archive of arrays, or of over 512 MiB; give a golden file",
    ),
}


@pytest.mark.parametrize("case", MISPLACED.values(), ids=MISPLACED.keys())
def test_what_stands_in_the_wrong_place_is_said_in_words(
    case: tuple[list[str], int, str], spec: Path
) -> None:
    arguments, code, words = case
    (spec.parent / "folder").mkdir()
    (spec.parent / "empty").touch()
    (spec.parent / "binary").write_bytes(GOLDEN.read_bytes())
    said = mcrelu(*arguments, cwd=spec.parent)
    (line,) = said.stderr.splitlines()
    assert said.returncode == code
    assert re.search(words, line), line


def test_a_bare_command_shows_the_commands(tmp_path: Path) -> None:
    said = mcrelu(cwd=tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("Usage:")
    assert "\n  compare " in said.stdout


def test_compare_without_common_points_is_a_usage_error(finished: Path) -> None:
    said = mcrelu("compare", "out", "paper:fig5", cwd=finished)
    assert said.returncode == 2
    assert "nothing to compare" in said.stderr


def test_verify_exits_1_for_a_tampered_status(tmp_path: Path) -> None:
    assert mcrelu("verify", GOLDEN, cwd=tmp_path).returncode == 0
    golden = dict(np.load(GOLDEN))
    golden["status"][0] = 5
    np.savez(tmp_path / "tampered.npz", **golden)
    tampered = mcrelu("verify", GOLDEN, "tampered.npz", "--json", cwd=tmp_path)
    assert tampered.returncode == 1
    assert [one["agrees"] for one in json.loads(tampered.stdout)["files"]] == [True, False]


def test_verify_of_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", **(dict(np.load(GOLDEN)) | {"n_hidden": np.array(17)}))
    said = mcrelu("verify", "odd.npz", cwd=tmp_path)
    assert said.returncode == 2
    assert len(said.stderr.splitlines()) == 1
    assert "a_final" in said.stderr


def test_a_file_is_no_output(spec: Path) -> None:
    for command in (["run", "spec.yaml", "--serial", "--out"], ["status"], ["reduce"]):
        said = mcrelu(*command, "spec.yaml", cwd=spec.parent)
        assert said.returncode == 2
        assert len(said.stderr.splitlines()) == 1
        assert "spec.yaml: is a file; give the path of a folder" in said.stderr
    assert spec.read_text() == SPEC


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "none.yaml"], 2, "no such file"),
        (["run", "spec.yaml", "--set", "cells.width=[0]"], 2, "cells.width[0] = 0"),
        (["run", "spec.yaml", "--serial", "--address", "a:1"], 2, "--serial"),
        (["run", "spec.yaml", "--address", "127.0.0.1:1", "--out", "rel"], 2, "absolute"),
        (["run", "spec.yaml", "--out", "nosuch://x/y", "--serial"], 2, "nosuch"),
        (["status", "nosuch://x/y"], 2, "nosuch"),
        (["run", "spec.yaml", "--address", "nonsense"], 2, "nonsense: is no address"),
        (["run", "spec.yaml", "--address", "http://a:1"], 2, "http://a:1: is no address"),
        (["run", "spec.yaml", "--address", "127.0.0.1:65536"], 2, "127.0.0.1:65536: is no address"),
        (["run", "spec.yaml", "--address", "127.0.0.1:x"], 2, "127.0.0.1:x: is no address"),
        (["status", "none"], 2, "no output"),
        (["verify", "spec.yaml"], 2, "golden"),
        (["compare", "none", "paper:fig5"], 2, "no output"),
        (["dance"], 2, "No such command"),
        (["run"], 2, "Missing argument"),
    ],
)
def test_user_errors_are_one_line_with_their_code(
    arguments: list[str], code: int, words: str, spec: Path
) -> None:
    said = mcrelu(*arguments, cwd=spec.parent)
    assert said.returncode == code
    (line,) = said.stderr.splitlines()
    assert words in line
    assert [path.name for path in spec.parent.iterdir()] == ["spec.yaml"]


def test_an_unreachable_cluster_ends_at_once_and_leaves_nothing(spec: Path) -> None:
    out = spec.parent / "out"
    command = ("run", "spec.yaml", "--address", "127.0.0.1:1", "--out", out)
    said = mcrelu_in_a_shell(*command, cwd=spec.parent)
    assert said.returncode == 3
    assert len(said.stderr.splitlines()) == 1
    assert "no Ray cluster at 127.0.0.1:1" in said.stderr
    assert not out.exists()


def test_a_foreign_output_is_refused_with_what_differs(finished: Path) -> None:
    said = mcrelu("run", "spec.yaml", "--out", "out", "--set", "seed=8", "--json", cwd=finished)
    assert said.returncode == 6
    assert len(said.stderr.splitlines()) == 1
    assert "seed: 7 there, 8 here" in json.loads(said.stdout)["error"]


def mcrelu_without_a_reader(*arguments: str, cwd: Path, stream: str) -> Said:
    """Run a command in a process of its own that prints into a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {stream: writer}
    said = in_a_shell(*arguments, cwd=cwd, **streams)
    os.close(writer)
    return said


@pytest.mark.parametrize(
    "arguments",
    [["check", "out"], ["check", "out", "--json"], ["--help"], ["status", "none", "--json"]],
)
def test_a_closed_pipe_is_no_disagreement(arguments: list[str], finished: Path) -> None:
    """Their exit code was 1, which says that sides disagree or shards are damaged."""
    said = mcrelu_without_a_reader(*arguments, cwd=finished, stream="stdout")
    assert (said.returncode, said.stderr) == (141, "")


def test_a_run_that_nobody_listens_to_ends_and_goes_on(spec: Path) -> None:
    command = ("run", "spec.yaml", "--out", "out", "--serial")
    said = mcrelu_without_a_reader(*command, cwd=spec.parent, stream="stderr")
    assert (said.returncode, said.stdout) == (141, "")
    status = json.loads((spec.parent / "out" / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("closed_pipe", 141)
    assert mcrelu(*command, cwd=spec.parent).returncode == 0


def test_an_unexpected_error_has_a_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("in the doctor")

    monkeypatch.setattr("mcrelu.cli.checking.examine", fail)
    said = mcrelu("doctor", "--json", cwd=tmp_path)
    assert said.returncode == 70
    first, *_, last = said.stderr.splitlines()
    assert first.startswith("Traceback")
    assert last == "mcrelu: unexpected error: ZeroDivisionError: in the doctor; please report it"
    assert json.loads(said.stdout)["exit_code"] == 70


@pytest.mark.ray
def test_doctor_finds_this_installation_well(tmp_path: Path) -> None:
    said = mcrelu("doctor", "--json", cwd=tmp_path)
    assert said.returncode == 0, said.stdout
    assert {one["name"] for one in json.loads(said.stdout)["findings"]} >= {"ray", "kernels"}


# --- star sweeps ----------------------------------------------------------------------------

STAR = """
version: 1
experiment: star
seed: 7
networks: 6
epochs: 2000
cells: {width: [6, 8], data: [star-11], step_factor: [1, 2]}
block_size: 4
"""


@pytest.fixture(scope="module")
def finished_star(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("star")
    (folder / "spec.yaml").write_text(STAR)
    done = mcrelu("run", "spec.yaml", "--out", "out", "--serial", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "run.json").write_text(done.stdout)
    return folder


def test_a_star_run_writes_what_it_names(finished_star: Path) -> None:
    said = json.loads((finished_star / "run.json").read_text())
    assert [cell["networks"] for cell in said["cells"]] == [6] * 4
    drawn = {f"{name}.{kind}" for name in ("star", "losses") for kind in ("png", "pdf", "svg")}
    assert {Path(path).name for path in said["figures"]} == drawn
    report = Path(said["report"]).read_text()
    assert "h = 2/λ_max" in report
    assert "data:image/svg+xml;base64," in report
    assert (finished_star / "out" / "tables" / "progress.csv").stat().st_size > 0


@pytest.mark.parametrize("command", ["status", "reduce", "plot"])
def test_commands_on_a_star_output(finished_star: Path, command: str) -> None:
    done = mcrelu(command, "out", "--json", cwd=finished_star)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert json.loads(done.stdout)


def test_a_star_output_is_compared_with_another(finished_star: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_star / "out", tmp_path / "copy")
    done = mcrelu("compare", "out", tmp_path / "copy", "--json", cwd=finished_star)
    assert done.returncode == 0, done.stderr
    points = json.loads(done.stdout)["points"]
    assert {(point["event"], point["width"]) for point in points} == {
        (event, width) for event in ("kink", "loss") for width in (6, 8)
    }


def test_nothing_in_common_with_figure_8_is_one_line(finished_star: Path) -> None:
    done = mcrelu("compare", "out", "paper:fig8", cwd=finished_star)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "nothing to compare" in done.stderr


def test_a_plan_of_a_star_sweep_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(STAR)
    done = mcrelu("plan", "spec.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cells = json.loads(done.stdout)["cells"]
    assert all(cell["core_seconds"] > 0 for cell in cells)
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]
