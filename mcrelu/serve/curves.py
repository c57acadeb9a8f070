"""The estimates of an output as curves: what is drawn, and on which axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

import pyarrow as pa

from mcrelu.experiments.base import Count, Estimate, Experiment, Mean, Point
from mcrelu.figures.panels import log_limits
from mcrelu.figures.ticks import all_of, log_ticks, width_ticks
from mcrelu.serve.encoding import Json
from mcrelu.stats.intervals import SEQUENCE, clopper_pearson, shown_interval, wilson
from mcrelu.stats.sequential import Sample, confidence_sequence

MOST_CURVES = 6  # of a panel: as many as there are colours
_NORMAL = 1.96  # standard errors to either side that cover 95 %
_TICK_APART = 0.12
_MOST = 1.04  # where axes of probabilities end, at the latest


class Place(NamedTuple):
    """A point with what is known of it."""

    setting: Any
    x: int
    cell: str  # id
    estimate: Estimate


def places(
    experiment: Experiment, cells: pa.Table, samples: Mapping[str, Sample] | None
) -> list[Place]:
    """The points of a cell table that have networks.

    Parameters
    ----------
    samples : by cell, what is there by now; None where the table has all of it
    """
    sources, found = experiment.sources(cells), []
    estimates = experiment.points(cells)
    for point, source in sources.items():
        setting, x = point
        estimate = estimates[point]
        if samples is not None and is_counted(experiment, setting):
            sample = samples[source.cell]
            estimate = Count(sample.k, sample.n)
        if estimate.n and isfinite(_value(estimate)):
            found.append(Place(setting, x, source.cell, estimate))
    return found


def is_counted(experiment: Experiment, setting: Any) -> bool:
    """Whether the estimate of a point is what the summaries of blocks count."""
    if experiment.counted is None:
        return False
    return all(
        getattr(setting, name) == value for name, value in experiment.counted_setting.items()
    )


def panels(experiment: Experiment, found: Sequence[Place], sequential: bool) -> list[Json]:
    """Curves, a few per panel, beside those of the paper.

    Parameters
    ----------
    sequential : whether samples end by what is seen of them
    """
    settings = list(dict.fromkeys(place.setting for place in found))
    settings.sort(key=lambda one: not is_counted(experiment, one))  # what a run is about, first
    if not settings:
        return []
    paper = experiment.published(None) if experiment.figures_of_paper else {}
    return [
        _panel(experiment, title, chosen, found, paper, sequential)
        for title, chosen in _split(settings)
    ]


def _split(settings: list[Any]) -> list[tuple[str, list[Any]]]:
    """So many settings to a panel that curves can be told apart, and what these have in common."""
    by: list[str] = []
    groups: dict[tuple[Any, ...], list[Any]] = {(): settings}
    while max(map(len, groups.values()), default=0) > MOST_CURVES:
        finer = [(name, _grouped(settings, [*by, name])) for name in _telling(settings, by)]
        # Curves by themselves compare nothing.
        useful = [(name, one) for name, one in finer if max(map(len, one.values())) > 1]
        if not useful:
            break
        name, groups = min(useful, key=lambda item: len(item[1]))
        by.append(name)
    return [
        (", ".join(map(_worded, by, values)), part)
        for values, same in groups.items()
        for part in _parts(same)
    ]


def _telling(settings: Sequence[Any], known: Sequence[str] = ()) -> list[str]:
    """Names of the fields in which settings differ, apart from known ones."""
    return [
        name
        for name in settings[0]._fields
        if name not in known and len({getattr(one, name) for one in settings}) > 1
    ]


def _grouped(settings: Sequence[Any], by: Sequence[str]) -> dict[tuple[Any, ...], list[Any]]:
    """Settings by their values of some fields."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for one in settings:
        groups.setdefault(tuple(getattr(one, name) for name in by), []).append(one)
    return groups


def _parts(settings: list[Any]) -> list[list[Any]]:
    """Parts of about the same size, none of more than MOST_CURVES."""
    count = -(-len(settings) // MOST_CURVES)
    size = -(-len(settings) // max(1, count))
    return [settings[k : k + size] for k in range(0, len(settings), max(1, size))]


def _panel(
    experiment: Experiment,
    title: str,
    settings: list[Any],
    found: Sequence[Place],
    paper: Mapping[Point, Estimate],
    sequential: bool,
) -> Json:
    widths = all_of([place.x] for place in found if place.setting in settings)
    curves = []
    for setting, name in zip(settings, names_of(settings), strict=True):
        own = sorted(
            (place for place in found if place.setting == setting), key=lambda place: place.x
        )
        published = [
            {"x": x, **_drawn(estimate, False)}
            for (theirs, x), estimate in sorted(paper.items(), key=lambda item: item[0][1])
            if theirs == setting and widths[0] <= x <= widths[-1]
        ]
        points = [
            {"x": place.x, "cell": place.cell, **_drawn(place.estimate, sequential)}
            for place in own
        ]
        curves.append({"name": name, "points": points, "paper": published})
    return {"title": title, "abscissa": experiment.abscissa, "curves": curves, **_axes(curves)}


def names_of(settings: Sequence[Any]) -> list[str]:
    """What tells some settings apart, in a few words each."""
    telling = _telling(settings)
    return [
        ", ".join(_worded(name, getattr(one, name)) for name in telling) or "estimate"
        for one in settings
    ]


def _worded(name: str, value: Any) -> str:
    """Words speak for themselves, numbers do not."""
    plain = name.replace("_", " ")
    if isinstance(value, str):
        return value
    return f"{plain} {value:g}" if isinstance(value, float) else f"{plain} {value}"


def _value(estimate: Estimate) -> float:
    if isinstance(estimate, Count):
        return estimate.k / estimate.n
    return float("nan") if estimate.mean is None else estimate.mean


def _drawn(estimate: Estimate, sequential: bool) -> Json:
    """A value with the interval that tables show."""
    if isinstance(estimate, Mean):
        half = _NORMAL * estimate.error
        ends = estimate.mean - half, estimate.mean + half
        return {"y": estimate.mean, "low": ends[0], "high": ends[1], "n": estimate.n, "k": None}
    k, n = estimate
    which = SEQUENCE if sequential else shown_interval(k, n)
    low, high = _INTERVALS[which](k, n)
    return {"y": k / n, "low": float(low), "high": float(high), "n": n, "k": k}


_INTERVALS = {
    SEQUENCE: confidence_sequence,
    "wilson": wilson,
    "clopper_pearson": clopper_pearson,
}


def _axes(curves: Sequence[Json]) -> Json:
    """Limits and ticks: logarithmic where all places allow it."""
    drawn = [point for curve in curves for point in (*curve["points"], *curve["paper"])]
    x = all_of([point["x"]] for point in drawn)
    y = [point["y"] for point in drawn]
    log_y = any(value > 0.0 for value in y)
    ends = [point[end] for point in drawn for end in ("low", "high")]
    low, high = log_limits(y, ends) if log_y else (0.0, max((*ends, 0.01)))
    if log_y and all(point["k"] is not None for point in drawn):
        high = min(high, _MOST)
    ticks = log_ticks(low, high, _TICK_APART) if log_y else [0.0, high]
    log_x = x[0] > 0
    return {
        "x": {"low": x[0], "high": x[-1], "log": log_x, "ticks": width_ticks(x)},
        "y": {"low": low, "high": high, "log": log_y, "ticks": ticks},
    }
