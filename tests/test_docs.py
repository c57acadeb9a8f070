"""The examples of the documentation run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)


def complete(example: str) -> bool:
    """Whether it runs by itself and leaves nothing behind."""
    return "print(" in example


@pytest.mark.parametrize("example", [one for one in EXAMPLES if complete(one)])
def test_examples_run(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(example, "docs/python.md", "exec"), {})
    assert capsys.readouterr().out


def test_a_run_from_python_goes_as_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first example and the one with a precision, smaller."""
    monkeypatch.chdir(ROOT)
    first, precise = (example for example in EXAMPLES if not complete(example))
    small = first.replace('"networks=1000"', '"networks=40", "cells.width=[16,32]"')
    small = re.sub(r"mcrelu.compare_runs.*\n", "", small).replace("results/mine", f"{tmp_path}/one")
    small = small.replace('mcrelu.Run.open("results', f'mcrelu.Run.open("{tmp_path}')
    space: dict[str, object] = {}
    exec(compile(small, "docs/python.md", "exec"), space)
    lines = precise.replace("results/mine", f"{tmp_path}/two").replace(
        "networks=200000", "networks=60"
    )
    lines = lines.replace("out=", 'executor="serial", out=').replace("0.1}", "1.5}")
    exec(compile(lines, "docs/python.md", "exec"), space)
