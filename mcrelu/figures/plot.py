"""All figures of an output, from its tables."""

from __future__ import annotations

from mcrelu.figures.crossing import crossing_figure
from mcrelu.figures.pgf import crossing_tex
from mcrelu.figures.series import series_of
from mcrelu.figures.style import look, publish
from mcrelu.stats.reduce import CELLS, POWER_LAWS
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
    series = series_of(output.read_table(CELLS), output.read_table(POWER_LAWS))
    if not series:
        return []
    with look():
        paths = publish(crossing_figure(series), output.files, CROSSING)
    # Not the figures' own name: compiling it must not overwrite crossing.pdf.
    tex = f"figures/{CROSSING}-pgfplots.tex"
    output.files.publish(tex, crossing_tex(series).encode())
    return [*paths, output.files.path(tex)]
