"""The figures of one output, or of several together, from their tables."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.csv as pacsv

from mcrelu.figures.crossing import crossing_figure
from mcrelu.figures.pgf import crossing_tex
from mcrelu.figures.series import series_of
from mcrelu.figures.style import look, publish
from mcrelu.stats.comparison import pool
from mcrelu.stats.reduce import CELLS, POWER_LAWS, power_laws
from mcrelu.store.files import Files
from mcrelu.store.output import Output

CROSSING = "crossing"


def draw(output: Output) -> list[str]:
    """Write figures/crossing.png, .pdf, .svg and crossing-pgfplots.tex; returns the paths.

    Without any complete block there is nothing to draw, and nothing is written.

    Raises
    ------
    UserError
        If the output has no tables yet.
    """
    return _draw(
        output.read_table(CELLS), output.read_table(POWER_LAWS), output.files, f"figures/{CROSSING}"
    )


def draw_together(outputs: Sequence[Output], files: Files) -> list[str]:
    """One figure of all series of several outputs, and its tables, directly below a place.

    Raises
    ------
    UserError
        If an output has no tables yet, or two outputs have a cell in common.
    """
    cells = pool(output.read_table(CELLS) for output in outputs)
    laws = power_laws(cells)
    paths = _draw(cells, laws, files, CROSSING)
    for name, table in ((CELLS, cells), (POWER_LAWS, laws)):
        csv = pa.BufferOutputStream()
        pacsv.write_csv(table, csv)
        files.publish(f"{name}.csv", csv.getvalue())
        paths.append(files.path(f"{name}.csv"))
    return paths


def _draw(cells: pa.Table, laws: pa.Table, files: Files, name: str) -> list[str]:
    series = series_of(cells, laws)
    if not series:
        return []
    with look():
        paths = publish(crossing_figure(series), files, name)
    # Not the figures' own name: compiling it must not overwrite crossing.pdf.
    tex = f"{name}-pgfplots.tex"
    files.publish(tex, crossing_tex(series).encode())
    return [*paths, files.path(tex)]
