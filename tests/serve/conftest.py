"""An output to serve: finished, with tables and figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_sweeps import run_serially, sweep

from mcrelu.figures.plot import draw
from mcrelu.store.output import Output
from mcrelu.store.reduce import reduce


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """A sweep of two cells, of three blocks each; nobody writes into it."""
    wanted = sweep(cells={"width": [4, 8]})
    output = run_serially(tmp_path_factory.mktemp("outputs") / "small", wanted)
    reduce(output)
    draw(output)
    return output


@pytest.fixture
def folder(finished: Output) -> Path:
    """Where it is."""
    return Path(finished.files.root)
