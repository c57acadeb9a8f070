"""docs/reference.md is what the code says, and the code says what every column means."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import click
import pyarrow as pa
import pytest
from pydantic import Field
from small_sweeps import run_serially, sweep

from mcrelu import errors
from mcrelu.cli import cli
from mcrelu.experiments.base import REGISTRY, experiment
from mcrelu.experiments.room import Room
from mcrelu.problems import one_d
from mcrelu.reference import METADATA, reference
from mcrelu.reference_specs import keys_of
from mcrelu.stats import comparison
from mcrelu.store.compact import compact
from mcrelu.store.shards import Shard
from mcrelu.sweep.spec import Model

ROOT = Path(__file__).parent.parent
ROOMS = [room for room in map(experiment, REGISTRY) if isinstance(room, Room)]


def test_the_page_is_what_the_code_says() -> None:
    page = (ROOT / "docs" / "reference.md").read_text()
    assert page == reference(), "run: python -m mcrelu.reference > docs/reference.md"


def test_no_words_are_taken_for_html() -> None:
    page = (ROOT / "docs" / "reference.md").read_text()
    assert not re.findall(r"(?<!\\)<[a-z]", re.sub(r"`[^`]*`", "", page))


def test_every_command_and_option_is_there() -> None:
    page = (ROOT / "docs" / "reference.md").read_text()
    for name, command in cli.commands.items():
        section = page.partition(f"### `mcrelu {name}`\n")[2].partition("\n##")[0]
        options = [one for one in command.params if isinstance(one, click.Option)]
        assert command.help is not None
        assert command.help.split()[0] in section
        assert all(one.opts[-1] in section for one in options), name


class Inner(Model):
    rate: Annotated[float, Field(gt=0, le=2**20)]


class Outer(Model):
    kind: Literal["one", "other"] = "one"
    width: Annotated[int, Field(ge=1, lt=2**31 - 1)]
    rates: list[Inner | Literal["all"]] | None = None


def test_keys_of_a_spec() -> None:
    assert keys_of(Outer).splitlines()[2:] == [
        "| `kind` | `one`, `other` | `one` |",
        "| `width` | whole number ≥ 1, < 2^31 - 1 | required |",
        "| `rates` | list of (mapping or `all`) | none |",
        "| `rates[].rate` | number > 0, ≤ 2^20 | required |",
    ]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.name))
def test_a_column_without_a_description_is_noticed(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = room.schema.append(pa.field("luck", pa.float64()))
    monkeypatch.setattr("mcrelu.reference.experiment", lambda _: replace(room, schema=more))
    with pytest.raises(ValueError, match=r"without a description: \['luck'\]"):
        reference()


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.name))
def test_meanings_are_a_line_each(room: Room) -> None:
    for columns in (room.row_columns, *room.table_columns.values()):
        for name, column in columns.items():
            assert 2 < len(column.meaning) < 110, name
            assert "\n" not in column.meaning


def test_all_codes_have_a_meaning() -> None:
    assert list(one_d.MEANINGS) == list(one_d.StopReason)
    assert list(errors.MEANINGS) == list(errors.ExitCode)


def test_the_table_of_exit_codes_is_that_of_the_guide() -> None:
    guide = (ROOT / "docs" / "laptop.md").read_text()
    for code, meaning in errors.MEANINGS.items():
        escaped = meaning.replace("|", r"\|")
        assert f"| {code.value} | {escaped} |\n" in guide


def test_columns_of_a_comparison_are_described() -> None:
    assert list(comparison.COLUMNS) == [*comparison._Test._fields, "agrees"]


def test_metadata_of_shards_are_described(tmp_path: Path) -> None:
    done = run_serially(tmp_path, sweep())
    keys = set()
    for _ in range(2):
        for path in tmp_path.glob("shards/**/*.parquet"):
            with Shard.of(path.read_bytes()) as shard:
                keys |= set(shard.metadata())
        compact(done)
    plain = {"version.*" if key.startswith("version.") else key for key in keys}
    assert plain | {"epochs"} == set(METADATA)  # those of experiments that go on
