"""Parameters that nobody would write, under ids that are right: refused where contents are read."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from bounded import PEAK_BYTES, ROOT, assert_refused, mcrelu
from click.testing import CliRunner
from forged_outputs import Change, forge

from mcrelu.cli import cli
from mcrelu.errors import ExitCode, ForeignOutputError, UserError
from mcrelu.experiments.base import CELLS
from mcrelu.experiments.setups.learned import shown_rows
from mcrelu.serve.reading import Reading
from mcrelu.store import contents
from mcrelu.store.contents import CELLS_FILE
from mcrelu.store.files import Files
from mcrelu.store.output import Output
from mcrelu.store.reduce import reduce

FROZEN = ROOT / "tests" / "frozen"
VERSIONS = {path.name.partition("-")[0]: path for path in sorted(FROZEN.iterdir())}
experiments = pytest.mark.parametrize("name", VERSIONS)

DAMAGED = "cells.json is damaged or of a later version; restore it, or choose another --out"


def copied(name: str, tmp_path: Path) -> Path:
    """An output of an experiment, to be forged."""
    return Path(shutil.copytree(VERSIONS[name], tmp_path / "out"))


def opened(out: Path) -> Output:
    return Output.open(Files.at(out))


def with_parameters(**values: Any) -> Change:
    """Set parameters; those that are ``...`` are left out."""

    def change(cell: dict[str, Any]) -> None:
        merged = cell["parameters"] | values
        cell["parameters"] = {key: value for key, value in merged.items() if value is not ...}

    return change


def with_extent(**values: int) -> Change:
    return lambda cell: cell["extent"].update(values)


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


HARMLESS = with_parameters(of_a_later_version=[1, {"a": "b"}, None, True])


class TestForging:
    """Else the refusals below would show nothing of what is wrong."""

    @experiments
    def test_what_is_harmless_is_read_and_counted(self, name: str, tmp_path: Path) -> None:
        out = copied(name, tmp_path)
        before = reduce(opened(out)).tables[CELLS]
        forge(out, HARMLESS)
        after = reduce(opened(out))
        assert after.refused == []
        assert after.tables[CELLS]["cell"].to_pylist() != before["cell"].to_pylist()
        assert after.tables[CELLS].drop("cell").equals(before.drop("cell"))
        assert sum(before["networks"].to_pylist()) > 0

    def test_an_id_that_is_wrong_is_refused(self, tmp_path: Path) -> None:
        out = copied("event", tmp_path)
        known = json.loads((out / CELLS_FILE).read_text())
        known["cells"][0]["parameters"]["more"] = 1
        (out / CELLS_FILE).write_text(json.dumps(known))
        with pytest.raises(ForeignOutputError, match=DAMAGED):
            opened(out)


WIDTHS: list[Any] = [
    None, True, "many", "4", -1, 0, 2.5, 2**32, 2**64, 10**400, [4], {"a": 4},
]  # fmt: skip

OF_ALL: dict[str, dict[str, Any]] = {
    "no width": {"width": ...},
    "no engine": {"engine": ...},
    "no version of it": {"semantics": ...},
    "an engine that is a number": {"engine": 7},
    "a version that is a text": {"semantics": "1"},
    "a version that is true": {"semantics": True},
    **{f"width {value!r}": {"width": value} for value in WIDTHS},
    "markup": {"more": "<script>alert(1)</script>"},
    "a name that is markup": {"\\write18{x}": 1},
    "a long text": {"more": "x" * 101},
    "a long name": {"x" * 101: 1},
    "a huge number": {"more": 2**63},
    "not a number": {"more": math.nan},
    "infinity": {"more": -math.inf},
    "lists in lists": {"more": deep(9)},
    "as deep as JSON may be": {"more": deep(150)},
}  # fmt: skip

OF_ONE: dict[str, dict[str, list[Any]]] = {
    "crossing": {
        "offset": [..., None, "0", [0.0]],
        "optimizer": [..., None, 7],
        "init": [..., 1.5],
        "step_size": [..., "many", [1]],
        "stop": [..., None, 7, [1]],
        "leaky_slope": ["x", None, []],
        "data": [7, "x", {"points": 3}, {"points": 3, "digest": 4}],
        "samples": [7, {"factor": "x"}, {"power": [1]}, {"more": 1}],
        "minibatch": ["x", 1e300, -1, 2.5],
        "scales": [7, ["a", "b"], [1, 2, 3]],
    },
    "star": {
        "data": [..., None, 7],
        "depth": [..., 0, "1", 2**40],
        "activation": [..., 1.5],
        "step_size": [..., None, True, 1.5, []],
        "step_factor": [..., None, "1", [1.0]],
        "random_bias": [..., None, 1, "no"],
        "precision": [..., 64],
    },
    "setups": {
        "data": [..., None, 7],
        "parametrization": [..., None, 7, "mup"],
        "optimizer": [..., True, "lion"],
        "bias_gain": [..., None, "1"],
        "batch": [..., -1, "x"],
        "learning_rate": [..., None, "fast"],
        "train_points": [..., None, 0, -1, 1.5, "x"],
        "epochs": [..., None, 0, 2**33],
    },
    "event": {"rhs_factor": [..., None, True, "1", [1.0]]},
}


class TestRefused:
    @experiments
    @pytest.mark.parametrize("values", OF_ALL.values(), ids=OF_ALL)
    def test_by_all(self, name: str, values: dict[str, Any], tmp_path: Path) -> None:
        out = copied(name, tmp_path)
        forge(out, with_parameters(**values))
        with pytest.raises(ForeignOutputError, match=DAMAGED) as caught:
            opened(out)
        assert len(str(caught.value)) < 500

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            (name, {parameter: value})
            for name, parameters in OF_ONE.items()
            for parameter, values in parameters.items()
            for value in values
        ],
        ids=str,
    )
    def test_by_one(self, name: str, values: dict[str, Any], tmp_path: Path) -> None:
        out = copied(name, tmp_path)
        forge(out, with_parameters(**values))
        with pytest.raises(ForeignOutputError, match=DAMAGED):
            opened(out)

    @pytest.mark.parametrize("epochs", [0, 2**32, 2**62])
    def test_epochs(self, epochs: int, tmp_path: Path) -> None:
        out = copied("star", tmp_path)
        forge(out, with_extent(epochs=epochs))
        with pytest.raises(ForeignOutputError, match=DAMAGED):
            opened(out)

    def test_more_values_than_a_sweep_may_have(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = copied("event", tmp_path)
        content = (out / CELLS_FILE).read_text()
        count = sum(map(content.count, ",[{"))
        monkeypatch.setattr(contents, "MOST_VALUES", count)
        opened(out)
        monkeypatch.setattr(contents, "MOST_VALUES", count - 1)
        with pytest.raises(ForeignOutputError, match=DAMAGED):
            opened(out)


def commands(out: Path, other: Path) -> dict[str, list[str]]:
    """Every command that reads outputs, and what it is given."""
    here, there = str(out), str(other)
    known = json.loads((out / CELLS_FILE).read_text())
    return {
        "status": ["status", here],
        "reduce": ["reduce", here],
        "report": ["report", here],
        "plot": ["plot", here],
        "plot of several": ["plot", here, there, "--to", f"{here}/both.png"],
        "compare": ["compare", here, there],
        "compare as the other": ["compare", there, here],
        "compare with the paper": ["compare", here, "paper"],
        "check": ["check", here],
        "compact": ["compact", here],
        "replay": ["replay", here, known["cells"][0]["id"], "0"],
        "run": ["run", f"{there}/spec.yaml", "--out", here, "--serial"],
        "run of a block": [
            "run", f"{there}/spec.yaml", "--out", here, "--serial", "--block", "width=1/0",
        ],
    }  # fmt: skip


ALL_COMMANDS = list(commands(VERSIONS["event"], VERSIONS["event"]))


class TestCommands:
    @pytest.mark.parametrize("command", ALL_COMMANDS)
    def test_say_it_in_one_line(self, command: str, tmp_path: Path) -> None:
        out = copied("event", tmp_path)
        forge(out, with_parameters(width="many"))
        done = CliRunner().invoke(cli, commands(out, VERSIONS["event"])[command])
        assert isinstance(done.exception, ForeignOutputError)
        assert done.exception.exit_code == ExitCode.FOREIGN_OUTPUT
        assert str(done.exception) == f"{out}: {DAMAGED}"

    def test_so_does_the_live_page(self, tmp_path: Path) -> None:
        out = copied("event", tmp_path)
        assert self.error_on_the_page(out) is None
        forge(out, with_parameters(width="many"))
        assert self.error_on_the_page(out) == f"{out}: {DAMAGED}"

    def error_on_the_page(self, out: Path) -> str | None:
        seen = json.loads(Reading("key", "name", str(out), str(out)).look().body)
        error: str | None = seen["error"]
        return error


# What this program does not know and can show all the same: later ones may have written it.
UNKNOWN: dict[str, list[dict[str, Any]]] = {
    "crossing": [
        {"optimizer": "lion", "engine": "quantum"},
        {"init": "x" * 100, "step_size": 1e308, "offset": -1e308},
        {"stop": [], "checks": "never"},
        {"scales": [0, -1e308], "leaky_slope": -5, "minibatch": 2**31},
        {"data": {"points": "many", "digest": "0"}, "samples": {"factor": 1e308, "power": -1e308}},
    ],
    "star": [
        {"data": "square", "activation": "", "step_size": "none", "precision": "float8"},
        {"width": 2**31, "depth": 255, "step_factor": -1e-308},
    ],
    "setups": [
        {"data": "moons", "bias_init": "none", "engine": "quantum"},
        {"width": 2**31, "train_points": 2**31, "batch": 1},
        {"learning_rate": -1e308, "bias_gain": 0},
        {"epochs": 2**31, "validate_every": "never"},
    ],
    "event": [{"rhs_factor": -1e308}, {"width": 2**31, "engine": ""}],
}
unknown = pytest.mark.parametrize(
    ("name", "values"), [(name, one) for name, many in UNKNOWN.items() for one in many], ids=str
)


class TestUnknown:
    @unknown
    def test_is_counted_and_told(self, name: str, values: dict[str, Any], tmp_path: Path) -> None:
        out = copied(name, tmp_path)
        forge(out, with_parameters(**values))
        output = opened(out)
        tables = reduce(output).tables
        assert output.experiment.sections(tables)
        assert output.experiment.points(tables[CELLS])
        assert TestCommands().error_on_the_page(out) is None

    @pytest.mark.parametrize("command", ["replay", "run"])
    @unknown
    def test_is_done_by_nobody(
        self, name: str, values: dict[str, Any], command: str, tmp_path: Path
    ) -> None:
        out = copied(name, tmp_path)
        forge(out, with_parameters(**values))
        done = CliRunner().invoke(cli, commands(out, VERSIONS[name])[command])
        assert isinstance(done.exception, ForeignOutputError)
        assert len(str(done.exception)) < 4000

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:constrained_layout not applied")  # names are too long
    @experiments
    def test_every_command(self, name: str, tmp_path: Path) -> None:
        """A result, a difference or one line, and never anything unexpected."""
        out = copied(name, tmp_path)
        for values in UNKNOWN[name]:
            forge(out, with_parameters(**values))
        for arguments in commands(out, VERSIONS[name]).values():
            done = CliRunner().invoke(cli, arguments)
            known = isinstance(done.exception, UserError | SystemExit | None)
            assert known, (arguments, done.exception)

    def test_engines_that_differ_from_the_row(self, tmp_path: Path) -> None:
        """Rows are no part of it: who forges them, too, has written an output of his own."""
        out = copied("event", tmp_path)
        forge(out, with_parameters(engine="quantum"))
        assert opened(out).networks(opened(out).cells[0]).num_rows > 0


class TestExtents:
    @pytest.mark.parametrize("epochs", [999, 2**31])
    def test_other_epochs_than_rows_have(self, epochs: int, tmp_path: Path) -> None:
        out = copied("star", tmp_path)
        forge(out, with_extent(epochs=epochs))
        with pytest.raises(ForeignOutputError, match=f"the losses of its {epochs} epochs"):
            reduce(opened(out))

    @experiments
    def test_more_of_them_than_specs_say(self, name: str, tmp_path: Path) -> None:
        out = copied(name, tmp_path)
        forge(out, with_extent(moons=5))
        done = CliRunner().invoke(cli, commands(out, VERSIONS[name])["run"])
        assert isinstance(done.exception, ForeignOutputError)
        assert "moons: 5 there, None here" in str(done.exception)


class TestLongContradictions:
    def test_the_first_are_told(self, tmp_path: Path) -> None:
        out = copied("event", tmp_path)

        def change(known: dict[str, Any]) -> None:
            known["settings"] |= {f"key {k}": "x" * 10**5 for k in range(100)}

        forge(out, HARMLESS, contents=change)
        done = CliRunner().invoke(cli, commands(out, VERSIONS["event"])["run"])
        assert isinstance(done.exception, ForeignOutputError)
        assert "key 0: " in str(done.exception)
        assert "and 95 more" in str(done.exception)
        assert len(str(done.exception)) < 4000


def row(**changes: Any) -> dict[str, Any]:
    """A row of the table of best rates, as the paper's."""
    return {
        "data": "ex", "parametrization": "ntk", "optimizer": "adam", "bias_init": "zero",
        "bias_gain": 1.0, "width": 512, "batch": 16, "learning_rate": 0.02, "train_points": 256,
        "epochs": 8192,
    } | changes  # fmt: skip


