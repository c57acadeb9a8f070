"""Texts in tampered outputs do nothing: to the terminal, in the report, in figures, in LaTeX."""

from __future__ import annotations

import io
import json
import os
import shutil
from base64 import b64decode
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from rich.console import Console
from small_sweeps import run_serially, sweep

from mcrelu.cli import cli
from mcrelu.errors import ForeignOutputError, UserError
from mcrelu.experiments.base import Section
from mcrelu.figures.captions import add_caption, names_together
from mcrelu.figures.plot import draw
from mcrelu.report import publish_report, sections_html
from mcrelu.runtime.heartbeat import last_status
from mcrelu.runtime.progress import Lines
from mcrelu.store.contents import CELLS_FILE
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.reduce import reduce, written_tables
from mcrelu.terminal import facts_table, section_table, show
from mcrelu.texts import is_plain, one_line, printable

ATTACKS = {
    "escape": "\x1b]0;owned\x07",
    "c1": "\x9b31m",
    "direction": "\u202egd",
    "line": "a\u2028b",
    "html": "<script>alert(1)</script>",
    "tex": r"\write18{touch owned}",
    "math": "$\\frac{",
    "rich": "[red]x[/red]",
    "comment": "%\n\\input{x}",
}
attacks = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    reduce(run_serially(folder, sweep()))
    return folder


@pytest.fixture
def out(once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(once, tmp_path / "out"))


def opened(out: Path) -> Output:
    return Output.open(Files.at(out))


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def change_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def obeyed(text: str) -> list[str]:
    """Characters that a terminal may obey."""
    return [c for c in text if not c.isprintable() and c != "\n"]


class TestTexts:
    @attacks
    def test_nothing_but_names_and_numbers_is_plain(self, attack: str) -> None:
        assert is_plain({"a": ["gd n=4 offset=0 he", 1, None]})
        for value in (attack, [attack], {attack: 1}, {"a": {"b": [attack]}}):
            assert not is_plain(value)

    @attacks
    def test_printable(self, attack: str) -> None:
        assert obeyed(printable(attack)) == []
        assert obeyed(one_line(attack)) == []
        assert "\n" not in one_line(attack)

    def test_what_is_printable_stays(self) -> None:
        assert printable("é ≤ ü\n[x] <y>") == "é ≤ ü\n[x] <y>"
        assert printable("\x1b[31m") == "\\x1b[31m"


class TestContents:
    @attacks
    @pytest.mark.parametrize("key", ["label", "training", "draws"])
    def test_of_cells(self, out: Path, attack: str, key: str) -> None:
        known = json.loads((out / CELLS_FILE).read_text())
        known["cells"][0][key] = attack
        (out / CELLS_FILE).write_text(json.dumps(known))
        with pytest.raises(ForeignOutputError, match=r"cells.json is damaged"):
            opened(out)

    @attacks
    @pytest.mark.parametrize("key", ["program", "rng", "experiment"])
    def test_of_the_output(self, out: Path, attack: str, key: str) -> None:
        change_json(out / CELLS_FILE, **{key: attack})
        with pytest.raises(ForeignOutputError, match=r"cells.json is damaged"):
            opened(out)

    @attacks
    def test_of_tables(self, out: Path, attack: str) -> None:
        path = out / "tables" / "cells.parquet"
        table = pq.read_table(path, partitioning=None)
        for name in ("optimizer", "init", "step_rule", "data"):
            values = pa.array([attack])
            changed = table.set_column(table.schema.get_field_index(name), name, values)
            pq.write_table(changed, path)
            with pytest.raises(UserError, match="table cells is damaged"):
                written_tables(opened(out))


