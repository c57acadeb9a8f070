"""The documentation holds: snippets run, commands and links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest
from small_sweeps import run_serially, sweep

from mcrelu.cli import cli
from mcrelu.errors import ExitCode
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.sweep.sweep import Sweep

ROOT = Path(__file__).parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("benchmarks/*.md"),
    ]
}
TODAY = [page for page in PAGES if page != "CHANGELOG.md"]  # that tells of the past, too
OPTIONAL = ("pandas", "sklearn")  # what snippets may ask for beyond mcrelu


def snippets(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What snippets find in a checkout, as a copy that they may write into; and where they are."""
    for folder in ("jobs", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    return tmp_path


# ----------------------------------------------------------------------------------- Python


def needs(snippet: str) -> list[str]:
    """The optional packages that a snippet asks for and that are not installed."""
    asked = [one for one in OPTIONAL if re.search(rf"\b(import|from) {one}\b|to_{one}\(", snippet)]
    return [one for one in asked if find_spec(one) is None]


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page, "python")])
def test_pages_run(page: str, checkout: Path) -> None:
    """Snippets as they stand, sweeps of commands between them with few networks, in order."""
    space: dict[str, Any] = {"__name__": page}
    for python, command in re.findall(
        r"^```python\n(.*?)^```|^    (mcrelu [^\n]*)$", PAGES[page], re.MULTILINE | re.DOTALL
    ):
        if command:
            run_small(shlex.split(command, comments=True))
        elif not needs(python):
            exec(compile(python, page, "exec"), space)


def test_the_python_page_says_what_comes_out(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space: dict[str, Any] = {}
    for snippet in snippets("docs/python.md", "python"):
        if "to_pandas" not in snippet:
            exec(compile(snippet, "docs/python.md", "exec"), space)
    assert space["run"].table()["networks"].to_pylist() == [100, 100, 100]
    assert space["pooled"]["networks"].to_pylist() == [200, 200, 200]
    assert space["narrow"].exit_code in (ExitCode.DONE, ExitCode.BUDGET)
    assert "1000 (50, 100) (50, 100, 64)\n" in capsys.readouterr().out


def test_the_page_on_groups_shows_what_its_snippets_print(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page, space = "docs/grouped-engines.md", dict[str, Any]()
    for snippet, shown in zip(snippets(page, "python"), snippets(page, "text"), strict=True):
        exec(compile(snippet, page, "exec"), space)
        assert capsys.readouterr().out.split() == shown.split()
    assert space["engine"].info(space["state"]).first_crossing[0] == 116


def test_data_are_those_that_the_page_makes(checkout: Path) -> None:
    pytest.importorskip("sklearn")
    exec(compile(snippets("docs/own-data.md", "python")[0], "docs/own-data.md", "exec"), {})
    for path in (ROOT / "docs" / "own-data").glob("*.csv"):
        assert (checkout / "docs" / "own-data" / path.name).read_text() == path.read_text()


# --------------------------------------------------------------------------------- notebook

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def cells_of_notebook() -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_the_notebook_runs(checkout: Path) -> None:
    pytest.importorskip("pandas")
    space: dict[str, Any] = {}
    for cell in cells_of_notebook():
        exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), space)
    assert space["table"]["networks"].tolist() == [2000] * 5
    assert 0.4 < space["law"]["exponent"] < 0.6
    assert space["comparison"]["agrees"].all()
    assert 0 < space["crossed"].sum() < 20


def test_the_notebook_was_executed_in_order_and_names_no_machine() -> None:
    cells = cells_of_notebook()
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [output["output_type"] for cell in cells for output in cell["outputs"]]
    assert kinds.count("display_data") >= 3
    assert "error" not in kinds
    text = NOTEBOOK.read_text()
    assert not re.search(r"/(tmp|home|root|work|Users|usr)/", text)
    assert len(text) < 200_000


# ------------------------------------------------------------------------------------ shell


def run_small(words: list[str]) -> None:
    """Give a command; the sweep of a run is a small one, in this process, or left out."""
    if words[1] == "run":
        if Sweep.from_yaml(words[2]).spec.experiment != "crossing":
            return
        words = [*words, "--serial", "--set", "networks=20", "--set", "cells.width=[16,32]"]
    assert not cli.main(words[1:], standalone_mode=False)


