"""The figures of one output, or of several together, from their tables."""

from __future__ import annotations

from collections.abc import Sequence

from mcrelu.experiments.base import CELLS, Experiment, Tables
from mcrelu.figures.style import look, publish
from mcrelu.store.files import Files
from mcrelu.store.output import Output, csv_of
from mcrelu.store.pooled import PooledReader
from mcrelu.store.reduce import written_tables

FIGURES = "figures"


def draw(output: Output) -> list[str]:
    """Write the figures of an output under figures/; returns the paths.

    Each is a PNG, a PDF and an SVG, and may have further documents such as LaTeX. Without any
    complete block there is nothing to draw, and nothing is written.

    Raises
    ------
    UserError
        If the output has no tables yet.
    """
    return _draw(output.experiment, written_tables(output), output.files, f"{FIGURES}/")


def draw_together(outputs: Sequence[Output], files: Files) -> list[str]:
    """One figure of all cells of several outputs, and its tables, directly below a place.

    Cells of one sweep at different seeds are one cell.

    Raises
    ------
    UserError
        If the outputs are of different experiments, two of them have the same networks, or they
        mean different things by a point.
    """
    reader = PooledReader(outputs)
    experiment = reader.experiment
    tables = experiment.tables(reader)
    reader.refuse_ambiguous_points(tables[CELLS])
    paths = _draw(experiment, tables, files, "")
    for name, table in tables.items():
        files.publish(f"{name}.csv", csv_of(table))
        paths.append(files.path(f"{name}.csv"))
    return paths


def _draw(experiment: Experiment, tables: Tables, files: Files, folder: str) -> list[str]:
    paths = []
    with look():
        for drawing in experiment.drawings(tables):
            paths += publish(drawing.figure, files, f"{folder}{drawing.name}")
            for name, text in drawing.documents.items():
                files.publish(f"{folder}{name}", text.encode())
                paths.append(files.path(f"{folder}{name}"))
    return paths
