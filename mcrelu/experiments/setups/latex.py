"""The table of test RMSEs as a LaTeX document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import log
from typing import Any, NamedTuple

from mcrelu.experiments.setups.naming import (
    Configuration,
    configuration_of,
    data_sets,
    in_order,
    sizes,
)
from mcrelu.figures.style import COLORS

NAME = "setups_table.tex"

Row = Mapping[str, Any]

SCALE = 1e4  # entries are multiples of its inverse
RMSE = "best_test_rmse"
_DARKEST = 60  # percent of the colour, so that text stays readable

_HEAD = r"""\documentclass[a4paper]{article}
\usepackage[margin=15mm]{geometry}
\usepackage[table]{xcolor}
\usepackage{longtable}
\definecolor{rmse}{HTML}{@COLOR@}
\setlength{\tabcolsep}{2.5pt}
\pagestyle{empty}
\begin{document}
\scriptsize
\noindent
Test RMSE ($\times 10^4$) at the best learning rate: mean $\pm$ standard error over networks.
The darker a cell, the larger the logarithm of its RMSE within the column.
"""
_TAIL = r"""\end{longtable}
\end{document}
"""


class _Columns(NamedTuple):
    """What the table has: names of configurations, then data sets."""

    names: tuple[str, ...]
    data: tuple[str, ...]


def setups_tex(best: Sequence[Row]) -> str:
    """A document that compiles as it is; the longtable can be copied into a paper."""
    configurations = in_order({configuration_of(row) for row in best})
    columns = _columns(best, configurations)
    cells = {
        (configuration_of(row), row["data"]): _cell(row, shade)
        for row, shade in zip(best, _shades(best), strict=True)
    }
    lines = [
        rf"\begin{{longtable}}{{{'l' * len(columns.names)}{'r' * len(columns.data)}}}",
        _line([*columns.names, *map(_escaped, columns.data)]),
        r"\hline",
        r"\endhead",
    ]
    for before, one in pairwise([configurations[0], *configurations]):
        if one[:2] != before[:2]:  # another parametrisation or optimiser
            lines.append(r"\hline")
        names = _names(one)[: len(columns.names)]
        lines.append(_line([*names, *(cells.get((one, name), "") for name in columns.data)]))
    return "".join((_HEAD.replace("@COLOR@", COLORS[0][1:]), *(f"{x}\n" for x in lines), _TAIL))


def _columns(best: Iterable[Row], configurations: Iterable[Configuration]) -> _Columns:
    """Width and batch only if they differ."""
    sized = len(sizes(configurations)) > 1
    names = ("param.", "optimizer", "biases", *(("width", "batch") if sized else ()))
    return _Columns(names, tuple(data_sets(best)))


def _names(one: Configuration) -> tuple[str, ...]:
    parametrization, optimizer, _, width, batch = one.words()
    return parametrization, optimizer, _escaped(one.biases.formula), width, batch


def _shades(best: Sequence[Row]) -> list[int]:
    """Percent of colour: linear in the logarithm from the least to the largest of a data set."""
    logs: dict[str, list[float]] = defaultdict(list)
    for row in best:
        logs[row["data"]].append(log(row[RMSE]))
    shades = []
    for row in best:
        low, high = min(logs[row["data"]]), max(logs[row["data"]])
        part = (log(row[RMSE]) - low) / (high - low) if high > low else 0.0
        shades.append(round(_DARKEST * part))
    return shades


def _cell(row: Row, shade: int) -> str:
    mean, error = SCALE * row[RMSE], row[f"{RMSE}_se"]
    if error is None:
        return rf"\cellcolor{{rmse!{shade}}}{mean:.0f}"
    digits = 0 if SCALE * error >= 0.95 else 1  # enough to tell the error
    return rf"\cellcolor{{rmse!{shade}}}{mean:.{digits}f} $\pm$ {SCALE * error:.{digits}f}"


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _escaped(text: str) -> str:
    """With underscores outside of formulas as text."""
    parts = text.split("$")
    return "$".join(part if k % 2 else part.replace("_", r"\_") for k, part in enumerate(parts))
