"""The examples of the documentation run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mcrelu.errors import ExitCode

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
    """The first example and the one with a relative width, smaller."""
    monkeypatch.chdir(ROOT)
    first, sequential = (example for example in EXAMPLES if not complete(example))
    small = first.replace('"networks=1000"', '"networks=40", "cells.width=[16,32]"')
    small = re.sub(r"mcrelu.compare_runs.*\n", "", small).replace("results/mine", f"{tmp_path}/one")
    space: dict[str, Any] = {}
    exec(compile(small, "docs/python.md", "exec"), space)
    assert space["run"].exit_code == ExitCode.DONE
    assert space["run"].table()["networks"].to_pylist() == [40, 40]
    lines = sequential.replace("results/mine", f"{tmp_path}/two").replace(
        "networks=200000", "networks=60"
    )
    lines = lines.replace("out=", 'executor="serial", out=').replace("0.1}", "1.5}")
    exec(compile(lines, "docs/python.md", "exec"), space)
    assert space["run"].sweep.spec.relative_width == 1.5