@pytest.mark.slow
def test_the_sample_of_the_readme_is_what_is_printed(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (command, shown), *_ = re.findall(
        r"^    (mcrelu run .*)\n\n.*\n\n((?:    .*\n)+)", PAGES["README.md"], re.MULTILINE
    )
    cli.main([*shlex.split(command)[1:], "--serial"], standalone_mode=False)
    printed = [line.strip() for line in capsys.readouterr().out.splitlines()]
    lines = [line.strip() for line in shown.splitlines()]
    assert len(lines) > 9
    assert printed[: len(lines)] == lines


def test_partial_blocks_are_done_anew_and_begin_as_they_were(tmp_path: Path) -> None:
    """As docs/laptop.md says of a run that gets more networks."""
    few = run_serially(tmp_path, sweep(networks=4))
    before = few.networks(few.sweep.cells[0])
    more = Output.claim(Files.at(tmp_path), sweep(networks=15))
    assert [block.index for block in more.missing()] == [0, 1]
    run_serially(tmp_path, sweep(networks=15))
    assert more.networks(more.sweep.cells[0]).slice(0, 4) == before
    others = run_serially(tmp_path / "other", sweep(networks=15, block_size=5))
    rows = others.networks(others.sweep.cells[0])
    assert rows["step_size"].slice(5) != more.networks(more.sweep.cells[0])["step_size"].slice(5)


def test_completion_is_as_the_guide_says() -> None:
    (variable,) = re.findall(r'eval "\$\((\S+)=bash_source mcrelu\)"', PAGES["docs/laptop.md"])
    code = "import sys; sys.argv = ['mcrelu']; from mcrelu.cli import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, variable: "bash_source"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "complete -o nosort -F _mcrelu_completion mcrelu" in found.stdout


def commands(page: str) -> Iterator[list[str]]:
    """The command lines of a page, as words: in blocks, and `mcrelu ...` in sentences."""
    text = PAGES[page]
    lines = [line[4:] for line in prose(text).splitlines() if line.startswith("    ")]
    lines += "".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).splitlines()
    inline = re.findall(r"`(?:mcrelu|make|ray) [^`]+`", prose(text))
    for line in lines + [one.strip("`").replace("\\|", "|") for one in inline]:
        for part in re.split(r"[;|]|&&", line.partition(" #")[0]):
            try:
                words = shlex.split(part)
            except ValueError:  # a line of a sample output
                continue
            if words:
                yield [words[0].removeprefix(".venv/bin/"), *words[1:]]


def commands_of(program: str) -> list[tuple[str, list[str]]]:
    return [(page, words[1:]) for page in TODAY for words in commands(page) if words[0] == program]


def is_placeholder(word: str) -> bool:
    return word.isupper() or word == ".." or "$" in word


def test_there_are_commands() -> None:
    assert len(commands_of("mcrelu")) > 30
    assert commands_of("make")


@pytest.mark.parametrize(("page", "words"), commands_of("mcrelu"), ids=str)
def test_commands_of_mcrelu_exist(page: str, words: list[str]) -> None:
    """Their options do, and the specs they name are valid with what is set."""
    if words[0].startswith("-"):
        cli.make_context("mcrelu", words, resilient_parsing=True)
        return
    name, *arguments = words
    command = cli.commands[name]
    if not arguments:
        return  # the name of a command in a sentence
    numbers = {"NETWORK": "0"}
    parsed = command.make_context(name, [numbers.get(word, word) for word in arguments]).params
    spec = parsed.get("spec")
    if spec and not is_placeholder(spec):
        Sweep.from_yaml(ROOT / spec, parsed["settings"])


def test_commands_with_options_that_do_not_exist_are_noticed() -> None:
    with pytest.raises(click.NoSuchOption):
        test_commands_of_mcrelu_exist("page", ["run", "jobs/sweeps/fig8.yaml", "--silent"])


@pytest.mark.parametrize(("page", "words"), commands_of("make"), ids=str)
def test_targets_of_make_exist(page: str, words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {word for word in words if "=" not in word} <= set(targets)


PATH = re.compile(r"(?<![\w/.])(?:jobs|docs|tests|mcrelu|benchmarks)/[\w./-]*\w")


@pytest.mark.parametrize("page", TODAY)
def test_files_that_are_named_exist(page: str) -> None:
    assert [name for name in PATH.findall(PAGES[page]) if not (ROOT / name).exists()] == []


# ------------------------------------------------------------------------------------ links


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in LINK.findall(prose(PAGES[page])):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text()), target
