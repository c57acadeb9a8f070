"""One HTML page per output: the figure, the estimates beside the paper's, how it was made."""

from __future__ import annotations

from html import escape

import pyarrow as pa

from mcrelu.figures.plot import CROSSING
from mcrelu.figures.series import Series, doubts, law_sentence, paper_figure, series_of
from mcrelu.runtime.block import versions
from mcrelu.stats.reduce import CELLS, POWER_LAWS
from mcrelu.store.output import Output

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
    cells, laws = output.read_table(CELLS), output.read_table(POWER_LAWS)
    page = _page(cells, laws, _drawing(output), output.sweep.to_yaml())
    output.files.publish(REPORT, page.encode())
    return output.files.path(REPORT)


def _page(cells: pa.Table, laws: pa.Table, drawing: str, spec: str) -> str:
    tables = "".join(_estimates(one) for one in series_of(cells, laws))
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>mcrelu report</title>
<style>{_STYLE}</style></head><body>
<h1>P(a kink may cross a data point)</h1>
<figure>{drawing}</figure>
{tables or "<p>No block is complete yet.</p>"}
<p>Estimates count networks not proved (or believed, with early stopping) to keep their kinks
away from the data; intervals are Wilson's at 95 %, or confidence sequences where the sweep asks
for a precision. Only complete blocks are counted.</p>
<h2>Spec</h2><pre>{escape(spec)}</pre>
<p>Reduced with {escape(used)}.</p>
</body></html>
"""


def _estimates(series: Series) -> str:
    paper = paper_figure(series.setting)
    published = dict(zip(series.paper_width, series.paper_estimate, strict=True))
    head = ["width", "networks", "estimate", "95 % interval"] + ([f"paper, {paper}"] * bool(paper))
    rows = [head]
    for k, width in enumerate(series.width):
        row = [str(width), str(series.networks[k]), f"{series.estimate[k]:.4f}"]
        row.append(f"{series.low[k]:.4f} to {series.high[k]:.4f}")
        if paper:
            row.append(f"{published[width]:.4f}" if width in published else "")
        rows.append(row)
    body = "".join(_row(row, "th" if row is head else "td") for row in rows)
    remarks = "".join(f"<p>{escape(text)}</p>" for text in (law_sentence(series), doubts(series)))
    return f"<h2>{escape(series.name)}</h2><table>{body}</table>{remarks}"


def _row(cells: list[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _drawing(output: Output) -> str:
    svg = output.files.read(f"figures/{CROSSING}.svg")
    return "" if svg is None else svg.decode().partition("<!DOCTYPE")[2].partition(">")[2]
