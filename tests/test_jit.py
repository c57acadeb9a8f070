"""Compiled kernels are forgotten when code changes that they were compiled from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from mcrelu.engines.minibatch import descent_kernels, piecewise_kernels
from mcrelu.jit import source_stamp

CALLER = """
from mcrelu.callee import twice
from mcrelu.jit import jit

@jit()
def thrice(x: float) -> float:
    return twice(x) + x
"""
CALLEE = """
from mcrelu.jit import jit

@jit()
def twice(x: float) -> float:
    return FACTOR * x
"""
PROGRAM = (
    "from mcrelu.caller import thrice; print(thrice(1.0), sum(thrice.stats.cache_hits.values()))"
)


def test_a_kernel_is_compiled_anew_when_one_that_it_calls_changes(tmp_path: Path) -> None:
    package = tmp_path / "mcrelu"
    package.mkdir()
    (package / "__init__.py").touch()
    source = Path(sys.modules["mcrelu.jit"].__file__ or "")
    (package / "jit.py").write_bytes(source.read_bytes())
    (package / "caller.py").write_text(CALLER)

    def result(factor: float) -> list[str]:
        (package / "callee.py").write_text(CALLEE.replace("FACTOR", str(factor)))
        command = [sys.executable, "-c", PROGRAM]
        return subprocess.check_output(command, cwd=tmp_path, text=True).split()

    assert result(2.0) == ["3.0", "0"]
    assert result(2.0) == ["3.0", "1"]  # nothing changed: from the cache
    assert result(3.0) == ["4.0", "0"]


def test_numba_s_cache_has_the_stamp() -> None:
    """Where a later numba keeps it elsewhere, this fails."""
    for module in (descent_kernels, piecewise_kernels):
        stamp = module.descend._cache._cache_file._source_stamp
        assert stamp == source_stamp("mcrelu.engines.minibatch.descent_kernels")
    assert source_stamp(piecewise_kernels.__name__) != source_stamp(descent_kernels.__name__)
    assert np.isfinite(piecewise_kernels.total(np.ones(3)))
