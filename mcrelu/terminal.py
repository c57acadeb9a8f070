"""Tables as people read them on a terminal."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
from rich.console import Console, Group
from rich.table import Table

from mcrelu.experiments.crossing.series import Series, doubts, law_sentence, paper_figure, series_of
from mcrelu.experiments.star.curves import Curve, curve_rows, curves_of
from mcrelu.runtime.progress import duration
from mcrelu.stats.precision import Sample, lacks_precision
from mcrelu.stats.reduce import CELLS, POWER_LAWS, Tables
from mcrelu.verify import AnyAgreement

MOST_NAMED = 4  # cells in a line

# Columns of words; all others are of numbers.
_WORDS = ("optimizer", "stop", "step_rule", "init", "event", "data", "file", "agreement", "verdict")


def series_table(series: Series, paper: str | None) -> Group:
    """Estimates of a series with their intervals, beside the published values."""
    title = f"{series.name}: P(a kink may cross a data point)"
    headings = ["width", "networks", "estimate", "95 % interval"]
    table = _table(title, [*headings, f"paper ({paper})"] if paper else headings)
    published = dict(zip(series.paper_width, series.paper_estimate, strict=True))
    rows = zip(series.width, series.networks, series.estimate, series.low, series.high, strict=True)
    for width, networks, estimate, low, high in rows:
        cells = [str(width), str(networks), f"{estimate:.4f}", f"{low:.4f} .. {high:.4f}"]
        if paper:
            cells.append(f"{published[width]:.4f}" if width in published else "")
        table.add_row(*cells)
    doubt = [f" {line}"] if (line := doubts(series)) else []
    return Group(table, f" {law_sentence(series)}", *doubt)


def counts_table(cells: pa.Table) -> Table:
    """How many networks of each cell ended in which way."""
    reasons = ["crossed", "locally_converged", "early_stopped", "a_degenerate", "x_degenerate"]
    reasons.append("unfinished")
    names = ["optimizer", "offset", "width", "networks", *reasons]
    shown = cells.select([name for name in names if name not in reasons or _any(cells, name)])
    headings = [name.replace("_", " ") for name in shown.column_names]
    table = _table("How training ended", headings)
    for row in shown.to_pylist():
        table.add_row(*(f"{v:g}" if isinstance(v, float) else str(v) for v in row.values()))
    return table


def precision_table(cells: pa.Table) -> Table:
    """How narrow the confidence sequence of each cell is, beside what was asked for."""
    headings = ["optimizer", "offset", "width", "networks", "relative width", "wanted", "verdict"]
    table = _table("Precision", headings)
    for row in cells.to_pylist():
        relative, wanted = row["relative_width"], row["relative_width_wanted"]
        table.add_row(
            row["optimizer"],
            f"{row['offset']:g}",
            str(row["width"]),
            str(row["networks"]),
            "" if relative is None else f"{relative:.4f}",
            f"{wanted:g}",
            "LACKING" if lacks_precision(row) else "precise",
        )
    return table


def shortfall(cells: pa.Table, budget: int) -> str:
    """Which cells ran out of networks before the precision asked for, and what to raise."""
    rows = cells.to_pylist()
    lacking = [row for row in rows if lacks_precision(row)]
    wanted = rows[0]["relative_width_wanted"]
    names = [
        f"{row['optimizer']} n={row['width']} offset={row['offset']:g} {row['init']}"
        for row in lacking[:MOST_NAMED]
    ]
    more = f" and {len(lacking) - MOST_NAMED} more" if len(lacking) > MOST_NAMED else ""
    needs = [Sample(k=row["k_high"], n=row["networks"]).projected(wanted) for row in lacking]
    need = math.ceil(max(needs, default=0))
    step = 10 ** max(0, len(str(need)) - 2)
    word = "about" if all(row["k_high"] for row in lacking) else "at least"
    return (
        f"Not precise to {wanted:g}: {', '.join(names)}{more}. Raise networks from {budget} to "
        f"{word} {-(-need // step) * step}, or relative_width; the same command then goes on."
    )


def results(experiment: str, tables: Tables) -> list[Table | Group]:
    """The tables of a run as people read them."""
    cells = tables[CELLS]
    if experiment == "star":
        return [curve_table(curve) for curve in curves_of(cells)]
    series = series_of(cells, tables[POWER_LAWS])
    estimates = [series_table(one, paper_figure(one.setting)) for one in series]
    adaptive = any(wanted is not None for wanted in cells["relative_width_wanted"].to_pylist())
    return [*estimates, counts_table(cells), *([precision_table(cells)] if adaptive else [])]


def curve_table(curve: Curve) -> Table:
    """Fractions of a curve of a star sweep, beside the published values."""
    head, *body = curve_rows(curve)
    table = _table(curve.name, head)
    for row in body:
        table.add_row(*row)
    if any(curve.diverged):
        lost = ", ".join(
            f"{k} at n = {n}" for k, n in zip(curve.diverged, curve.width, strict=True) if k
        )
        table.caption = f" Diverged: {lost}."
    return table


def comparison_table(comparison: pa.Table, other: str) -> Table:
    """Points compared, with the verdict of each; what all points share stands below."""
    names = comparison.column_names
    setting = names[: names.index("width")]
    varies = [name for name in setting if len(set(comparison[name].to_pylist())) > 1]
    headings = [*varies, "width", "estimate", "networks", other, "networks", "z", "p", "verdict"]
    table = _table(f"Comparison with {other}", headings)
    for row in comparison.to_pylist():
        table.add_row(
            *(_shown(row[name]) for name in varies),
            str(row["width"]),
            f"{row['estimate']:.4f}",
            str(row["networks"]),
            f"{row['other_estimate']:.4f}",
            str(row["other_networks"]),
            f"{row['z']:+.2f}",
            f"{row['p']:.3g}",
            "agrees" if row["agrees"] else "DIFFERS",
        )
    same = ", ".join(
        f"{name} {_shown(comparison[name][0].as_py())}" for name in setting if name not in varies
    )
    table.caption = f" All points: {same}."
    return table


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).removeprefix("crossing+")


def agreement_table(agreements: list[AnyAgreement]) -> Table:
    """Golden files and how far we agree with them."""
    headings = ["file", "networks", "agreement", "verdict"]
    table = _table("Agreement with the original program", headings)
    for one in agreements:
        table.add_row(
            one.file.rsplit("/", 1)[-1],
            str(one.networks),
            one.measures,
            "agrees" if one.agrees else "DIFFERS",
        )
    return table


def status_table(status: dict[str, Any]) -> Table:
    """How far a run is, and what its last session said."""
    last = status["last_run"] or {"state": "none", "updated": "", "seconds": 0.0}
    precise, left = status["cells_precise"], status["blocks"] - status["blocks_done"]
    about = "about " if precise is not None and left else ""
    rows = [
        *([] if precise is None else [("precise cells", f"{precise} of {status['cells']}")]),
        ("blocks", f"{status['blocks_done']} of {about}{status['blocks']}"),
        ("networks", f"{status['networks_done']} of {about}{status['networks']}"),
        *([("begun blocks", _begun(status))] if status["blocks_begun"] else []),
        ("failed blocks", str(status["failed_blocks"])),
        ("last run", f"{last['state']}, {duration(last['seconds'])}, {last['updated']}"),
    ]
    return facts_table(status["out"], rows)


def _begun(status: dict[str, Any]) -> str:
    """How far the blocks are that have a checkpoint but no rows yet."""
    first, last = status["epochs_of_begun"]
    span = f"{last}" if first == last else f"{first} to {last}"
    return f"{status['blocks_begun']}, at epoch {span}"


def facts_table(title: str, rows: list[tuple[str, str]]) -> Table:
    """Names and values."""
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    for name, value in rows:
        table.add_row(name, value)
    return table


def show(console: Console, *tables: Table | Group) -> None:
    """Print tables with an empty line between them."""
    for table in tables:
        console.print(table)
        console.print()


def _table(title: str, headings: list[str]) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left", box=None)
    for heading in headings:
        words = heading in _WORDS
        table.add_column(heading, justify="left" if words else "right")
    return table


def _any(cells: pa.Table, name: str) -> bool:
    values: list[Any] = cells[name].to_pylist()
    return any(values)
