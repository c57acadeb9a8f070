"""One HTML page per output: the figure, the estimates beside the paper's, how it was made."""

from __future__ import annotations

from html import escape

from mcrelu.experiments.crossing.series import Series, doubts, law_sentence, paper_figure, series_of
from mcrelu.experiments.star.curves import curve_rows, curves_of
from mcrelu.runtime.block import versions
from mcrelu.stats.reduce import CELLS, POWER_LAWS
from mcrelu.store.output import Output

REPORT = "report.html"

_TITLES = {
    "crossing": "P(a kink may cross a data point)",
    "star": "How often training leaves the affine regime",
}
_NOTES = {
    "crossing": """Estimates count networks not proved (or believed, with early stopping) to keep
their kinks away from the data; intervals are Wilson's at 95 %, or confidence sequences where the
sweep asks for a precision.""",
    "star": """Fractions of networks whose activation pattern on the data changed at any epoch, and
whose loss fell below that of the best function that is affine on every ray; intervals are Wilson's
at 95 %.""",
}

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
    experiment = output.sweep.experiment
    title = _TITLES[experiment]
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>mcrelu report</title>
<style>{_STYLE}</style></head><body>
<h1>{title}</h1>
<figure>{_drawing(output, experiment)}</figure>
{_estimates(output) or "<p>No block is complete yet.</p>"}
<p>{_NOTES[experiment]} Only complete blocks are counted.</p>
<h2>Spec</h2><pre>{escape(output.sweep.to_yaml())}</pre>
<p>Reduced with {escape(used)}.</p>
</body></html>
"""


def _estimates(output: Output) -> str:
    cells = output.read_table(CELLS)
    if output.sweep.experiment == "star":
        curves = curves_of(cells)
        return "".join(f"<h2>{escape(one.name)}</h2>{_table(curve_rows(one))}" for one in curves)
    return "".join(_series(one) for one in series_of(cells, output.read_table(POWER_LAWS)))


def _series(series: Series) -> str:
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
    remarks = "".join(f"<p>{escape(text)}</p>" for text in (law_sentence(series), doubts(series)))
    return f"<h2>{escape(series.name)}</h2>{_table(rows)}{remarks}"


def _table(rows: list[list[str]]) -> str:
    """A table whose first row is its head."""
    head, *body = rows
    return f"<table>{_row(head, 'th')}{''.join(_row(row, 'td') for row in body)}</table>"


def _row(cells: list[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _drawing(output: Output, experiment: str) -> str:
    svg = output.files.read(f"figures/{experiment}.svg")
    return "" if svg is None else svg.decode().partition("<!DOCTYPE")[2].partition(">")[2]
