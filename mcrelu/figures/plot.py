"""The figures of one output, or of several together, from their tables."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.csv as pacsv

from mcrelu.experiments.crossing.figures import crossing_figure
from mcrelu.experiments.crossing.pgf import crossing_tex
from mcrelu.experiments.crossing.series import series_of
from mcrelu.experiments.crossing.tables import power_laws
from mcrelu.experiments.star.curves import curves_of
from mcrelu.experiments.star.figures import star_figure
from mcrelu.figures.style import look, publish
from mcrelu.stats.comparison import pool
from mcrelu.stats.reduce import CELLS, POWER_LAWS, Tables, written_tables
from mcrelu.store.files import Files
from mcrelu.store.output import Output


def draw(output: Output) -> list[str]:
    """Write the figures of an output under figures/; returns the paths.

    A crossing sweep has crossing.png, .pdf, .svg and crossing-pgfplots.tex, a star sweep star.png,
    .pdf, .svg. Without any complete block there is nothing to draw, and nothing is written.

    Raises
    ------
    UserError
        If the output has no tables yet.
    """
    return _draw(written_tables(output), output.files, "figures/")


def draw_together(outputs: Sequence[Output], files: Files) -> list[str]:
    """One figure of all series of several outputs, and its tables, directly below a place.

    Raises
    ------
    UserError
        If an output has no tables yet, they are of different experiments, or two outputs have a
        cell in common.
    """
    cells = pool(output.read_table(CELLS) for output in outputs)
    tables = {CELLS: cells}
    if outputs[0].sweep.experiment == "crossing":
        tables[POWER_LAWS] = power_laws(cells)
    paths = _draw(tables, files, "")
    for name, table in tables.items():
        csv = pa.BufferOutputStream()
        pacsv.write_csv(table, csv)
        files.publish(f"{name}.csv", csv.getvalue())
        paths.append(files.path(f"{name}.csv"))
    return paths


def _draw(tables: Tables, files: Files, folder: str) -> list[str]:
    if POWER_LAWS not in tables:
        return _draw_star(tables[CELLS], files, f"{folder}star")
    return _draw_crossing(tables[CELLS], tables[POWER_LAWS], files, f"{folder}crossing")


def _draw_crossing(cells: pa.Table, laws: pa.Table, files: Files, name: str) -> list[str]:
    series = series_of(cells, laws)
    if not series:
        return []
    with look():
        paths = publish(crossing_figure(series), files, name)
    # Not the figures' own name: compiling it must not overwrite crossing.pdf.
    tex = f"{name}-pgfplots.tex"
    files.publish(tex, crossing_tex(series).encode())
    return [*paths, files.path(tex)]


def _draw_star(cells: pa.Table, files: Files, name: str) -> list[str]:
    curves = curves_of(cells)
    if not curves:
        return []
    with look():
        return publish(star_figure(curves), files, name)
