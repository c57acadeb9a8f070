"""The Python interface: what it takes, what it shows, and how it is interrupted."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml
from small_sweeps import spec
from star_sweeps import star_spec

import mcrelu
from mcrelu.errors import ExitCode, SpecError
from mcrelu.runtime import notebook
from mcrelu.runtime.progress import Silent, Tally
from mcrelu.store.files import Files
from mcrelu.store.output import Output

SETUPS = {
    "version": 1,
    "experiment": "setups",
    "seed": 1,
    "networks": 3,
    "epochs": 2,
    "validate_every": 1,
    "cells": {"data": ["ex", "radial-1"], "width": [4], "learning_rate": [0.01, 0.02]},
}
SMALL = spec(networks=20, cells={"width": [4, 8]}, block_size=10)


def run(out: Path, sweep: Any = SMALL, **options: Any) -> mcrelu.Run:
    return mcrelu.run(sweep, out, "serial", progress=False, **options)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> mcrelu.Run:
    return run(tmp_path_factory.mktemp("runs") / "small")


def test_a_path_a_mapping_and_a_sweep_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    settings = {"networks": 10, "cells.width": [4]}
    tables = [
        run(tmp_path / name, source, settings=settings).table()
        for name, source in (("path", path), ("text", str(path)), ("mapping", SMALL))
    ]
    made = mcrelu.Sweep.from_yaml(path, settings)
    tables.append(run(tmp_path / "sweep", made).table())
    assert all(table == tables[0] for table in tables)
    assert tables[0]["networks"].to_pylist() == [10]
    assert tables[0]["width"].to_pylist() == [4]


def test_the_output_is_named_after_the_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(yaml.safe_dump(SMALL))
    done = mcrelu.run("mine.yaml", executor="serial", progress=False, settings={"networks": 5})
    assert Path("results/mine/spec.yaml").exists()
    assert done.out == str(tmp_path / "results" / "mine")


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(mcrelu.UserError, match="out: is missing"):
        mcrelu.run(SMALL, executor="serial")
    with pytest.raises(mcrelu.UserError, match="settings: go with a path or a mapping"):
        run(tmp_path, mcrelu.Sweep.of(SMALL), settings={"networks": 3})
    with pytest.raises(SpecError, match="networks = 0: too small"):
        run(tmp_path, settings={"networks": 0})
    with pytest.raises(SpecError, match=r"settings\['seed.a'\]: seed has no keys"):
        run(tmp_path, settings={"seed.a": 0})
    assert list(tmp_path.iterdir()) == []


def test_plan_says_what_a_sweep_takes() -> None:
    forecast = mcrelu.plan(SMALL, {"networks": 40})
    assert [(one.networks, one.blocks) for one in forecast.cells] == [(40, 4), (40, 4)]
    assert forecast.core_seconds > 0


def test_the_version_is_that_of_the_package() -> None:
    (line,) = [
        line for line in (Path(__file__).parents[1] / "pyproject.toml").read_text().splitlines()
        if line.startswith("version = ")
    ]  # fmt: skip
    assert line == f'version = "{mcrelu.__version__}"'


# ----------------------------------------------------------------------------------- results


def test_networks_are_chosen_by_parameters(done: mcrelu.Run) -> None:
    four, eight = (done.networks(cell) for cell in done.cells)
    assert done.networks(width=8) == eight
    assert done.networks(width=8, optimizer="gd", offset=0.0) == eight
    assert done.networks().num_rows == four.num_rows + eight.num_rows == 40
    with pytest.raises(mcrelu.UserError, match="no cell with width = 5"):
        done.networks(width=5)
    with pytest.raises(mcrelu.UserError, match=r"widht: .*; did you mean width"):
        done.networks(widht=8)
    with pytest.raises(mcrelu.UserError, match=r"luck: .*; they have .*width"):
        done.networks(luck=8)


def test_networks_are_chosen_by_what_only_some_cells_say(tmp_path: Path) -> None:
    """Defaults count: what a cell does not say of itself stands in its table."""
    lists = {"width": [4], "leaky_slope": [0, 0.1]}
    leaky = run(tmp_path / "leaky", SMALL | {"cells": lists})
    plain, other = (leaky.networks(cell) for cell in leaky.cells)
    assert leaky.networks(leaky_slope=0.1) == other
    assert leaky.networks(leaky_slope=0) == plain
    assert leaky.networks(data="standard", step_rule="inv_lambda_max").num_rows == 40


def test_cells_are_shown_by_their_labels(done: mcrelu.Run) -> None:
    first = done.cells[0]
    assert repr(first) == f"<cell {first.id}: gd n=4 offset=0 he>"


def test_tables_have_names(done: mcrelu.Run) -> None:
    assert done.tables()["cells"] == done.table()
    assert done.power_laws() == done.tables()["power_laws"]
    with pytest.raises(mcrelu.UserError, match="progress: crossing sweeps have cells, power_laws"):
        done.progress()


def test_progress_of_a_star_sweep(tmp_path: Path) -> None:
    star = run(tmp_path / "star", star_spec(epochs=2000))
    assert set(star.progress()["epoch"].to_pylist()) >= {1000, 2000}
    with pytest.raises(mcrelu.UserError, match="power_laws: star sweeps have"):
        star.power_laws()


def test_a_run_says_what_it_is(done: mcrelu.Run) -> None:
    assert repr(done) == f"<mcrelu.Run: crossing sweep in {done.out}, 2 cells, 4 of 4 blocks, done>"
    page = done._repr_html_()
    assert page.startswith("<p>crossing sweep in ")
    assert "<h2>GD: P(a kink may cross a data point)</h2>" in page
    assert f"<td>{done.table()['estimate'][0].as_py():.4f}</td>" in page


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "<b>", display=Interrupting(signal.SIGINT))
    half = mcrelu.Run.open(tmp_path / "<b>")
    assert "interrupted" in repr(half)
    page = half._repr_html_()
    assert "Unfinished: " in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "Unfinished: " in Path(half.report()).read_text()


def test_curves_are_drawn_on_axes_of_the_user(done: mcrelu.Run) -> None:
    """Beside what is there already, and with the numbers of the table."""
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([4, 8], [0.5, 0.5], label="mine")
    assert done.plot(left) is left
    (bars,) = left.containers
    points = np.asarray(bars.lines[0].get_xydata())
    np.testing.assert_allclose(points[:, 0], [4, 8])
    np.testing.assert_allclose(points[:, 1], done.table()["estimate"].to_numpy())
    assert left.get_xlabel().startswith("width")
    with pytest.raises(mcrelu.UserError, match="event: crossing sweeps have no such curves"):
        done.plot(left, event="loss")
    assert {"mine", "GD"} <= {text.get_text() for text in left.legend().get_texts()}
    assert not right.has_data()
    alone = done.plot()
    assert alone.figure is not figure
    plt.close("all")


def test_curves_of_other_experiments(tmp_path: Path) -> None:
    star = run(tmp_path / "star", star_spec(epochs=20))
    assert "below the affine threshold" in star.plot(event="loss").get_title()
    with pytest.raises(mcrelu.UserError, match="event = 'both': must be kink or loss"):
        star.plot(event="both")
    with pytest.raises(mcrelu.UserError, match=r"date: star sweeps have no such curves; .* event"):
        star.plot(date="ex")
    setups = run(tmp_path / "setups", SETUPS)
    assert "test RMSE on radial-1" in setups.plot(data="radial-1").get_xlabel()
    assert "test RMSE on ex" in setups.plot().get_xlabel()
    with pytest.raises(mcrelu.UserError, match="data = 'ey': the sweep has ex, radial-1"):
        setups.plot(data="ey")
    plt.close("all")


def test_a_network_is_done_again(done: mcrelu.Run) -> None:
    found = done.replay("width=8", 12)
    assert found.row == done.networks(width=8).slice(12, 1)
    assert done.replay(done.cells[1], 12).row == found.row
    assert done.replay(done.cells[1].id[:6], 12).row == found.row
    assert [section.title for section in found.sections] == ["What happened", "Checks"]
    with pytest.raises(mcrelu.UserError, match="2 cells fit"):
        done.replay("optimizer=gd", 12)
    with pytest.raises(mcrelu.UserError, match="has networks 0 to 19"):
        done.replay("width=8", 20)


def test_without_a_block_there_is_nothing_to_draw(tmp_path: Path) -> None:
    Output.claim(Files.at(tmp_path), mcrelu.Sweep.of(SMALL)).take()
    empty = mcrelu.Run.open(tmp_path)
    with pytest.raises(mcrelu.UserError, match="no block is complete"):
        empty.plot()
    assert "not run yet" in repr(empty)
    assert "Unfinished: 0 of 4 blocks" in empty._repr_html_()


# -------------------------------------------------------------------------------- interrupts


class Interrupting(Silent):
    """Sends a signal to the process at the first result."""

    def __init__(self, number: int) -> None:
        self.number: int | None = number

    def update(self, tally: Tally) -> None:
        if tally.blocks_done and self.number is not None:
            number, self.number = self.number, None
            os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "error", "state"),
    [
        (signal.SIGINT, KeyboardInterrupt, "interrupted"),
        (signal.SIGTERM, SystemExit, "terminated"),
    ],
)
def test_a_signal_is_an_exception_once_the_output_is_in_order(
    number: int, error: type[BaseException], state: str, tmp_path: Path
) -> None:
    """A loop over several runs ends, as Ctrl-C asks; and the same call goes on."""
    assert threading.current_thread() is threading.main_thread()
    before = signal.getsignal(number)
    with pytest.raises(error) as raised:
        run(tmp_path / "out", display=Interrupting(number))
    if error is SystemExit:
        assert raised.value.code == ExitCode.TERMINATED  # type: ignore[attr-defined]
    assert signal.getsignal(number) is before
    stopped = mcrelu.Run.open(tmp_path / "out").status()
    assert stopped["last_run"]["state"] == state
    assert 0 < stopped["blocks_done"] < stopped["blocks"]
    assert run(tmp_path / "out").status()["blocks_done"] == stopped["blocks"]


# ---------------------------------------------------------------------------------- displays


class Page:
    """What a notebook's front end shows: the outputs of a cell, which may be replaced."""

    def __init__(self) -> None:
        self.outputs: list[str] = []
        self.updates = 0

    def HTML(self, content: str) -> str:  # noqa: N802 - as IPython calls it
        return content

    def display(self, content: str, display_id: bool) -> Any:
        assert display_id
        self.outputs.append(content)
        place = len(self.outputs) - 1

        def update(later: str) -> None:
            self.outputs[place] = later
            self.updates += 1

        return SimpleNamespace(update=update)


def test_a_notebook_shows_one_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, kernel = Page(), SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    monkeypatch.setitem(sys.modules, "IPython.display", page)
    monkeypatch.setattr(notebook, "SECONDS", 0.0)
    mcrelu.run(SMALL, tmp_path / "out", "serial")
    (output,) = page.outputs
    assert '<progress value="1.0000" max="1">' in output
    assert "40/40 networks" in output
    assert "running in this process" in output
    assert page.updates > 3
    assert capsys.readouterr() == ("", "")


def test_a_script_shows_lines_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mcrelu.run(SMALL, tmp_path / "out", "serial")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "4/4 blocks, 40/40 networks" in shown.err


def test_progress_may_be_switched_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "out")
    assert capsys.readouterr() == ("", "")
