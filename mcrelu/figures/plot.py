"""The figures of one output, or of several together, from their tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import pyarrow as pa
from matplotlib.transforms import Bbox

from mcrelu.errors import UserError
from mcrelu.experiments.base import CELLS, Drawing, Experiment, Replay, Tables
from mcrelu.figures.captions import add_caption, joined, names_together
from mcrelu.figures.style import FORMATS, PGF, look, publish, publish_as
from mcrelu.store.completeness import unfinished
from mcrelu.store.files import Files
from mcrelu.store.output import Output, csv_of
from mcrelu.store.pooled import PooledReader
from mcrelu.store.reduce import written_tables
from mcrelu.texts import one_line

FIGURES = "figures"
# Of pictures, too: nobody means a folder of such a name
OTHER_FORMATS = ("bmp", "eps", "gif", "jpeg", "jpg", "ps", "tif", "tiff", "webp")


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


def draw_at(outputs: Sequence[Output], place: str) -> list[str]:
    """One figure of several outputs: as the PNG, PDF, SVG or PGF that a place names, or below it.

    A file gets the first figure, a folder all of them with their tables. Returns the paths.

    Raises
    ------
    UserError
        As :func:`draw_together`.
    """
    name = place.rpartition("/")[2]
    kind = PurePath(name).suffix.lower().removeprefix(".")
    if kind in OTHER_FORMATS:
        known = ", ".join((*FORMATS, PGF))
        raise UserError(f"{place}: cannot write {kind}; use one of {known}, or give a folder")
    if kind not in (*FORMATS, PGF):
        return draw_together(outputs, Files.at(place))
    return _draw_first(outputs, Files.at(place.removesuffix(name) or "."), name, kind)


def draw_together(outputs: Sequence[Output], files: Files) -> list[str]:
    """One figure of all cells of several outputs, and its tables, directly below a place.

    Cells of one sweep at different seeds are one cell.

    Raises
    ------
    UserError
        If the outputs are of different experiments, two of them have the same networks, or they
        mean different things by a point.
    """
    experiment, tables, source = _pooled(outputs)
    paths = _draw(experiment, tables, source, files, "")
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


def _draw_first(outputs: Sequence[Output], files: Files, name: str, kind: str) -> list[str]:
    """The first figure of several outputs, in one format."""
    experiment, tables, source = _pooled(outputs)
    with look():
        return [
            publish_as(kind, drawing.figure, files, name, _captioned(drawing, source))
            for drawing in experiment.drawings(tables)[:1]
        ]


def _pooled(outputs: Sequence[Output]) -> tuple[Experiment, Tables, str]:
    """The experiment of some outputs, their tables as one, and what captions say of them."""
    reader = PooledReader(outputs)
    tables = reader.experiment.tables(reader)
    reader.refuse_ambiguous_points(tables[CELLS])
    source = _source(outputs, [output.read_table(CELLS) for output in outputs])
    return reader.experiment, tables, source


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
            area = _captioned(drawing, source)
            paths += publish(drawing.figure, files, f"{folder}{drawing.name}", area)
            caption = joined((drawing.caption, source))
            for name, text in drawing.documents.items():
                files.publish(f"{folder}{name}", f"% {one_line(caption)}\n{text}".encode())
                paths.append(files.path(f"{folder}{name}"))
    return paths


def _captioned(drawing: Drawing, source: str) -> Bbox:
    """Add its caption to a drawing's figure; the area in inches that both take."""
    return add_caption(drawing.figure, joined((drawing.caption, source)))
