"""The crossing figure as a LaTeX document for pgfplots, with its numbers in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mcrelu.experiments.crossing.series import Series, all_widths
from mcrelu.figures.style import COLORS
from mcrelu.figures.ticks import width_ticks

_MARKS = ("*", "square*", "triangle*", "diamond*", "pentagon*", "x")
_HEAD = r"""\documentclass{article}
\usepackage{pgfplots}
\pgfplotsset{compat=1.17}
\pagestyle{empty}
"""
_AXIS = r"""\begin{document}
\begin{tikzpicture}
\begin{loglogaxis}[
  xlabel={width $n$}, ylabel={P(a kink may cross a data point)},
  legend pos=outer north east, legend cell align=left, grid=major,
  xtick={@WIDTHS@}, xticklabels={@WIDTHS@},
  ytick={@LEVELS@}, yticklabels={@LEVELS@},
]
"""
_LEVELS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
_TAIL = r"""\end{loglogaxis}
\end{tikzpicture}
\end{document}
"""


def crossing_tex(series: Sequence[Series]) -> str:
    """A document that compiles as it is; the tikzpicture can be copied into a paper."""
    colors = [
        rf"\definecolor{{series{k}}}{{HTML}}{{{COLORS[k % len(COLORS)][1:]}}}"
        for k in range(len(series))
    ]
    plots = [line for k, one in enumerate(series) for line in _plots(one, k)]
    widths = all_widths(series)
    half = rf"\addplot[gray, dashed, domain={widths[0]}:{widths[-1]}, samples=2] {{x^(-0.5)}};"
    plots += [half, r"\addlegendentry{$n^{-1/2}$}"]
    axis = _AXIS.replace("@WIDTHS@", _commas(width_ticks(widths)))
    axis = axis.replace("@LEVELS@", _commas(_LEVELS))
    return _HEAD + _lines(colors) + axis + _lines(plots) + _TAIL


def _plots(series: Series, k: int) -> list[str]:
    color, mark = f"series{k}", _MARKS[k % len(_MARKS)]
    shown = [row for row in _rows(series) if row[1] > 0]
    lines = [
        rf"\addplot[{color}, only marks, mark={mark}, error bars/.cd, y dir=both, y explicit]",
        "  table[x=n, y=p, y error minus=minus, y error plus=plus] {",
        "    n p minus plus",
        *(f"    {n} {p:.6g} {p - low:.6g} {high - p:.6g}" for n, p, low, high in shown),
        "  };",
        rf"\addlegendentry{{{series.label}}}",
    ]
    limits = [(n, high) for n, p, _, high in _rows(series) if p == 0]
    if limits:
        options = f"{color}, only marks, mark=triangle*, mark options={{rotate=180}}"
        lines += [
            rf"\addplot[{options}] coordinates {{{_places(limits)}}};",
            r"\addlegendentry{no crossing: 95\,\% upper limit}",
        ]
    if (law := series.sound_law) is not None:
        domain = f"domain={series.width[0]}:{series.width[-1]}"
        curve = f"{law.amplitude:.6g} * x^(-{law.exponent:.6g})"
        lines += [
            rf"\addplot[{color}, {domain}, samples=2] {{{curve}}};",
            rf"\addlegendentry{{$\propto n^{{{-law.exponent:.3f}}}${series.so_far}}}",
        ]
    if series.paper_width:
        places = _places(zip(series.paper_width, series.paper_estimate, strict=True))
        lines += [
            rf"\addplot[{color}, only marks, mark=o, mark size=3.5pt] coordinates {{{places}}};",
            r"\addlegendentry{paper}",
        ]
    return lines


def _rows(series: Series) -> list[tuple[int, float, float, float]]:
    return list(zip(series.width, series.estimate, series.low, series.high, strict=True))


def _places(points: Iterable[tuple[int, float]]) -> str:
    return " ".join(f"({n}, {p:.6g})" for n, p in points)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _commas(values: Iterable[float]) -> str:
    return ",".join(f"{value:g}" if value < 1 else str(value) for value in values)
