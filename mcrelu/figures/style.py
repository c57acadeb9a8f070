"""How all figures look: sized for a paper's column, readable in grey and by the colour-blind."""

from __future__ import annotations

import io
import shutil
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from mcrelu.errors import ResourceError
from mcrelu.store.files import Files

COLUMN_WIDTH = 3.4  # inches
PAGE_WIDTH = 5.5
FORMATS = ("png", "pdf", "svg")
PGF = "pgf"  # text for LaTeX documents: written where it is asked for, since it takes LaTeX
# matplotlib sets numbers of ticks in it and leaves its definition to the document.
_DEFAULT_FONT = r"\providecommand{\mathdefault}[1]{#1}"
_TEX_SYSTEMS = ("pdflatex", "lualatex", "xelatex")

# Okabe and Ito's palette; series differ by marker too.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "v", "D", "P")
GREY = "#666666"

_RC: dict[Any, Any] = {
    "font.size": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "grid.color": "#dddddd",
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # editable text
    "svg.hashsalt": "mcrelu",  # the same figure gives the same file
    "savefig.dpi": 300,
}


def look() -> AbstractContextManager[None]:
    """The style, to be entered around drawing and saving."""
    return mpl.rc_context(_RC)


def publish(figure: Figure, files: Files, name: str, area: Bbox | None = None) -> list[str]:
    """Write <name> as PNG, PDF and SVG, or more than the figure: an area in inches.

    Returns the paths.
    """
    return [publish_as(kind, figure, files, f"{name}.{kind}", area) for kind in FORMATS]


def publish_as(kind: str, figure: Figure, files: Files, name: str, area: Bbox | None = None) -> str:
    """Write a figure in one of FORMATS, or as PGF, under this very name; its path.

    Raises
    ------
    ResourceError
        If there is no LaTeX, which PGF needs.
    """
    content = _pgf(figure, area) if kind == PGF else _picture(kind, figure, area)
    files.publish(name, content)
    return files.path(name)


def _picture(kind: str, figure: Figure, area: Bbox | None) -> bytes:
    stream = io.BytesIO()
    undated = {} if kind == "png" else {"Date" if kind == "svg" else "CreationDate": None}
    figure.savefig(stream, format=kind, metadata=undated, bbox_inches=area)
    return stream.getvalue()


def _pgf(figure: Figure, area: Bbox | None) -> bytes:
    r"""For ``\input`` in a document that loads the package pgf; in the document's own font."""
    system = next(filter(shutil.which, _TEX_SYSTEMS), None)
    if system is None:
        raise ResourceError(
            "pgf: no LaTeX was found, which measures its text; install texlive-latex-recommended "
            f"and texlive-pictures, or use one of {', '.join(FORMATS)}"
        )
    stream = io.StringIO()
    with mpl.rc_context({"pgf.texsystem": system, "pgf.rcfonts": False}):
        figure.savefig(stream, format=PGF, bbox_inches=area)
    return f"{_DEFAULT_FONT}\n{stream.getvalue()}".encode()
