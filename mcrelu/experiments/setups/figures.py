"""The figures of the setups experiment, from its tables."""

from __future__ import annotations

from matplotlib.axes import Axes

from mcrelu.experiments.base import Drawing, Tables
from mcrelu.experiments.setups.kink_distances import DRAWING as KINK_DISTANCES
from mcrelu.experiments.setups.kink_distances import inputs_shown
from mcrelu.experiments.setups.kink_figure import kink_figure
from mcrelu.experiments.setups.latex import NAME, setups_tex
from mcrelu.experiments.setups.learned import DRAWING as LEARNED
from mcrelu.experiments.setups.learned import NETWORKS, learned, shown_rows
from mcrelu.experiments.setups.learned_figure import learned_figure
from mcrelu.experiments.setups.relative import by_optimizer, over_inputs
from mcrelu.experiments.setups.relative_figure import by_optimizer_figure, over_inputs_figure
from mcrelu.experiments.setups.rmse_figure import draw_data_set, rmse_figure
from mcrelu.experiments.setups.sections import DRAWING
from mcrelu.experiments.setups.tables import BEST
from mcrelu.figures.captions import joined, networks_per_point

_ERRORS = ("bars", "bands")
_MEDIANS = f"each is the median of {NETWORKS} networks by validation error, on one sample"
_EXACT = "exact distribution functions, of no networks"


def plot(tables: Tables, axes: Axes, data: str | None = None) -> None:
    """One panel of the RMSE figure on other axes: that of a data set, by default the first."""
    draw_data_set(tables[BEST].to_pylist(), axes, data)


def drawings(tables: Tables) -> list[Drawing]:
    """The figures that the tables have something for; none if no block is complete yet."""
    best = tables[BEST].to_pylist()
    if not best:
        return []
    counts = networks_per_point(row["networks"] for row in best)
    bars, bands = (joined((counts, f"{name} are two standard errors")) for name in _ERRORS)
    found = [Drawing(DRAWING, rmse_figure(best), {NAME: setups_tex(best)}, bars)]
    compared = [(one, over_inputs_figure) for one in over_inputs(best)]
    compared += [(one, by_optimizer_figure) for one in by_optimizer(best)]
    found += [Drawing(one.drawing, draw(one), caption=bands) for one, draw in compared]
    if shown := shown_rows(best):
        functions = learned_figure([learned(row) for row in shown])
        found.append(Drawing(LEARNED, functions, caption=_MEDIANS))
    if inputs := inputs_shown(best):
        found.append(Drawing(KINK_DISTANCES, kink_figure(inputs), caption=_EXACT))
    return found
