"""The figures of one output, or of several together, from their tables."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from mcrelu.experiments.base import CELLS, Experiment, Replay, Tables
from mcrelu.figures.captions import add_caption, joined, names_together
from mcrelu.figures.style import look, publish
from mcrelu.store.completeness import unfinished
from mcrelu.store.files import Files
from mcrelu.store.output import Output, csv_of
from mcrelu.store.pooled import PooledReader
from mcrelu.store.reduce import written_tables

FIGURES = "figures"


def draw(output: Output) -> list[str]:
    """Write the figures of an output under figures/; returns the paths.

    Each is a PNG, a PDF and an SVG with a caption, and may have LaTeX documents. Without any
    complete block there is nothing to draw, and nothing is written.

    Raises
    ------
    UserError
        If the output has no tables yet.
    """
    tables = written_tables(output)
    source = _source([output], [tables[CELLS]])
    return _draw(output.experiment, tables, source, output.files, f"{FIGURES}/")


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
    parts = [output.read_table(CELLS) for output in outputs]
    paths = _draw(experiment, tables, _source(outputs, parts), files, "")
    for name, table in tables.items():
        files.publish(f"{name}.csv", csv_of(table))
        paths.append(files.path(f"{name}.csv"))
    return paths


def draw_replay(replay: Replay, name: str, files: Files) -> list[str]:
    """Write the figures of a replay, each below a name; returns the paths."""
    paths = []
    with look():
        for drawing in replay.drawings:
            area = add_caption(drawing.figure, drawing.caption)
            paths += publish(drawing.figure, files, f"{name}-{drawing.name}", area)
    return paths


def _source(outputs: Sequence[Output], cells: Sequence[pa.Table]) -> str:
    """What a caption says of where a figure is from: names of outputs, and if they are unfinished.

    ``cells`` are the cell tables of the outputs.
    """
    parts = zip((output.contents for output in outputs), cells, strict=True)
    return joined((names_together(output.name for output in outputs), unfinished(parts)))


def _draw(
    experiment: Experiment, tables: Tables, source: str, files: Files, folder: str
) -> list[str]:
    paths = []
    with look():
        for drawing in experiment.drawings(tables):
            caption = joined((drawing.caption, source))
            area = add_caption(drawing.figure, caption)
            paths += publish(drawing.figure, files, f"{folder}{drawing.name}", area)
            for name, text in drawing.documents.items():
                files.publish(f"{folder}{name}", f"% {caption}\n{text}".encode())
                paths.append(files.path(f"{folder}{name}"))
    return paths
