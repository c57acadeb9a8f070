"""One HTML page per output: figures, estimates beside the paper's, how it was made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from mcrelu.experiments.base import Section
from mcrelu.figures.plot import FIGURES
from mcrelu.runtime.block import versions
from mcrelu.store.completeness import notices
from mcrelu.store.output import Output
from mcrelu.store.reduce import written_tables

REPORT = "report.html"

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd; }
figure { margin: 1rem 0; } svg { width: 100%; height: auto; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; }
"""


def publish_report(output: Output) -> str:
    """Write report.html, which needs no other file; returns its path."""
    output.files.publish(REPORT, _page(output).encode())
    return output.files.path(REPORT)


def _page(output: Output) -> str:
    experiment, tables = output.experiment, written_tables(output)
    sections = experiment.sections(tables)
    figures = dict.fromkeys(section.figure for section in sections if section.figure)
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>mcrelu report</title>
<style>{_STYLE}</style></head><body>
<h1>{escape(experiment.title)}</h1>
{"".join(_section(one) for one in notices(output, tables))}
{"".join(f"<figure>{_drawing(output, name)}</figure>" for name in figures)}
{"".join(_section(one) for one in sections) or "<p>No block is complete yet.</p>"}
<p>{escape(experiment.note)} Only complete blocks are counted.</p>
<h2>Spec</h2><pre>{escape(output.spec_text())}</pre>
<p>Reduced with {escape(used)}.</p>
</body></html>
"""


def _section(section: Section) -> str:
    remarks = "".join(f"<p>{escape(text)}</p>" for text in section.remarks)
    table = _table(section.headings, section.rows) if section.headings else ""
    return f"<h2>{escape(section.title)}</h2>{table}{remarks}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return f"<table>{_row(headings, 'th')}{''.join(_row(row, 'td') for row in rows)}</table>"


def _row(cells: Iterable[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _drawing(output: Output, name: str) -> str:
    svg = output.files.read(f"{FIGURES}/{name}.svg")
    return "" if svg is None else svg.decode().partition("<!DOCTYPE")[2].partition(">")[2]
