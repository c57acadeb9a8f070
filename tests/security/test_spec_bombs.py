"""Specs that would take gigabytes: refused in one line, before they are built."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from bounded import assert_refused, mcrelu
from small_sweeps import spec, sweep

from mcrelu.errors import SpecError
from mcrelu.sweep import reading
from mcrelu.sweep.reading import MOST_LEVELS, MOST_VALUES, parse_yaml, read_yaml
from mcrelu.sweep.spec import MAX_CELLS
from mcrelu.sweep.sweep import Sweep


def aliases(levels: int, each: int = 10) -> str:
    """``each`` ^ ``levels`` values by aliases of aliases."""
    lines = ["a0: &a0 [lol]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * each)}]" for k in range(1, levels + 1)]
    return "\n".join(lines)


def numbers(count: int, start: int = 1) -> str:
    return "[" + ", ".join(str(start + k) for k in range(count)) + "]"


BIG_PRODUCT = "\n".join(
    [
        "version: 1",
        "experiment: crossing",
        "seed: 1",
        "networks: 10",
        "stop: [crossing, sufficient]",
        "cells:",
        f"  width: {numbers(1000)}",
        f"  offset: {numbers(1000)}",
        f"  input_scale: {numbers(1000)}",
    ]
)


class TestAliases:
    def test_a_bomb_is_refused_before_it_is_built(self) -> None:
        with pytest.raises(SpecError, match=f"more than {MOST_VALUES} values with aliases"):
            parse_yaml(aliases(9), "spec")

    def test_what_they_stand_for_is_what_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "MOST_VALUES", 40)
        few = "a: &a [1, 2, 3]\nb: [*a, *a, *a]"  # mapping, 2 keys, 4, list, 3 * 4
        monkeypatch.setattr(reading, "MOST_VALUES", 20)
        assert parse_yaml(few, "spec")["b"] == [[1, 2, 3]] * 3
        monkeypatch.setattr(reading, "MOST_VALUES", 19)
        with pytest.raises(SpecError, match="line 2: more than 19 values"):
            parse_yaml(few, "spec")

    def test_long_texts_count_by_their_length(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "MOST_VALUES", 1000)
        with pytest.raises(SpecError, match="more than 1000 values"):
            parse_yaml(f"a: &a {'x' * 50_000}\nb: [*a, *a]", "spec")

    def test_an_alias_within_itself(self) -> None:
        with pytest.raises(SpecError, match="line 1: an alias stands within itself"):
            parse_yaml("a: &a [*a]", "spec")

    def test_aliases_nest(self) -> None:
        lines = ["a0: &a0 [1]", *(f"a{k}: &a{k} [*a{k - 1}]" for k in range(1, 60))]
        with pytest.raises(SpecError, match=f"nested deeper than {MOST_LEVELS} levels"):
            parse_yaml("\n".join(lines), "spec")

    def test_ordinary_ones_are_welcome(self) -> None:
        assert parse_yaml("a: &a [4, 8]\nb: *a", "spec") == {"a": [4, 8], "b": [4, 8]}

    @pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
    def test_nesting(self, opening: str) -> None:
        with pytest.raises(SpecError, match=f"nested deeper than {MOST_LEVELS} levels"):
            parse_yaml("a:\n  " + opening * 3000, "spec")


class TestSizes:
    def test_of_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "MOST_BYTES", 2**20)
        path = tmp_path / "spec.yaml"
        path.write_bytes(b"#" * 2**20)
        with pytest.raises(SpecError, match="holds nothing"):
            read_yaml(path)
        path.write_bytes(b"#" * (2**20 + 1))
        for where in (path, f"file://{path}"):
            with pytest.raises(SpecError, match="more than the 1 MiB"):
                read_yaml(where)

    def test_of_pipes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "MOST_BYTES", 2**20)
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        for content, words in ((b"#" * 2**22, "more than the 1 MiB"), (b"7", "holds 7")):
            writer = threading.Thread(target=_write, args=(pipe, content))
            writer.start()
            with pytest.raises(SpecError, match=words):
                read_yaml(pipe)
            writer.join()

    def test_a_device_without_end(self) -> None:
        with pytest.raises(SpecError, match="more than the 16 MiB"):
            read_yaml("/dev/zero")


def _write(pipe: Path, content: bytes) -> None:
    try:
        pipe.write_bytes(content)
    except BrokenPipeError:  # whoever read had enough
        return


class TestCells:
    def test_are_counted_before_they_are_built(self) -> None:
        with pytest.raises(SpecError, match=f"make 1000000000 cells, more than the {MAX_CELLS}"):
            Sweep.from_text(BIG_PRODUCT)

    def test_of_several_shapes_together(self) -> None:
        shape = {"width": list(range(1, 1001)), "offset": list(range(40))}
        with pytest.raises(SpecError, match="make 80000 cells"):
            sweep(cells=[shape, shape | {"offset": [-offset for offset in range(1, 41)]}])

    def test_criteria_of_a_shape_do_not_multiply(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mcrelu.sweep.spec.MAX_CELLS", 3)
        shape = {"width": [4, 8, 16], "stop": ["crossing", "sufficient"]}
        assert len(sweep(cells=[shape]).cells) == 3

    def test_of_a_grid_of_rates(self) -> None:
        values = {
            "version": 1,
            "experiment": "setups",
            "seed": 1,
            "networks": 1,
            "cells": {"data": ["line"], "width": list(range(1, 9000)), "optimizer": ["sgd"]},
        }
        with pytest.raises(SpecError, match=r"cells: are more than|no such name"):
            Sweep.of(values)


class TestMessages:
    def test_huge_values_are_cut(self) -> None:
        for changes in (
            {"networks": "x" * 10**5},
            {"networks": list(range(10**5))},
            {"x" * 10**5: 1},
            {"checks": {"early": list(range(10**4, 0, -1))}},
            {"cells": {"width": [4, "y" * 10**5]}},
        ):
            with pytest.raises(SpecError) as caught:
                Sweep.of(spec(**changes))
            assert len(str(caught.value)) < 1000, str(caught.value)[:2000]

    def test_huge_keys_and_tags_are_cut(self) -> None:
        long = "k" * 900
        for text in (f"{long}: 1\n{long}: 2", f"a: !{long} 1", f"a: *{long}", f"a: [{long}\n- b"):
            with pytest.raises(SpecError) as caught:
                parse_yaml(text, "spec")
            assert len(str(caught.value)) < 700

    def test_a_number_that_python_does_not_write_out(self) -> None:
        text = f"version: 1\nexperiment: event\nseed: 1\nnetworks: !!int 0x{'f' * 9000}\ncells:"
        with pytest.raises(SpecError, match=r"networks = a number of thousands of digits"):
            Sweep.from_text(f"{text} {{width: [4]}}")


@pytest.mark.slow
class TestMemory:
    def test_of_aliases(self, tmp_path: Path) -> None:
        path = tmp_path / "spec.yaml"
        path.write_text(aliases(9))
        assert_refused(mcrelu("plan", path), 2, "aliases")

    def test_of_a_product(self, tmp_path: Path) -> None:
        path = tmp_path / "spec.yaml"
        path.write_text(BIG_PRODUCT)
        assert_refused(mcrelu("plan", path), 2, "1000000000 cells")

    def test_of_as_many_wrong_values_as_there_may_be(self, tmp_path: Path) -> None:
        path = tmp_path / "spec.yaml"
        rows = ", ".join([f"[{', '.join(['q'] * 480)}]"] * (MOST_VALUES // 500))
        wrong = 480 * (MOST_VALUES // 500)
        path.write_text(
            "version: 1\nexperiment: star\nseed: 1\nnetworks: 1\nepochs: 1\n"
            f"cells:\n  width: [4]\n  data:\n  - x: [{rows}]\n    y: [1]\n"
        )
        assert_refused(mcrelu("plan", path), 2, "cells.data[0].x[0][0]", f"and {wrong - 5} more")

    def test_of_a_long_list(self, tmp_path: Path) -> None:
        path = tmp_path / "spec.yaml"
        text = BIG_PRODUCT.replace(numbers(1000), numbers(MOST_VALUES - 10_000), 1)
        path.write_text(text)
        assert_refused(mcrelu("plan", path), 2, "too long; give 10000 values at most")