class TestFigures:
    def test_networks_are_trained_for_a_figure_where_that_takes_moments(self) -> None:
        assert shown_rows([row()]) == [row()]
        for name, values in {
            "width": (0, -1, 2**20, 2**32),
            "train_points": (0, 1, 2**24, 2**32),
            "epochs": (0, 10**6, 2**32),
            "batch": (0, -1),
        }.items():
            for value in values:
                assert shown_rows([row(**{name: value})]) == []


@pytest.mark.slow
class TestMemory:
    def test_of_many_values(self, tmp_path: Path) -> None:
        out = copied("event", tmp_path)
        most = contents.MOST_VALUES // 2 // len(opened(out).cells)  # a comma and a bracket each
        for count, code in ((most - 1000, 0), (3 * most, 6)):
            forge(out, with_parameters(more=[[]] * count))
            ended = mcrelu("status", out)
            assert ended.code == code, ended.text[-2000:]
            assert ended.peak < PEAK_BYTES
        assert_refused(ended, 6, "cells.json is damaged")

    def test_of_networks_for_a_figure(self, tmp_path: Path) -> None:
        out = copied("setups", tmp_path)
        forge(out, with_parameters(train_points=2**31, width=2**31))
        ended = mcrelu("report", out)
        assert ended.code == 0, ended.text[-2000:]
        assert ended.peak < PEAK_BYTES
