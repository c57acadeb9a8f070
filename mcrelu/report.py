"""One HTML page per output: how it was made, figures, estimates beside the paper's."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

from mcrelu.errors import UserError
from mcrelu.experiments.base import CELLS, Experiment, Section, Tables
from mcrelu.facts import facts_section, time_section
from mcrelu.figures.plot import FIGURES
from mcrelu.stats.comparison import compare
from mcrelu.stats.verdicts import comparison_section
from mcrelu.store.completeness import notices
from mcrelu.store.files import OversizedError
from mcrelu.store.output import Output
from mcrelu.store.reduce import written_tables
from mcrelu.texts import printable

REPORT = "report.html"

MOST_FIGURE_BYTES = 2**24
MOST_ROWS = 40  # of a table that is shown at once

# What is wider than the screen scrolls by itself, so that the page never does.
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 1rem auto; padding: 0 1rem;
       overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.2; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
td, th { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #ddd;
         white-space: nowrap; }
td.word, th.word { text-align: left; }
td:first-child, th:first-child { padding-left: 0; position: sticky; left: 0; background: #fff; }
table.facts td { white-space: normal; text-align: left; vertical-align: top; }
figure { margin: 1rem 0; } img { display: block; height: auto; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; font-size: .85rem; }
@media (min-width: 50rem) { figure img { zoom: 1.4; } }
"""
# The page is a file that people open and pass on: nothing in it runs or loads anything.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_NUMBER = re.compile(r"[-+]?[0-9.]|infinite|$")  # what a cell of a column of numbers begins with


def publish_report(output: Output) -> str:
    """Write report.html, which needs no other file; returns its path."""
    output.files.publish(REPORT, _page(output).encode())
    return output.files.path(REPORT)


def _page(output: Output) -> str:
    experiment, tables = output.experiment, written_tables(output)
    sections = experiment.sections(tables)
    figures = dict.fromkeys(section.figure for section in sections if section.figure)
    first = [*notices(output, tables), facts_section(output, tables)]
    last = [*comparison_with_paper(experiment, tables), *time_section(tables)]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{_html(output.name)}: mcrelu report</title>
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{_STYLE}</style></head><body>
<h1>{_html(experiment.title)}</h1>
{sections_html(first)}
{"".join(f'<figure class="wide">{_drawing(output, name)}</figure>' for name in figures)}
{sections_html(sections) or "<p>No block is complete yet.</p>"}
<p>{_html(experiment.note)} Only complete blocks are counted.</p>
{sections_html(last)}
<h2>Spec</h2><pre>{_html(output.spec_text())}</pre>
</body></html>
"""


def _html(text: str) -> str:
    """A text of an output as HTML."""
    return escape(printable(text))


def comparison_with_paper(experiment: Experiment, tables: Tables) -> list[Section]:
    """Points held against the paper's, if it has any of them."""
    if not experiment.figures_of_paper:
        return []
    ours, published = experiment.points(tables[CELLS]), experiment.published(None)
    try:
        return [comparison_section(compare(ours, published, experiment.abscissa), "paper")]
    except UserError:  # no point in common
        return []


def sections_html(sections: Iterable[Section]) -> str:
    """Sections as HTML, one below the other."""
    return "".join(_section(one) for one in sections)


def _section(section: Section) -> str:
    remarks = "".join(f"<p>{_html(text)}</p>" for text in section.remarks)
    table = _table(section.headings, section.rows) if section.headings else ""
    if len(section.rows) > MOST_ROWS:
        table = f"<details><summary>{len(section.rows)} rows</summary>{table}</details>"
    return f"<h2>{_html(section.title)}</h2>{table}{remarks}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in a container that scrolls; columns of words are flush left."""
    words = [not all(_NUMBER.match(row[k]) for row in rows) for k in range(len(headings))]
    body = "".join(_row(row, "td", words) for row in rows)
    if not any(headings):
        return f'<table class="facts">{body}</table>'
    return f'<div class="wide"><table>{_row(headings, "th", words)}{body}</table></div>'


def _row(cells: Iterable[str], tag: str, words: Sequence[bool]) -> str:
    looks = (' class="word"' if word else "" for word in words)
    both = zip(cells, looks, strict=True)
    return f"<tr>{''.join(f'<{tag}{look}>{_html(cell)}</{tag}>' for cell, look in both)}</tr>"


def _drawing(output: Output, name: str) -> str:
    """A figure of the output as a picture: whatever stands in its file, nothing of it runs."""
    try:
        svg = output.files.read(f"{FIGURES}/{name}.svg", MOST_FIGURE_BYTES)
    except OversizedError:
        return ""
    if svg is None:
        return ""
    source = f"data:image/svg+xml;base64,{b64encode(svg).decode()}"
    return f'<img src="{source}" alt="{_html(name)} of {_html(output.name)}">'
