"""Credentials in the URI of an output are used, and neither printed nor written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from s3_server import BUCKET, s3_server
from test_cli import SPEC, mcrelu

from mcrelu.experiments.crossing import block as crossing
from mcrelu.store.files import Files

KEY, SECRET = "AKIAEXAMPLE", "SeCrEt"


@pytest.fixture
def out(tmp_path: Path) -> Iterator[str]:
    """The URI of an output with credentials."""
    with s3_server():
        yield f"s3://{KEY}:{SECRET}@{BUCKET}/{tmp_path.name}"


@pytest.mark.slow
def test_a_run_with_a_failed_block(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, calls = crossing.train_block, []

    def failing(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise ZeroDivisionError("broken")
        return train(*args)

    monkeypatch.setattr(crossing, "train_block", failing)
    (tmp_path / "spec.yaml").write_text(SPEC)
    said = [
        mcrelu("run", "spec.yaml", "--out", out, "--serial", cwd=tmp_path),
        mcrelu("run", "spec.yaml", "--out", out, "--serial", "--json", cwd=tmp_path),
        *(mcrelu(name, out, cwd=tmp_path) for name in ("status", "reduce", "plot")),
        *(mcrelu(name, out, "--json", cwd=tmp_path) for name in ("status", "reduce", "plot")),
        mcrelu("compare", out, cwd=tmp_path),
        mcrelu("status", f"{out}/nothing", cwd=tmp_path),
        mcrelu("run", "spec.yaml", "--out", out, "--set", "seed=8", "--serial", cwd=tmp_path),
    ]
    assert [one.returncode for one in said] == [4, 0, 0, 0, 0, 0, 0, 0, 2, 2, 6]
    texts = [one.stdout + one.stderr for one in said]
    files = Files.at(out)
    written = {name: files.read(name) or b"" for name in files.sizes("")}
    assert len(written) > 10
    assert f"s3://***@bucket/{tmp_path.name}" in texts[1]
    for text in [*texts, *(content.decode("latin-1") for content in written.values())]:
        assert KEY not in text
        assert SECRET not in text


@pytest.mark.slow
def test_what_a_failed_block_leaves(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*args: Any) -> Any:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr(crossing, "train_block", failing)
    (tmp_path / "spec.yaml").write_text(SPEC)
    assert mcrelu("run", "spec.yaml", "--out", out, "--serial", cwd=tmp_path).returncode == 4
    files = Files.at(out)
    errors = [files.read(f"errors/{name}") or b"" for name in files.names("errors")]
    assert len(errors) == 6
    for error in errors:
        assert f"s3://***@bucket/{tmp_path.name}".encode() in error
        assert SECRET.encode() not in error
    assert mcrelu("plot", out, cwd=tmp_path).stderr.startswith(
        f"mcrelu: s3://***@bucket/{tmp_path.name}"
    )
