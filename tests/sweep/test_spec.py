"""Specs: what a user may write, what a user is told, and the identities that specs fix."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from small_sweeps import crossing_cells, spec, sweep

from mcrelu.errors import ExitCode, SpecError
from mcrelu.experiments.crossing.block_sizes import default_block_size
from mcrelu.experiments.crossing.cell import CrossingCell, StepRule
from mcrelu.experiments.crossing.stopping import Crossing, EarlyStopping, Sufficient
from mcrelu.experiments.crossing.train import Checks
from mcrelu.sweep.reading import parse_yaml
from mcrelu.sweep.sweep import Sweep
from mcrelu.theory.criterion import Form

SWEEPS = sorted((Path(__file__).parents[2] / "jobs" / "sweeps").glob("*.yaml"))

GOOD = """\
version: 1
experiment: crossing
seed: 7
networks: 100
cells:
  width: [16]
  offset: [0]
  optimizer: [gd]
  init: [he]
step_size: inv_lambda_max
stop: [crossing, early_stopping]
checks: {interval: 10, maximum: 10}
engine: auto
device: auto
rng: philox
block_size: 50
"""


def changed(line: str, replacement: str) -> str:
    """The good spec with one line replaced."""
    assert line in GOOD
    return GOOD.replace(line, replacement, 1)


BAD = {
    # keys
    "unknown key": (GOOD + "netwroks: 5\n", ["netwroks", "5", "did you mean networks?"]),
    "unlike any key": (GOOD + "zebra: 5\n", ["zebra", "5", "use one of", "networks"]),
    "unknown nested key": (
        changed("width: [16]", "widht: [16]\n  width: [16]"),
        ["cells.widht", "[16]", "did you mean width?"],
    ),
    "unknown key of step_size": (
        changed("inv_lambda_max", "{over_widths: 0.01}"),
        ["step_size.over_width", "is missing", "add it"],
    ),
    "unknown key of a criterion": (
        changed("early_stopping]", "early_stopping: {patiance: 3}]"),
        ["stop[1].early_stopping.patiance", "3", "did you mean patience?"],
    ),
    "unknown key of checks": (
        changed("maximum: 10", "maximum: 10, often: 1"),
        ["checks.often", "1", "use one of interval, maximum, early"],
    ),
    "missing key": (changed("networks: 100\n", ""), ["networks", "is missing", "add it"]),
    "missing nested key": (changed("  width: [16]\n", ""), ["cells.width", "is missing"]),
    "number as a key": (GOOD + "7: 5\n", ["7", "write names as keys"]),
    "key twice": (GOOD + "seed: 8\n", ["line 17", "'seed'", "stands twice", "remove one"]),
    "nested key twice": (
        changed("offset: [0]", "width: [32]"),
        ["line 7", "'width'", "stands twice", "remove one"],
    ),
    # numbers
    "width 0": (changed("[16]", "[0]"), ["cells.width[0]", "= 0", "use 1 or more"]),
    "one bad width of several": (changed("[16]", "[8, -2]"), ["cells.width[1]", "= -2", "1 or"]),
    "width beyond exact arithmetic": (
        changed("[16]", "[16777217]"),
        ["cells.width[0]", "16777217", "use 16777216 or less"],
    ),
    "1e-3 read as text": (
        changed("inv_lambda_max", "{over_width: 1e-3}"),
        ["step_size.over_width", "'1e-3'", "YAML reads this as text", "write 0.001"],
    ),
    "1e-8 read as text": (
        changed("early_stopping]", "early_stopping: {min_delta: 1e-8}]"),
        ["stop[1].early_stopping.min_delta", "'1e-8'", "YAML reads this as text", "write 1.0e-08"],
    ),
    "text for a number": (
        changed("offset: [0]", "offset: [zero]"),
        ["cells.offset[0]", "'zero'", "is text; give a number"],
    ),
    "NaN": (changed("offset: [0]", "offset: [.nan]"), ["cells.offset[0]", "nan", "finite"]),
    "infinity": (
        changed("inv_lambda_max", "{over_width: .inf}"),
        ["step_size.over_width", "inf", "finite"],
    ),
    "10 as text": (
        changed("networks: 100", "networks: '10'"),
        ["networks", "'10'", "text; write 10 "],
    ),
    "16 as text in a list": (
        changed("[16]", "['16']"),
        ["cells.width[0]", "'16'", "text; write 16 "],
    ),
    "1e3 for a whole number": (
        changed("networks: 100", "networks: 1e3"),
        ["networks", "'1e3'", "text; write 1000 "],
    ),
    "a fraction as text for a whole number": (
        changed("networks: 100", "networks: '2.5'"),
        ["networks", "'2.5'", "is text; give a whole number"],
    ),
    "infinity as text for a number": (
        changed("offset: [0]", "offset: ['inf']"),
        ["cells.offset[0]", "'inf'", "is text; give a number"],
    ),
    "base 60": (changed("seed: 7", "seed: 1:30"), ["seed", "'1:30'", "give a whole number"]),
    "base 60 with a point": (
        changed("offset: [0]", "offset: [1:30.5]"),
        ["cells.offset[0]", "'1:30.5'", "is text; give a number"],
    ),
    "base 8": (changed("seed: 7", "seed: 010"), ["seed", "'010'", "text; write 10 "]),
    "base 16": (changed("seed: 7", "seed: 0x10"), ["seed", "'0x10'", "give a whole number"]),
    "base 2": (changed("seed: 7", "seed: 0b11"), ["seed", "'0b11'", "give a whole number"]),
    "digits with gaps": (changed("seed: 7", "seed: 1_000"), ["seed", "'1_000'", "write 1000 "]),
    "offset of overflowing networks": (
        changed("offset: [0]", "offset: [1.0e+300]"),
        ["cells.offset[0]", "1e+300", "use 1000000.0 or less"],
    ),
    "negative offset of overflowing networks": (
        changed("offset: [0]", "offset: [-1000001]"),
        ["cells.offset[0]", "-1000001", "use -1000000.0 or more"],
    ),
    "steps that overflow": (
        changed("inv_lambda_max", "{over_width: 1.0e+300}"),
        ["step_size.over_width", "1e+300", "use 1000000.0 or less"],
    ),
    "leaky slope 1": (
        changed("offset: [0]", "leaky_slope: [1]"),
        ["cells.leaky_slope[0]", "= 1", "use less than 1"],
    ),
    "negative leaky slope": (
        changed("offset: [0]", "leaky_slope: [0, -0.1]"),
        ["cells.leaky_slope[1]", "-0.1", "use 0.0 or more"],
    ),
    "leaky slope without list": (
        changed("offset: [0]", "leaky_slope: 0.1"),
        ["cells.leaky_slope", "0.1", "square brackets"],
    ),
    "negative networks": (
        changed("networks: 100", "networks: -5"),
        ["networks", "-5", "use 1 or more"],
    ),
    "no networks": (changed("networks: 100", "networks: 0"), ["networks", "0", "use 1 or more"]),
    "negative seed": (changed("seed: 7", "seed: -7"), ["seed", "-7", "use 0 or more"]),
    "seed of 64 bits": (
        changed("seed: 7", "seed: 9223372036854775808"),
        ["seed", "9223372036854775808", "too large"],
    ),
    "step size 0": (
        changed("inv_lambda_max", "{over_width: 0}"),
        ["step_size.over_width", "= 0", "more than 0"],
    ),
    "patience 0": (
        changed("early_stopping]", "early_stopping: {patience: 0}]"),
        ["stop[1].early_stopping.patience", "= 0", "use 1 or more"],
    ),
    "block_size 0": (changed("block_size: 50", "block_size: 0"), ["block_size", "0", "1 or more"]),
    "block_size too large": (
        changed("block_size: 50", "block_size: 65537"),
        ["block_size", "65537", "use 65536 or less"],
    ),
    "more steps than a row can say": (
        changed("{interval: 10, maximum: 10}", "{interval: 100000, maximum: 42950}"),
        ["checks.maximum", "42950", "2^32", "lower it"],
    ),
    # types
    "text for a list": (changed("[gd]", "gd"), ["cells.optimizer", "'gd'", "square brackets"]),
    "number for a list": (changed("[16]", "16"), ["cells.width", "= 16", "square brackets"]),
    "text for stop": (
        changed("[crossing, early_stopping]", "crossing"),
        ["stop", "'crossing'", "square brackets"],
    ),
    "bool for an integer": (
        changed("networks: 100", "networks: true"),
        ["networks", "true", "whole number"],
    ),
    "float for an integer": (
        changed("networks: 100", "networks: 100.0"),
        ["networks", "100.0", "whole number"],
    ),
    "bool for a number": (
        changed("offset: [0]", "offset: [yes]"),
        ["cells.offset[0]", "true", "must be a number"],
    ),
    "date for an integer": (
        changed("seed: 7", "seed: 2020-02-12"),
        ["seed", "2020", "whole number"],
    ),
    "nothing for a number": (changed("seed: 7", "seed:"), ["seed", "null", "whole number"]),
    "list for cells": (
        GOOD.replace("cells:", "cells: [1]\nunused:", 1),
        ["cells[0] = 1", "mapping of keys to values"],
    ),
    # names
    "unknown version": (changed("version: 1", "version: 2"), ["version", "2", "must be 1"]),
    "version as a fraction": (
        changed("version: 1", "version: 1.0"),
        ["version = 1.0", "must be 1"],
    ),
    "a mapping for a number": (
        changed("seed: 7", "seed: {a: [null, x]}"),
        ["seed = {a: [null, 'x']}", "whole number"],
    ),
    "version true": (changed("version: 1", "version: true"), ["version = true", "must be 1"]),
    "version as text": (changed("version: 1", 'version: "1"'), ["version", "'1'", "must be 1"]),
    "unknown experiment": (
        changed("experiment: crossing", "experiment: crosing"),
        ["experiment", "'crosing'", "must be 'crossing'"],
    ),
    "unknown optimiser": (
        changed("[gd]", "[rmsprop]"),
        ["cells.optimizer[0]", "'rmsprop'", "'gd', 'sgd' or 'adam'"],
    ),
    "unknown initialisation": (
        changed("[he]", "[glorot]"),
        ["cells.init[0]", "'glorot'", "'he' or 'swapped'"],
    ),
    "unknown criterion": (
        changed("early_stopping]", "sufficent]"),
        ["stop[1]", "'sufficent'", "'crossing', 'early_stopping' or 'sufficient'"],
    ),
    "unknown criterion with options": (
        changed("early_stopping]", "late_stopping: {patience: 3}]"),
        ["stop[1].late_stopping", "did you mean early_stopping?"],
    ),
    "unknown form of a criterion": (
        changed("early_stopping]", "sufficient: {form: blunt}]"),
        ["stop[1].sufficient.form", "'blunt'", "'modewise', 'sharp' or 'published'"],
    ),
    "unknown step size": (
        changed("inv_lambda_max", "small"),
        ["step_size", "'small'", "'inv_lambda_max'"],
    ),
    "number as step size": (
        changed("inv_lambda_max", "0.01"),
        ["step_size", "0.01", "'inv_lambda_max'", "over_width"],
    ),
    "unknown engine": (changed("engine: auto", "engine: gpu"), ["engine", "'gpu'", "'auto'"]),
    "unknown device": (changed("device: auto", "device: tpu"), ["device", "'tpu'", "'auto'"]),
    "unknown rng": (
        changed("philox", "mersenne"),
        ["rng", "'mersenne'", "'philox4x32', 'philox' or 'legacy'"],
    ),
    # combinations
    "empty list": (changed("[16]", "[]"), ["cells.width", "[]", "is empty", "at least one value"]),
    "empty stop": (
        changed("[crossing, early_stopping]", "[]"),
        ["stop", "[]", "is empty", "at least one value"],
    ),
    "duplicate cells": (
        changed("[16]", "[16, 32, 16]"),
        ["cells.width", "[16, 32, 16]", "16 is listed twice", "once"],
    ),
    "equal offsets written differently": (
        changed("offset: [0]", "offset: [0, 0.0]"),
        ["cells.offset", "0.0 is listed twice"],
    ),
    "criterion twice": (
        changed("early_stopping]", "early_stopping, early_stopping: {patience: 3}]"),
        ["stop", "listed twice", "once"],
    ),
    "two criteria in one entry": (
        changed("early_stopping]", "{early_stopping: {}, sufficient: {}}]"),
        ["stop[1]", "one criterion", "one list entry per criterion"],
    ),
    "nothing counts crossings": (
        changed("[crossing, early_stopping]", "[early_stopping]"),
        ["stop", "'crossing' is missing", "add it"],
    ),
    "relative width 0": (
        changed("early_stopping]", "relative_width: 0]"),
        ["stop[1].relative_width", "= 0", "use more than 0"],
    ),
    "relative width too large": (
        changed("[crossing, early_stopping]", "{relative_width: 2.5}"),
        ["stop.relative_width", "= 2.5", "use 2.0 or less"],
    ),
    "relative width as text": (
        changed("[crossing, early_stopping]", "{relative_width: 1e-1}"),
        ["stop.relative_width", "'1e-1'", "YAML reads this as text", "write 0.1"],
    ),
    "relative width that is no number": (
        changed("early_stopping]", "relative_width: .nan]"),
        ["stop[1].relative_width", "nan", "finite"],
    ),
    "relative width without a value": (
        changed("early_stopping]", "relative_width: ]"),
        ["stop[1].relative_width", "null", "give a number", "{relative_width: 0.1}"],
    ),
    "relative width without braces": (
        changed("early_stopping]", "relative_width]"),
        ["stop[1]", "'relative_width'", "'crossing', 'early_stopping' or 'sufficient'"],
    ),
    "relative width twice": (
        changed("early_stopping]", "{relative_width: 0.1}, {relative_width: 0.1}]"),
        ["stop", "relative_width is listed twice", "once"],
    ),
    "relative width in the entry of a criterion": (
        changed("early_stopping]", "{early_stopping: {}, relative_width: 0.1}]"),
        ["stop[1]", "one criterion", "one list entry per criterion"],
    ),
    "relative width alone in a list": (
        changed("[crossing, early_stopping]", "[{relative_width: 0.1}]"),
        ["stop", "'crossing' is missing", "add it"],
    ),
    "misspelt relative width": (
        changed("[crossing, early_stopping]", "{relative_widht: 0.1}"),
        ["stop.relative_widht", "0.1", "did you mean relative_width?"],
    ),
    "a criterion as the whole of stop": (
        changed("[crossing, early_stopping]", "{early_stopping: {patience: 3}}"),
        ["stop", "only relative_width may stand without a list", "write a list"],
    ),
    "the short form with another key": (
        changed("[crossing, early_stopping]", "{relative_width: 0.1, sufficient: {}}"),
        ["stop", "one criterion", "one list entry per criterion"],
    ),
    "the short form with sgd": (
        changed("[gd]", "[sgd]").replace("[crossing, early_stopping]", "{relative_width: 0.1}"),
        ["stop", "'sufficient'", "cells.optimizer", "'sgd'", "use early_stopping"],
    ),
    "sufficient with sgd": (
        changed("[gd]", "[sgd]").replace("early_stopping", "sufficient"),
        ["stop", "'sufficient'", "cells.optimizer", "'sgd'", "use early_stopping"],
    ),
    "sufficient with adam beside gd": (
        changed("[gd]", "[gd, adam]").replace("early_stopping", "sufficient"),
        ["stop", "'sufficient'", "cells.optimizer", "'adam'", "use early_stopping"],
    ),
    "published with a step size that may be too large": (
        changed("early_stopping]", "sufficient: {form: published}]").replace(
            "inv_lambda_max", "{over_width: 0.01}"
        ),
        ["stop", "'published'", "step_size.over_width", "use the form modewise"],
    ),
    "early checks out of order": (
        changed("interval: 10, maximum: 10", "interval: 100, maximum: 10, early: [10, 1]"),
        ["checks", "early = [10, 1]", "ascending order"],
    ),
    "an early check that is not early": (
        changed("interval: 10, maximum: 10", "interval: 100, maximum: 10, early: [1, 100]"),
        ["checks", "early = [1, 100]", "step 100", "list steps before it"],
    ),
    "a negative early check": (
        changed("interval: 10, maximum: 10", "interval: 100, maximum: 10, early: [-1]"),
        ["checks.early[0]", "-1"],
    ),
    "legacy with early checks": (
        changed("philox", "legacy")
        .replace("block_size: 50\n", "")
        .replace("interval: 10, maximum: 10", "interval: 10, maximum: 10, early: [1]"),
        ["checks.early", "[1]", "leave early out"],
    ),
    "too many blocks": (
        changed("networks: 100", "networks: 100000000000"),
        ["networks", "100000000000", "blocks", "fewer networks or raise block_size"],
    ),
    "legacy with block_size": (
        changed("philox", "legacy"),
        ["block_size", "50", "legacy", "leave block_size out"],
    ),
    "legacy with a foreign width": (
        changed("philox", "legacy").replace("block_size: 50\n", "").replace("[16]", "[24]"),
        ["cells.width", "24", "16, 32, 64, 128, 256, 512, 1024, 2048", "use one of them"],
    ),
    "legacy with a part of a batch": (
        changed("philox", "legacy").replace("block_size: 50\n", ""),
        ["networks", "100", "4096", "multiple"],
    ),
    # files
    "unsafe tag": (
        changed("seed: 7", 'seed: !!python/object/apply:os.system ["touch hacked"]'),
        ["line 3", "python/object/apply:os.system", "remove the tag"],
    ),
    "unreadable YAML": (changed("[16]", "[16"), ["line", "fix the YAML"]),
    "tab as indent": (changed("  width: [16]", "\twidth: [16]"), ["line 6", "fix the YAML"]),
    "impossible date": (changed("seed: 7", "seed: 2020-13-45"), ["seed", "2020-13-45"]),
    "tag that does not fit": (changed("seed: 7", "seed: !!int seven"), ["seven"]),
    "nested without end": ("[" * 3000, ["fix the YAML"]),
    "control characters": (changed("seed: 7", "seed: \x07"), ["fix the YAML"]),
    "empty file": ("", ["holds nothing", "keys and values"]),
    "a list": ("[1, 2]\n", ["holds a list", "keys and values"]),
    "a number": ("1.5\n", ["holds 1.5, not a spec", "keys and values"]),
    "a truth": ("true\n", ["holds true, not a spec", "keys and values"]),
    "prose": ("Dear mcrelu, run something.\n", ["holds text, not a spec", "keys and values"]),
    "two documents": (GOOD + "---\n" + GOOD, ["line 17", "fix the YAML"]),
}


def refusal(path: Path, settings: tuple[str, ...] = ()) -> str:
    """What a user is told about a spec file; one line."""
    with pytest.raises(SpecError) as caught:
        Sweep.from_yaml(path, settings)
    assert caught.value.exit_code == ExitCode.USAGE
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "Traceback" not in message
    return message


def assert_says(message: str, fragments: list[str]) -> None:
    """A space at the end of a fragment stands for the end of a word, too."""
    missing = [fragment for fragment in fragments if fragment not in f"{message} "]
    assert not missing, message


@pytest.fixture
def good_file(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


def test_the_good_spec_is_good(good_file: Path) -> None:
    """Else the bad ones would be refused for another reason."""
    assert Sweep.from_yaml(good_file).spec.networks == 100


@pytest.mark.parametrize(("text", "fragments"), BAD.values(), ids=BAD.keys())
def test_bad_spec(
    text: str, fragments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    message = refusal(path)
    assert message.startswith(str(path))
    assert_says(message, fragments)
    assert list(tmp_path.iterdir()) == [path]  # nothing was executed or left behind


def test_several_problems_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(changed("[16]", "[0]") + "zebra: 5\n")
    assert_says(refusal(path), ["cells.width[0] = 0", "; also zebra = 5"])


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.yaml"
    assert_says(refusal(path), [str(path), "no such file", "give the path of a sweep spec"])
    assert list(tmp_path.iterdir()) == []


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    assert_says(
        refusal(tmp_path), [f"{tmp_path}: cannot be read (Is a directory); give a YAML text"]
    )


def test_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(bytes(range(256)))
    assert_says(refusal(path), [f"{path}: cannot be read (it is no text); give a YAML text file"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("-3", -3), ("+20", 20), ("0.5", 0.5), ("-.5", -0.5), ("1.", 1.0),
        ("1.0e-8", 1e-8), ("2.5e3", 2500.0), ("-1.0E+2", -100.0), ("1e5", "1e5"), ("~", None),
        ("2020-02-12", "2020-02-12"), ("1:30", "1:30"), ("007", "007"), ("true", True),
    ],
)  # fmt: skip
def test_what_yaml_numbers_mean(text: str, value: object) -> None:
    read = parse_yaml(f"key: {text}\n", "spec")["key"]
    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize("text", [".inf", "-.inf", ".NaN"])
def test_what_is_not_finite_is_a_number(text: str) -> None:
    assert not np.isfinite(parse_yaml(f"key: {text}\n", "spec")["key"])


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_shipped_sweeps_fit_a_small_machine(path: Path) -> None:
    """Two blocks at once in 8 GiB."""
    shipped = Sweep.from_yaml(path)
    assert shipped.cells
    for one in shipped.cells:
        at_once = min(2, shipped.block_count(one))
        assert at_once * one.memory(shipped.block(one, 0).networks) <= 8 * 2**30


@pytest.mark.parametrize(
    ("setting", "fragments"),
    [
        ("networks", ["--set networks", "write key=value"]),
        ("=5", ["--set =5", "write key=value"]),
        ("", ["--set", "write key=value"]),
        ("networks=[1", ["--set networks", "fix the YAML"]),
        ("networks=", ["networks", "null", "whole number"]),
        ("seed=!!python/name:os.system", ["--set seed", "remove the tag"]),
        ("seed.low=1", ["--set seed.low=1", "seed has no keys", "7"]),
        ("cells.width=[0]", ["cells.width[0]", "= 0", "use 1 or more"]),
        ("cells.widht=[8]", ["cells.widht", "did you mean width?"]),
        ("..=3", ["--set ..=3", "write key=value"]),
    ],
)
def test_bad_setting(setting: str, fragments: list[str], good_file: Path) -> None:
    assert_says(refusal(good_file, (setting,)), fragments)


def test_settings_change_keys_at_any_depth_and_the_last_wins(good_file: Path) -> None:
    settings = (
        "networks=5",
        "networks=6",
        "cells.width=[8, 32]",
        "step_size.over_width=0.5",
        "checks.maximum=99",
    )
    with pytest.raises(SpecError, match="step_size has no keys"):
        Sweep.from_yaml(good_file, settings)
    settings = (*settings[:3], "step_size={over_width: 0.5}", settings[4])
    changed_sweep = Sweep.from_yaml(good_file, settings)
    assert changed_sweep.spec.networks == 6
    assert [cell.width for cell in changed_sweep.cells] == [8, 32]
    assert {cell.step_rule for cell in crossing_cells(changed_sweep)} == {StepRule(0.5)}
    assert {cell.checks for cell in crossing_cells(changed_sweep)} == {Checks(10, 99)}


def test_a_setting_may_add_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text(yaml.safe_dump(spec()))
    read = Sweep.from_yaml(path, ["checks.interval=7", "checks.maximum=3"])
    assert crossing_cells(read)[0].checks == Checks(7, 3, early=(0, 1))


@pytest.mark.parametrize(
    "path",
    [path for path in SWEEPS if path.stem[:4] in ("fig5", "fig6") and "wide" not in path.stem],
    ids=lambda path: path.stem,
)
def test_sweeps_of_figures_5_and_6_have_the_paper_s_size(path: Path) -> None:
    shipped = Sweep.from_yaml(path)
    cells = crossing_cells(shipped)
    series = {(cell.offset, cell.optimizer, cell.step_rule, cell.criteria) for cell in cells}
    assert [cell.width for cell in cells] == [2**k for k in range(4, 12)] * len(series)
    assert shipped.spec.networks == 10_000


def test_sweeps_are_shipped() -> None:
    assert len(SWEEPS) >= 6
    assert all(Sweep.from_yaml(path).cells for path in SWEEPS)


ROUND_TRIPS = {
    "plain": spec(),
    "options": spec(
        stop=["crossing", {"early_stopping": {"patience": 3, "min_delta": 1e-12}}],
        cells={"width": [4, 8], "optimizer": ["gd", "sgd", "adam"], "init": ["he", "swapped"]},
        step_size={"over_width": 1e-3},
        checks={"interval": 3, "maximum": 5},
    ),
    "published form": spec(stop=["crossing", {"sufficient": {"form": "published"}}]),
    "options left empty": spec(stop=["crossing", {"early_stopping": {}}]),
    "options left out": spec(stop=["crossing", {"early_stopping": None}]),
    "precision": spec(stop=["crossing", {"relative_width": 0.1}, {"early_stopping": {}}]),
    "only precision": spec(stop={"relative_width": 1}),
    "default block size": spec(block_size=None),
    "legacy": spec(rng="legacy", block_size=None, networks=64, cells={"width": [2048]}),
    "tiny offset": spec(cells={"width": [4], "offset": [1e-300, 1e6, -1e6, -0.1]}),
}


@pytest.mark.parametrize("values", ROUND_TRIPS.values(), ids=ROUND_TRIPS.keys())
def test_to_yaml_round_trips(values: dict[str, Any]) -> None:
    written = Sweep.of(values)
    read = Sweep.from_text(written.to_yaml())
    assert read.cells == written.cells
    assert [cell.id for cell in read.cells] == [cell.id for cell in written.cells]
    assert list(read.all_blocks()) == list(written.all_blocks())
    assert read.spec.relative_width == written.spec.relative_width
    assert (read.spec.seed, read.spec.rng) == (written.spec.seed, written.spec.rng)
    assert read.to_yaml() == written.to_yaml()


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_shipped_sweeps_round_trip(path: Path) -> None:
    shipped = Sweep.from_yaml(path)
    assert Sweep.from_text(shipped.to_yaml()).cells == shipped.cells


def test_cells_are_the_product_of_the_lists() -> None:
    product = sweep(
        cells={"width": [4, 8], "offset": [0, 1], "optimizer": ["gd", "adam"], "init": ["swapped"]},
        stop=["crossing"],
    )
    cells = crossing_cells(product)
    found = {(cell.width, cell.offset, cell.optimizer, cell.init) for cell in cells}
    assert found == set(itertools.product([4, 8], [0.0, 1.0], ["gd", "adam"], ["swapped"]))
    assert len(cells) == len({cell.id for cell in cells}) == len(found)


def test_criteria_are_asked_in_the_original_order() -> None:
    (asked,) = crossing_cells(sweep(stop=["sufficient", "early_stopping", "crossing"]))
    assert asked.criteria == (
        Crossing(),
        EarlyStopping(10, 1e-8),
        Sufficient(Form.MODEWISE),
    )


def test_the_short_form_of_stop_is_that_of_the_paper_with_a_precision() -> None:
    short = sweep(stop={"relative_width": 0.1})
    long = sweep(stop=["crossing", "sufficient", {"relative_width": 0.1}])
    assert short.to_yaml() == long.to_yaml()
    assert short.spec.relative_width == 0.1
    assert sweep().spec.relative_width is None


def test_a_precision_is_no_part_of_a_cell() -> None:
    """It says when to stop drawing networks, and nothing about a network."""
    assert sweep(stop={"relative_width": 0.1}).cells == sweep().cells


@pytest.mark.parametrize(
    "changes",
    [
        {"stop": ["crossing"]},
        {"stop": ["crossing", "early_stopping"]},
        {"stop": ["crossing", {"sufficient": {"form": "sharp"}}]},
        {"stop": ["crossing", {"sufficient": {"form": "published"}}]},
        {"rng": "legacy", "block_size": None, "networks": 4096, "cells": {"width": [16]}},
    ],
)
def test_checks_default_to_the_original_of_each_initialisation(changes: dict[str, Any]) -> None:
    width = changes.get("cells", {"width": [4]})
    cells = crossing_cells(sweep(**(changes | {"cells": {**width, "init": ["he", "swapped"]}})))
    assert {cell.init: cell.checks for cell in cells} == {
        "he": Checks(1000, 1000),
        "swapped": Checks(100, 10_000),
    }


def test_the_modewise_form_is_asked_early() -> None:
    cells = crossing_cells(sweep(cells={"width": [4], "init": ["he", "swapped"]}))
    assert {cell.init: cell.checks for cell in cells} == {
        "he": Checks(1000, 1000, early=(0, 1, 10, 100, 300)),
        "swapped": Checks(100, 10_000, early=(0, 1, 10)),
    }
    (late,) = crossing_cells(sweep(checks={"interval": 1000, "maximum": 1000, "early": []}))
    assert late.checks == Checks(1000, 1000)


def test_what_checks_leave_out_is_the_default_of_each_initialisation() -> None:
    cells = {"width": [4], "init": ["he", "swapped"]}
    often = crossing_cells(sweep(cells=cells, checks={"interval": 2000}))
    assert {cell.init: cell.checks for cell in often} == {
        "he": Checks(2000, 1000, early=(0, 1, 10, 100, 300)),
        "swapped": Checks(2000, 10_000, early=(0, 1, 10, 100, 300)),
    }
    long = crossing_cells(sweep(cells=cells, checks={"maximum": 7, "early": [50]}))
    assert {cell.init: cell.checks for cell in long} == {
        "he": Checks(1000, 7, early=(50,)),
        "swapped": Checks(100, 7, early=(50,)),
    }
    with pytest.raises(SpecError, match=r"checks\.early = \[500\]: .* at step 100; list"):
        sweep(cells=cells, checks={"early": [500]})
    with pytest.raises(SpecError, match="5000000: with interval 1000"):
        sweep(checks={"maximum": 5_000_000})


def test_one_key_of_checks_may_be_set(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(GOOD.replace("checks: {interval: 10, maximum: 10}\n", ""))
    (cell, *_) = crossing_cells(Sweep.from_yaml(path, ["checks.interval=2000"]))
    assert (cell.checks.interval, cell.checks.maximum) == (2000, 1000)


def test_early_checks_may_be_asked_for_with_any_form() -> None:
    stop = ["crossing", {"sufficient": {"form": "sharp"}}]
    checks = {"interval": 1000, "maximum": 1000, "early": [0, 500]}
    (cell,) = crossing_cells(sweep(stop=stop, checks=checks))
    assert cell.checks == Checks(1000, 1000, early=(0, 500))
    assert cell.parameters()["checks"] == [1000, 1000, [0, 500]]


def cell(**changes: object) -> CrossingCell:
    """A cell with some parameters replaced."""
    plain: dict[str, Any] = {
        "width": 16,
        "offset": 0.0,
        "optimizer": "gd",
        "init": "he",
        "step_rule": StepRule(),
        "criteria": (Crossing(), Sufficient(Form.SHARP)),
        "checks": Checks(1000, 1000),
        "engine": "dense",
        "semantics": 1,
    }
    return CrossingCell(**(plain | changes))


# Frozen: outputs that users have are found and drawn by these. If this fails, undo your change,
# or say in the release notes that old outputs are orphaned.
FROZEN = [
    (cell(), "fc5ec74fe143f910", 0x46E221FFEC704ED4),
    (
        cell(
            width=2048,
            offset=0.01,
            optimizer="sgd",
            init="swapped",
            step_rule=StepRule(0.01),
            criteria=(Crossing(), EarlyStopping(10, 1e-8)),
            checks=Checks(100, 10_000),
        ),
        "ed75727fb28cda4f",
        0x966F4164E0E588D0,
    ),
    (cell(leaky_slope=0.1), "067fc87cf8619244", 0x5902CB393C478707),
]


@pytest.mark.parametrize(("one", "identity", "stream"), FROZEN)
def test_identities_are_frozen(one: CrossingCell, identity: str, stream: int) -> None:
    assert one.id == identity
    assert one.stream == stream


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "grouped"},
        {"semantics": 2},
        {"criteria": (Crossing(),)},
        {"criteria": (Crossing(), Sufficient(Form.PUBLISHED))},
        {"criteria": (Crossing(), EarlyStopping(11, 1e-8))},
        {"checks": Checks(1000, 999)},
        {"checks": Checks(999, 1000)},
    ],
    ids=str,
)
def test_how_a_cell_is_computed_and_stopped_changes_its_id_but_not_its_stream(
    change: dict[str, Any],
) -> None:
    assert cell(**change).stream == cell().stream
    assert cell(**change).id != cell().id


@pytest.mark.parametrize(
    "change",
    [
        {"width": 17},
        {"offset": 1e-9},
        {"optimizer": "sgd"},
        {"init": "swapped"},
        {"step_rule": StepRule(0.01)},
        {"leaky_slope": 0.1},
    ],
    ids=str,
)
def test_what_a_cell_trains_changes_its_id_and_its_stream(change: dict[str, Any]) -> None:
    assert cell(**change).stream != cell().stream
    assert cell(**change).id != cell().id


def test_an_offset_of_zero_has_one_identity() -> None:
    """YAML's 0, 0.0 and -0.0 are one and the same cell."""
    identities = {sweep(cells={"width": [4], "offset": [zero]}).cells[0].id for zero in (0, 0.0)}
    assert len(identities) == 1
    for key in ("offset", "leaky_slope"):
        minus = sweep(cells={"width": [4], key: [-0.0]}).cells[0]
        assert minus.stream == sweep().cells[0].stream


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, 10_000),
        ({"cells": {"width": [2**20]}}, 1024),
        ({"cells": {"width": [2048], "offset": [0.1]}}, 2048),
        ({"cells": {"width": [2048], "init": ["swapped"]}}, 2048),
        ({"cells": {"width": [2048]}, "step_size": {"over_width": 1}}, 2048),
        ({"cells": {"width": [2**16], "offset": [0.1]}}, 64),
        ({"cells": {"width": [2**20], "offset": [0.1]}}, 32),
        ({"stop": ["crossing"]}, 1000),
        ({"stop": ["crossing", {"sufficient": {"form": "sharp"}}]}, 1000),
        ({"engine": "dense"}, 1000),
    ],
)
def test_default_block_sizes(changes: dict[str, Any], size: int) -> None:
    """Blocks are large only where most networks are decided at once, and keep no neurons."""
    (cell,) = crossing_cells(sweep(**changes))
    assert default_block_size(cell) == size