class TestTerminal:
    @attacks
    def test_of_sections(self, attack: str) -> None:
        stream = io.StringIO()
        console = Console(file=stream, width=200)
        section = Section(attack, (attack, "b"), ((attack, "1"),), (attack,))
        show(console, section_table(section), section_table(Section(attack)))
        show(console, facts_table(attack, [(attack, attack)]))
        assert obeyed(stream.getvalue()) == []
        assert stream.getvalue().count(printable(attack).splitlines()[0]) >= 7

    @attacks
    def test_of_progress(self, attack: str, capsys: pytest.CaptureFixture[str]) -> None:
        Lines(Console(stderr=True)).say(attack)
        assert obeyed(capsys.readouterr().err) == []

    @attacks
    @pytest.mark.parametrize("key", ["state", "updated", "started", "go_on"])
    def test_of_a_status(self, out: Path, attack: str, key: str) -> None:
        change_json(out / "status.json", **{key: attack})
        shown = command("status", str(out))
        assert shown.exit_code == 0
        assert obeyed(shown.output) == []

    @pytest.mark.parametrize(
        "values",
        [
            {"seconds": "long"},
            {"seconds": float("inf")},
            {"seconds": 1e300},
            {"seconds": None},
            {"state": 7},
            {"state": "running", "run": []},
            {"state": "running", "run": {"pid": "x"}},
            {"state": "running", "run": {"host": os.uname().nodename, "pid": 10**30}},
            {"started": "0001-01-01T00:00:00+23:59"},
            {"updated": ["x"]},
            {"versions": ["x"]},
            {"versions": {"numpy": 7}},
        ],
        ids=str,
    )
    def test_a_status_of_other_types(self, out: Path, values: dict[str, Any]) -> None:
        change_json(out / "status.json", **values)
        for name in ("status", "report"):
            shown = command(name, str(out))
            assert shown.exit_code == 0, shown.exception
        last_status(opened(out))

    @attacks
    def test_of_errors(self, tmp_path: Path, attack: str, monkeypatch: Any, capsys: Any) -> None:
        from mcrelu.cli import commands

        path = tmp_path / "spec.yaml"
        path.write_text(json.dumps({"version": 1, attack: attack, "experiment": attack}))
        monkeypatch.setattr("sys.argv", ["mcrelu", "plan", str(path)])
        with pytest.raises(SystemExit):
            commands.main()
        said = capsys.readouterr().err
        assert obeyed(said) == []
        assert said.count("\n") == 1


class TestReport:
    def test_scripts_in_old_figures_do_not_arrive(self, out: Path) -> None:
        draw(opened(out))
        figure = out / "figures" / "crossing.svg"
        script = "<script>alert(document.domain)</script><a onclick='x()' href='javascript:x()'/>"
        figure.write_text(figure.read_text().replace("</svg>", f"{script}</svg>"))
        page = Path(publish_report(opened(out))).read_text()
        for word in ("<script", "onclick", "javascript:", "<svg"):
            assert word not in page
        assert script in b64decode(page.partition("base64,")[2].partition('"')[0]).decode()

    def test_nothing_may_run_or_be_loaded(self, out: Path) -> None:
        page = Path(publish_report(opened(out))).read_text()
        assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'; img' in page
        assert "http" not in page.replace("http-equiv", "")

    @attacks
    def test_of_sections(self, attack: str) -> None:
        page = sections_html([Section(attack, (attack, "b"), ((attack, "1"),), (attack,))])
        assert "<script" not in page
        assert obeyed(page) == []

    @attacks
    def test_of_a_spec(self, out: Path, attack: str) -> None:
        with (out / "spec.yaml").open("a") as spec:
            spec.write(f"# {attack}")
        page = Path(publish_report(opened(out))).read_text()
        assert "<script" not in page
        assert obeyed(page) == []

    @attacks
    def test_of_a_status(self, out: Path, attack: str) -> None:
        change_json(out / "status.json", state=attack, versions={attack: attack})
        page = Path(publish_report(opened(out))).read_text()
        assert "<script" not in page
        assert obeyed(page) == []


class TestFigures:
    @attacks
    def test_captions_are_no_formulas(self, attack: str) -> None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(3, 2))
        add_caption(figure, f"{attack} of {attack}")
        figure.draw_without_rendering()

    def test_the_name_of_an_output_is_a_comment_in_latex(self, out: Path) -> None:
        place = out.rename(out.with_name("a\n\\write18{touch owned}$"))
        draw(opened(place))
        assert names_together([place.name]) == "a ?write18?touch owned??"
        (document,) = place.glob("figures/*.tex")
        first, second = document.read_text().splitlines()[:2]
        assert first.startswith("% ")
        assert "write18" in first
        assert second == r"\documentclass{article}"