def test_memory_counts_the_neurons_of_networks_that_cross() -> None:
    """Where few do, it does not grow with the width; elsewhere all of a block may do so at once."""
    few, many = (
        crossing_cells(sweep(cells={"width": [2**16], "offset": [offset]}))[0]
        for offset in (0.0, 0.1)
    )
    assert few.memory(10_000) < 2**30
    assert many.memory(10_000) > 10_000 * 2**16 * 8
    assert many.memory(64) < 2**29


def test_memory_counts_windows_of_minibatches() -> None:
    short, long = (
        crossing_cells(
            sweep(
                cells={"width": [16], "optimizer": ["sgd"]},
                stop=["crossing"],
                checks={"interval": interval, "maximum": 10},
            )
        )[0]
        for interval in (10, 10**5)
    )
    assert long.memory(1000) - short.memory(1000) == 1000 * 6 * (10**5 - 10)


@pytest.mark.parametrize(
    ("networks", "block_size", "sizes"),
    [
        (25, 10, [10, 10, 5]),
        (20, 10, [10, 10]),
        (3, 10, [3]),
        (20_100, None, [10_000, 10_000, 100]),
    ],
)
def test_only_the_last_block_is_shorter(
    networks: int, block_size: int | None, sizes: list[int]
) -> None:
    cut = sweep(networks=networks, block_size=block_size)
    blocks = list(cut.all_blocks())
    assert [block.networks for block in blocks] == sizes
    assert [block.index for block in blocks] == list(range(len(sizes)))
    assert [block.first for block in blocks] == [sum(sizes[:k]) for k in range(len(sizes))]


def test_blocks_by_index_are_those_in_order() -> None:
    cut = sweep(networks=25, block_size=10, cells={"width": [4, 8]})
    for cell in cut.cells:
        assert [cut.block(cell, k) for k in range(cut.block_count(cell))] == list(cut.blocks(cell))


def test_legacy_blocks_are_the_original_batches() -> None:
    cut = sweep(rng="legacy", block_size=None, networks=10_000, cells={"width": [16, 2048]})
    narrow, wide = ([b.networks for b in cut.blocks(one)] for one in cut.cells)
    assert narrow == [4096, 4096, 1808]
    assert wide == [32] * 312 + [16]
